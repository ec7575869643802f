"""How soon IT Operations hear of a report, and what a burst of reactions does to those who ask meanwhile.

``python -m bench.reports`` runs against a fresh local stack. A receiver on Microsoft's SDK waits for the session of the
assistant; each report is timed from its POST to the message in the receiver's hands. Then a crowd reacts, each of them
a person of their own, with a token of their own, to a request of their own, and it is counted how many are kept and in
the queue: first as many as the machine takes, then 10,000 a minute, for a minute, in three parts. Between these and
beside them questions are asked one after the other: alone, beside the crowd, and beside a crowd as large that calls a
function which does nothing at all; of a model that answers at once, and of ones that take as long as models do. And
beside a program that has nothing to do with any of it and keeps a quarter of a CPU busy: what that alone does to a
question, no product could avoid here. The stand-ins and the crowd share the machine's CPUs with the app.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import aiohttp
from azure.identity.aio import ManagedIdentityCredential
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from bench.crowd import Call, Crowd, Outcome, crowd
from bench.request_cost import ask
from local.resources import DATABASE
from local.stack import Stack
from services.bus import ESCALATIONS
from services.clock import uuid7
from services.documents import Store, cosmos_client

REPORTS = 100
RATE = 10_000 / 60
"""Reactions a second."""
PART_SECONDS = 20.0
PARTS = 3
AT_ONCE = 500
"""Reactions under way while as many are made as the machine takes: more than it takes a second."""
MOST = 5_000
MODEL_SECONDS = (0.0, 1.0, 3.0)
"""Until the model answers."""
REACTION = json.dumps({"useful": True, "minutes_saved": 5})
LIMIT_SECONDS = 120.0
SIDE_BY_SIDE = 16
BUSY = """
import time
while True:
    began = time.perf_counter()
    while time.perf_counter() - began < 0.0005:
        pass
    time.sleep(0.0015)
"""
"""A program that keeps a quarter of a CPU busy."""


class Person(NamedTuple):
    oid: str
    token: str


class Company:
    def __init__(self, stack: Stack, http: aiohttp.ClientSession, store: Store) -> None:
        self._stack = stack
        self._http = http
        self._store = store
        self._turns = asyncio.Semaphore(SIDE_BY_SIDE)
        self.url = stack.http[0].url

    async def people(self, how_many: int) -> list[Person]:
        """Of alice's groups."""
        entra = f"{self._stack.standins['entra'].control}/control/token"

        async def person() -> Person:
            oid = str(uuid4())
            asked = {"person": "alice", "claims": {"oid": oid}, "lifetime_seconds": 7200}
            async with self._turns, self._http.post(entra, json=asked) as answer:
                return Person(oid, (await answer.json())["access_token"])

        return await asyncio.gather(*(person() for _ in range(how_many)))

    async def requests(self, people: Iterable[Person]) -> list[str]:
        """An answered request of each: copies of one, since it is not the answers that are measured."""
        await ask(self._stack, self._http, 1)
        released = self._store.requests.query("SELECT * FROM c WHERE c.state = 'released'")
        first = next(iter([each async for each in released]))
        kept = {name: value for name, value in first.items() if not name.startswith("_") and name != "audit"}

        async def copy(person: Person) -> str:
            request_id = uuid7()
            async with self._turns:
                whose = {"person": {**kept["person"], "oid": person.oid}}
                await self._store.requests.create({**kept, "id": request_id, **whose})
            return request_id

        return await asyncio.gather(*map(copy, people))

    async def reactions(self, people: Sequence[Person]) -> list[Call]:
        """One of each person, to a request of theirs that nobody has reacted to."""
        requests = await self.requests(people)
        return [
            Call("POST", f"/api/requests/{request_id}/reaction", person.token, REACTION)
            for person, request_id in zip(people, requests, strict=True)
        ]

    async def report(self, request_id: str, person: Person) -> None:
        body = {"kind": "other", "severity": "low", "words": "It is wrong."}
        headers = {"Authorization": f"Bearer {person.token}"}
        async with self._http.post(
            f"{self.url}/api/requests/{request_id}/report", json=body, headers=headers
        ) as answer:
            await answer.read()

    async def questions(self, seconds: float) -> list[float]:
        """How long each took of those that are asked one after the other in this time."""
        took: list[float] = []
        while sum(took) < seconds:
            took += await ask(self._stack, self._http, 1)
        return took

    async def kept(self) -> int:
        query = "SELECT VALUE c.id FROM c WHERE c.type = 'reaction'"
        found = self._store.feedback.query(query, partition="sales-helper")
        return len({each async for each in found})

    async def queued(self) -> int:
        queues = await self._stack.control("servicebus").call("GET", "/control/queues")
        return int(queues["feedback"]["active"])


async def heard(stack: Stack, company: Company, how_many: int) -> list[float]:
    """Seconds from each report to its message, sorted."""
    person = Person(str(stack.person("alice").oid), stack.token("alice"))
    requests = await company.requests([person] * (how_many + 1))
    came: dict[str, float] = {}
    connection = stack.standins["servicebus"].ready["connection_string"]

    async def receive() -> None:
        async with ServiceBusClient.from_connection_string(connection) as client:
            while True:
                with suppress(ServiceBusError):  # nothing in the session yet
                    async with client.get_queue_receiver(ESCALATIONS, session_id="sales-helper") as receiver:
                        async for message in receiver:
                            came[json.loads(str(message))["request"]] = time.perf_counter()
                            await receiver.complete_message(message)

    receiving = asyncio.create_task(receive())
    sent: dict[str, float] = {}
    async with asyncio.timeout(LIMIT_SECONDS):
        for request_id in requests:
            sent[request_id] = time.perf_counter()
            await company.report(request_id, person)
        while came.keys() < sent.keys():
            await asyncio.sleep(0.05)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    return sorted(came[each] - sent[each] for each in requests[1:])  # the first loads the guardrails


class Beside:
    """How long questions take beside something, and what the crowd was told meanwhile."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.crowd: list[Outcome] = []

    def line(self, what: str, alone: list[float]) -> str:
        middle, more = statistics.median(self.took) * 1000, statistics.median(self.took) - statistics.median(alone)
        line = f"    {what:36}{middle:>6.0f} ms"
        if self.took is not alone:
            line += f" {more * 1000:>+6.0f} ms {more / statistics.median(alone) * 100:>+6.1f} %"
        if self.crowd:
            calls = sum(sum(each.statuses.values()) for each in self.crowd)
            good = sum(each.statuses.get("200", 0) for each in self.crowd)
            rate = calls / sum(each.seconds for each in self.crowd)
            slow = statistics.median(each.median for each in self.crowd) * 1000
            line += f"   {good:,} of {calls:,} calls answered, {rate:.0f} a second, after {slow:.0f} ms"
        return line


async def side_by_side(
    stack: Stack, company: Company, crowd: Crowd, people: Sequence[Person], model_seconds: float
) -> list[str]:
    """How long questions take, alone and beside others, by turns."""
    slow = {"operation": "chat", "kind": "delay", "seconds": model_seconds}
    await stack.control("models").faults([slow] if model_seconds else [])
    alone, reacting, knocking, busy = Beside(), Beside(), Beside(), Beside()
    each_part = len(people) // PARTS

    async def beside(which: Beside, calls: Sequence[Call]) -> None:
        coming = asyncio.create_task(crowd.call(company.url, calls, RATE))
        which.took += await company.questions(PART_SECONDS)
        which.crowd.append(await coming)

    for part in range(PARTS):
        reactions = await company.reactions(people[part * each_part : (part + 1) * each_part])
        alone.took += await company.questions(PART_SECONDS)
        await beside(reacting, reactions)
        await beside(knocking, [Call("GET", "/api/health", "")] * each_part)
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY)
        busy.took += await company.questions(PART_SECONDS)
        program.kill()
        await program.wait()
    return [
        f"  a question to a model that answers after {model_seconds * 1000:.0f} ms",
        alone.line("alone", alone.took),
        busy.line("beside a program, a quarter of a CPU", alone.took),
        knocking.line("beside calls that do nothing", alone.took),
        reacting.line("beside reactions", alone.took),
    ]


async def as_many_as_it_takes(company: Company, people: Sequence[Person]) -> str:
    """So many under way at any time, from clients that wait for their answers."""
    left = iter(await company.reactions(people))
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(raise_for_status=True, connector=connector, headers=headers) as http:

        async def client() -> None:
            for each in left:
                by = {"Authorization": f"Bearer {each.token}"}
                async with http.post(company.url + each.path, data=each.body, headers=by) as answer:
                    await answer.read()

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        rate = len(people) / (time.perf_counter() - began)
        return f"  {len(people):,} reactions, {AT_ONCE} under way: {rate:.0f} a second"


async def measure(folder: Path) -> list[str]:
    lines = []
    async with Stack(folder) as stack, aiohttp.ClientSession(raise_for_status=True) as http:
        entra = stack.standins["entra"].ready
        os.environ["IDENTITY_ENDPOINT"], os.environ["IDENTITY_HEADER"] = (
            entra["identity_endpoint"],
            entra["identity_header"],
        )
        os.environ["SSL_CERT_FILE"] = str(stack.certificate_authority)
        async with (
            ManagedIdentityCredential() as identity,
            cosmos_client(stack.standins["cosmos"].url, identity) as cosmos,
        ):
            company = Company(stack, http, Store(cosmos, DATABASE))
            took = await heard(stack, company, REPORTS)
            p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
            lines.append(f"  from a report to the waiting receiver: p50 {p50:.0f} ms, p99 {p99:.0f} ms, of {REPORTS}")
            people = await company.people(int(RATE * PART_SECONDS) * PARTS)
            lines.append(await as_many_as_it_takes(company, people[:MOST]))
            async with crowd() as everybody:
                for each in MODEL_SECONDS:
                    lines += await side_by_side(stack, company, everybody, people, each)
            made = MOST + len(people) * len(MODEL_SECONDS)
            lines.append(
                f"  {made:,} reactions: {await company.kept():,} kept, {await company.queued():,} in the queue"
            )
    return lines


def main() -> None:
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(measure(Path(folder)))
    sys.stdout.write("\n".join([f"Reports and reactions ({machine}; the stand-ins share them):", "", *lines]) + "\n")


if __name__ == "__main__":
    main()
