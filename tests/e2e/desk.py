"""How people work on one assistant through the API, and what others see of it meanwhile."""

from typing import Any

from multidict import CIMultiDict

from local.readback import query_logs
from routing.assistants import ASSISTANT, AssistantSettings
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually

OFFER = "What makes a good offer?"
NEVER = "01a20000-0000-7000-8000-000000000000"
"""An id that no assistant has."""

type Json = dict[str, Any]


class Desk:
    """Who works on assistants: each change names the ETag that the one before gave."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.id = NEVER
        self.etag = ""

    def settings(self, **changed: object) -> Json:
        """What an assistant of Sales is to be, as it is told again."""
        asked = {
            "name": "Quotes",
            "description": "Writes quotes",
            "system_prompt": "You write quotes.",
            "route": "general",
            "temperature": 0.5,
            "max_output_tokens": 80,
            "audience": [self.asking.stack.group("Sales")],
            "owner_team": "sales",
            "policies": ["standard"],
            "residency": "any",
            **changed,
        }
        return AssistantSettings.model_validate(asked).model_dump(mode="json")

    async def call(self, method: str, path: str, *, person: str = "paula", **options: Any) -> Reply:
        return await self.asking.call(method, path, token=self.asking.stack.token(person), **options)

    async def create(self, **changed: object) -> Reply:
        body = {"reason": "there is a need", "settings": self.settings(**changed)}
        reply = await self.call("POST", "/api/assistants", json=body)
        assert reply.status == 201, reply.text
        self.id, self.etag = reply.body["id"], etag_of(reply)
        return reply

    async def change(self, verb: str, *, person: str = "paula", etag: str | None = None, **body: object) -> Reply:
        """``draft``, ``publish``, ``restore`` or ``retire``; ``body`` are more members, None leaves one out."""
        method, path = "PUT" if verb == "draft" else "POST", f"/api/assistants/{self.id}/{verb}"
        members = {"reason": f"to {verb} it", **{name: value for name, value in body.items() if value is not None}}
        headers = {"If-Match": etag or self.etag}
        reply = await self.call(method, path, person=person, headers=headers, json=members)
        if reply.status == 200:
            self.etag = etag_of(reply)
        return reply

    async def changed(self, verb: str, *, person: str = "paula", **body: object) -> Any:
        """The assistant as it is after a change that is made."""
        reply = await self.change(verb, person=person, etag=None, **body)
        assert reply.status == 200, reply.text
        return reply.body

    async def edited(self, **changed: object) -> Any:
        return await self.changed("draft", settings=self.settings(**changed))

    async def publish(self, **changed: object) -> Any:
        """A new assistant, as it is once it is published."""
        await self.create(**changed)
        return await self.changed("publish")

    async def draft(self, person: str = "paula") -> Reply:
        return await self.call("GET", f"/api/assistants/{self.id}/draft", person=person)

    async def versions(self) -> Any:
        return (await self.call("GET", f"/api/assistants/{self.id}/versions")).body["versions"]

    async def ask(self, prompt: str = OFFER, *, person: str = "alice") -> Reply:
        return await self.asking.ask(prompt, person=person, assistant=self.id)

    async def answered(self) -> tuple[Json, str]:
        """Alice's answer, and the system prompt that the model was given for it."""
        reply = await self.ask()
        assert reply.status == 200, reply.text
        asked = await self.asking.stack.control("models").call("GET", "/control/requests")
        return reply.body, asked[-1]["messages"][0]["content"]

    async def seen_by(self, person: str) -> Json | None:
        """What is listed of it to somebody, if anything is; held to what the other routes say."""
        listed = (await self.call("GET", "/api/assistants", person=person)).body["assistants"]
        assert (await self.call("GET", "/api/me", person=person)).body["assistants"] == listed
        card: Json | None = next((each for each in listed if each["id"] == self.id), None)
        one, none = [await self.call("GET", f"/api/assistants/{each}", person=person) for each in (self.id, NEVER)]
        if card is None:
            one.is_problem(404, "not-found")
            question = [await self.asking.ask(OFFER, person=person, assistant=each) for each in (self.id, NEVER)]
            assert (one.text, question[0].text) == (none.text, question[1].text)
            question[0].is_problem(404, "not-found")
        else:
            assert one.body == card
        return card

    async def events(self, how_many: int) -> list[Json]:
        """The events of its changes in the trail, as soon as there are so many, in their order."""
        kql = f"AuditEvents_CL | where Target == 'assistant:{self.id}' | summarize arg_max(TimeGenerated, *) by EventId"

        async def all_of_them() -> list[Json]:
            events = await query_logs(self.asking.stack, kql)
            assert len(events) >= how_many
            return sorted(events, key=lambda event: event["EventTime"])

        return await eventually(all_of_them)

    async def kept_events(self) -> int:
        """How many there are in the store, beside the changes."""
        query = "SELECT c.id FROM c WHERE c.type = 'audit' AND c.audit.event.Target = @target"
        found = self.asking.kit.store.config.query(query, {"@target": f"assistant:{self.id}"}, partition=ASSISTANT)
        return len([each async for each in found])


def etag_of(reply: Reply) -> str:
    return str(CIMultiDict(reply.headers)["ETag"])


async def stored(asking: Asking, type_: str) -> dict[str, Json]:
    """Documents of every assistant as they are stored, with their ETags and times, by id."""
    query = "SELECT * FROM c WHERE c.type = @type"
    found = asking.kit.store.config.query(query, {"@type": type_}, partition=ASSISTANT)
    return {document["id"]: document async for document in found}
