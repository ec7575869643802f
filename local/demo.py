"""``make demo``: one governed request, end to end, on this machine; every step is checked, and said in plain words.

It exits with 1 if anything that it says did not happen.
"""

import argparse
import asyncio
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp

from local.process import ROOT, StartFailed
from local.readback import query_logs
from local.stack import Stack

E_MAIL, PHONE = "jane.doe@contoso.com", "+1 425 555 0143"
QUESTION = f"Our customer {E_MAIL} (phone {PHONE}) asks what makes a good sales offer. What should I tell them?"
GUIDE = """# Discounts

Up to 5 % a sales person decides alone; up to 12 % the head of sales; beyond that nobody.

# Validity

An offer is valid for 30 days, in December for 45.
"""
ON_GUIDE = "For how long is an offer valid?"
STAGES = ("check_prompt", "ground", "infer", "check_answer", "record", "release")
AUDIT_LIMIT_SECONDS = 20.0
WIDTH = 100


class NotAsPromised(Exception):
    """Something that the demo is there to show did not happen."""


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise NotAsPromised(promise)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    seconds: float
    etag: str


class Scene:
    """The people, what they do, and what is shown of it."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._http = http
        self._steps = 0

    def step(self, words: str, answer: Answer | None = None) -> None:
        self._steps += 1
        outcome = "" if answer is None else f"HTTP {answer.status}  {answer.seconds * 1000:6.0f} ms"
        print(f"\n{self._steps:>2}  {words:<{WIDTH - 26}}{outcome:>22}".rstrip(), flush=True)

    def line(self, label: str, text: str) -> None:
        first, *more = textwrap.wrap(text, WIDTH - 24) or [""]
        print(f"      {label:<16}  {first}")
        for each in more:
            print(f"      {'':<16}  {each}")

    async def call(
        self, person: str, method: str, path: str, body: Any = None, *, form: Any = None, etag: str = ""
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._stack.token(person)}", **({"If-Match": etag} if etag else {})}
        url = f"{self._stack.http[0].url}{path}"
        started = time.perf_counter()
        async with self._http.request(method, url, headers=headers, json=body, data=form) as answer:
            text = await answer.text()
            took, etag = time.perf_counter() - started, answer.headers.get("ETag", "")
            return Answer(answer.status, json.loads(text) if text else None, took, etag)

    async def ask(self, person: str, assistant: str, question: str = QUESTION) -> Answer:
        return await self.call(person, "POST", f"/api/assistants/{assistant}/requests", {"prompt": question})

    async def model_calls(self) -> list[dict[str, Any]]:
        """The bodies of all that the model was sent."""
        calls: list[dict[str, Any]] = await self._stack.control("models").call("GET", "/control/requests")
        return calls

    async def list_assistants(self) -> None:
        answer = await self.call("alice", "GET", "/api/assistants")
        self.step("Alice of Sales lists the assistants that her groups grant her", answer)
        expect(answer.status == 200, "Alice may list her assistants")
        found = {each["id"]: each for each in answer.body["assistants"]}
        for each in found.values():
            self.line(each["name"], each["description"])
        expect("sales-helper" in found, "Alice sees the Sales helper")
        expect("ledger" not in found, "Alice does not see what only Finance may use")

    async def first_question(self) -> None:
        """The first request of a process loads what the later ones find loaded."""
        answer = await self.ask("alice", "handbook")
        self.step("A first question wakes the processes: the guardrails load their model", answer)
        expect(answer.status == 200, "the first question is answered too")

    async def question(self) -> str:
        answer = await self.ask("alice", "sales-helper")
        self.step("Alice asks the Sales helper", answer)
        expect(answer.status == 200, "Alice gets an answer on the same call")
        sent = (await self.model_calls())[-1]["messages"][-1]["content"]
        body = answer.body
        self.line("she typed", QUESTION)
        self.line("the model got", sent)
        self.line("the answer", " ".join(body["answer"].split()))
        self.line("sources", ", ".join(source["title"] for source in body["sources"]) or "none: it has no collections")
        self.line("tokens", "{input_tokens} in, {output_tokens} out".format(**body["usage"]))
        self.line("cost", f"{body['cost']['micro_units']:,} millionths of 1 {body['cost']['currency']}")
        expect(E_MAIL not in sent and PHONE not in sent, "the model never sees the e-mail address or the phone number")
        expect("<EMAIL_ADDRESS_1>" in sent and "<PHONE_NUMBER_1>" in sent, "the model sees that something was there")
        expect(body["cost"]["micro_units"] > 0, "the answer says what it cost")
        request_id: str = body["request_id"]
        await self.stages(request_id, answer.seconds)
        return request_id

    async def stages(self, request_id: str, total: float) -> None:
        print("\n      stage             what it did                                                    took")
        history = await self._stack.control("durable").call("GET", f"/control/history/{request_id}")
        times = dict(zip(STAGES, _durations(history), strict=True))
        for stage in STAGES:
            print(f"      {stage:<16}  {_DOES[stage]:<55} {times[stage] * 1000:8.0f} ms")
        rest = total - sum(times.values())
        print(f"      {'the rest':<16}  {'HTTP, two queues, orchestration':<55} {rest * 1000:8.0f} ms")

    async def audit(self, request_id: str) -> None:
        started = time.perf_counter()
        row = await self._audit_row(request_id)
        took = time.perf_counter() - started
        self.step(f"The audit record, read back from Log Analytics {took:.1f} s later (in Azure: minutes)")
        for label, column in _AUDIT_LINES:
            self.line(label, str(row[column]))
        verdict = json.loads(row["Verdicts"])["check_prompt"]
        self.line("guardrails", f"{verdict['action']}: " + ", ".join(each["category"] for each in verdict["findings"]))
        expect(row["Outcome"] == "answered", "the trail says how the request ended")
        expect(E_MAIL not in str(row) and PHONE not in str(row), "the trail holds no raw text")

    async def _audit_row(self, request_id: str) -> dict[str, Any]:
        query = f"AuditEvents_CL | where RequestId == '{request_id}' | summarize arg_max(Revision, *) by EventId"
        return (await self._rows(query, 1))[0]

    async def _rows(self, query: str, at_least: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + AUDIT_LIMIT_SECONDS
        while time.monotonic() < deadline:
            rows = await query_logs(self._stack, query)
            if len(rows) >= at_least:
                return rows
            await asyncio.sleep(0.2)
        raise NotAsPromised(f"the audit record is in Log Analytics within {AUDIT_LIMIT_SECONDS:.0f} s")

    async def documents(self) -> None:
        """Paula's document, and an assistant of hers that answers from it."""
        form = aiohttp.FormData()
        form.add_field("name", "Offer guide")
        form.add_field("file", GUIDE.encode(), filename="guide.md")
        uploaded = await self.call("paula", "POST", "/api/collections/offers/documents", form=form)
        self.step("Paula, who publishes for Sales, uploads the offer guide", uploaded)
        expect(uploaded.status == 202, "a publisher can upload documents of the team")
        shown, started = uploaded.body, time.perf_counter()
        while shown["state"] not in ("ready", "failed"):
            await asyncio.sleep(0.1)
            shown = (await self.call("paula", "GET", f"/api/collections/offers/documents/{shown['id']}")).body
        self.line(
            "it is", f"{shown['state']}: {shown['chunks']['done']} chunks after {time.perf_counter() - started:.1f} s"
        )
        expect(shown["state"] == "ready", "the document is indexed")
        assistant = await self._published()
        answer = await self.ask("alice", assistant, ON_GUIDE)
        self.step("Alice asks the assistant that Paula has published over it", answer)
        expect(answer.status == 200, "Alice gets an answer from the documents")
        self.line("she typed", ON_GUIDE)
        self.line("the answer", " ".join(answer.body["answer"].split()))
        for source in answer.body["sources"]:
            self.line(f"source [{source['number']}]", f"{source['title']}, like the question by {source['score']:.2f}")
        expect(bool(answer.body["sources"]), "the answer stands on the document")

    async def _published(self) -> str:
        settings = {
            **{"name": "Offer desk", "description": "Answers from the offer guide", "route": "general"},
            **{"system_prompt": "You answer in one short sentence.", "temperature": 0, "max_output_tokens": 80},
            **{"audience": [self._stack.group("Sales")], "owner_team": "sales", "policies": ["standard"]},
            **{"collections": ["offers"], "residency": "any"},
        }
        created = await self.call("paula", "POST", "/api/assistants", {"settings": settings, "reason": "for offers"})
        expect(created.status == 201, "a publisher can make an assistant")
        assistant: str = created.body["id"]
        published = await self.call(
            "paula", "POST", f"/api/assistants/{assistant}/publish", {"reason": "it is ready"}, etag=created.etag
        )
        expect(published.status == 200, "and publish it")
        return assistant

    async def outsider(self) -> None:
        before = len(await self.model_calls())
        answer = await self.ask("bob", "sales-helper")
        self.step("Bob, who is in no group, asks the same", answer)
        expect(answer.status == 404, "Bob can't tell that the assistant exists")
        self.line("he is told", answer.body["detail"])
        expect(len(await self.model_calls()) == before, "no model was called for Bob")

    async def kill_switch(self) -> None:
        before = len(await self.model_calls())
        pulled = await self.call(
            "ivan", "PUT", "/api/switches/platform", {"stopped": True, "reason": "a drill: back in a minute"}
        )
        self.step("Ivan of IT Operations pulls the platform's kill switch", pulled)
        expect(pulled.status == 200, "IT Operations can stop the platform")
        stopped = await self.ask("alice", "sales-helper")
        self.step("Alice asks again", stopped)
        expect(stopped.status == 423, "a stopped platform answers nobody")
        self.line("she is told", f"{stopped.body['title']}: {stopped.body['detail']}")
        expect(len(await self.model_calls()) == before, "no model is called while the platform is stopped")
        released = await self.call("ivan", "PUT", "/api/switches/platform", {"stopped": False, "reason": "drill over"})
        self.step("Ivan releases it", released)
        answer = await self.ask("alice", "sales-helper")
        self.step("Alice asks once more", answer)
        expect(answer.status == 200, "releasing the switch lets the question through")

    async def support(self) -> None:
        await self._turned_away("Victor of the vendor looks at the queues: he has no standing access", 403)
        body = {
            "group": self._stack.group("Vendor Support"),
            "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "reason": "answers are slow",
        }
        opened = await self.call("adam", "POST", "/api/support-grants", body)
        self.step("Adam, a platform admin, opens a support grant for an hour", opened)
        expect(opened.status == 201, "a platform admin can open support")
        queues = await self.call("victor", "GET", "/api/queues")
        self.step("Victor looks at the queues again", queues)
        expect(queues.status == 200, "the holder of a grant may read queue depths")
        for queue in queues.body["queues"]:
            waiting = "" if queue["messages"] is None else f"{queue['messages']} waiting, "
            self.line(queue["name"], f"{waiting}{queue['dead_letters']} given up")
        refused = await self.ask("victor", "sales-helper")
        self.step("Victor tries to ask the Sales helper", refused)
        expect(refused.status == 403, "support never reaches content")
        self.line("he is told", refused.body["detail"])
        closed = await self.call(
            "adam", "POST", f"/api/support-grants/{opened.body['id']}/close", {"reason": "that is enough"}
        )
        expect(closed.status == 200, "a platform admin can close support")
        await self._turned_away("Adam closes the grant; Victor is outside again", 403)
        self.step("What the trail says of it")
        kql = f"AuditEvents_CL | where Grant == '{opened.body['id']}' | order by EventTime asc"
        for row in await self._rows(kql, at_least=4):
            who = next(each.name for each in self._stack.directory.people if str(each.oid) == row["Actor"])
            self.line(row["EventType"], f"{who}: {row['Target']}")

    async def _turned_away(self, words: str, status: int) -> None:
        answer = await self.call("victor", "GET", "/api/queues")
        self.step(words, answer)
        expect(answer.status == status, "without an open grant the vendor sees nothing")

    async def cap(self) -> None:
        before = len(await self.model_calls())
        answer = await self.ask("carol", "ledger")
        self.step("Carol of Finance, whose team has spent its cap, asks the Ledger assistant", answer)
        expect(answer.status == 402, "a team at its cap is refused")
        self.line("she is told", answer.body["detail"])
        expect(len(await self.model_calls()) == before, "no model is called for a team at its cap")


_DOES = {
    "check_prompt": "personal data redacted, acceptable use checked",
    "ground": "the customer's documents: this assistant has none",
    "infer": "switches read, cost reserved, model called, settled",
    "check_answer": "the same guardrails on the answer",
    "record": "outcome and audit event kept, before anything leaves",
    "release": "the answer let go to the waiting client",
}

_AUDIT_LINES = (
    ("who", "Actor"),
    ("team", "Team"),
    ("assistant", "Assistant"),
    ("outcome", "Outcome"),
    ("prompt", "Prompt"),
    ("model", "Model"),
    ("where", "Region"),
    ("cost (micro)", "CostMicro"),
)


def _durations(history: list[dict[str, Any]]) -> Iterator[float]:
    """Seconds from each activity's scheduling to its completion; the orchestrator has one at a time under way."""
    scheduled = None
    for event in history:
        if event["kind"] == "taskScheduled":
            scheduled = datetime.fromisoformat(event["timestamp"])
        elif event["kind"] == "taskCompleted" and scheduled is not None:
            yield (datetime.fromisoformat(event["timestamp"]) - scheduled).total_seconds()


async def demo(model: Literal["scripted", "real"]) -> None:
    """Raises :class:`NotAsPromised`, :class:`local.process.StartFailed`."""
    folder = ROOT / ".local" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    print("Starting the stack: stand-ins for the Azure services, and the app in three processes ...", flush=True)
    async with Stack(folder, model=model) as stack, aiohttp.ClientSession() as http:
        name = stack.standins["models"].ready["model"]
        print(f"It is up after {time.perf_counter() - started:.1f} s; the model is {name}.")
        scene = Scene(stack, http)
        await scene.list_assistants()
        await scene.first_question()
        request_id = await scene.question()
        await scene.audit(request_id)
        await scene.documents()
        await scene.outsider()
        await scene.kill_switch()
        await scene.cap()
        await scene.support()
    print(f"\nAll of it happened as promised, in {time.perf_counter() - started:.0f} s.")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    options.add_argument("--model", choices=["scripted", "real"], default="real")
    try:
        asyncio.run(demo(options.parse_args().model))
    except (NotAsPromised, StartFailed, aiohttp.ClientError) as error:
        print(f"\nNOT AS PROMISED: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit("\nStopped.") from None


if __name__ == "__main__":
    main()
