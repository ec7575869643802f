"""What a client sees, to the byte, and what its call leaves behind. For what an administrator sees there is the kit."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from governance.audit import NOTES
from local.readback import query_logs
from tests.e2e.kit import Kit, eventually, once

KEPT = ("create", "upsert", "replace", "batch", "delete")
"""Cosmos operations that make, replace or remove a document."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """By name, capitals or not."""
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    def is_problem(self, status: int, type_: str) -> Any:
        """Fails unless it is this problem (RFC 9457, or in OpenAI's shape); its body."""
        if '"error"' in self.text:
            error = self.body["error"]
            type_ = {"not-found": "model_not_found", "token-refused": "invalid_api_key"}.get(type_, type_)
            assert (self.status, error["code"]) == (status, type_), self.text
            return error
        assert (self.status, self.headers["Content-Type"]) == (status, "application/problem+json"), self.text
        problem = self.body
        assert (problem["type"], problem["status"]) == (f"/problems/{type_}", status), problem
        assert problem["title"]
        assert problem["detail"]
        return problem


class Asking:
    """The people of one stack, and how they call its first HTTP instance."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.stack = kit.stack

    async def call(self, method: str, path: str, *, token: str | None, **options: Any) -> Reply:
        """``options`` are those of ``aiohttp.ClientSession.request``."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        url = self.stack.http[0].url + path
        async with aiohttp.ClientSession() as http, http.request(method, url, headers=headers, **options) as answer:
            return Reply(answer.status, answer.headers, await answer.text())

    async def ask(self, prompt: str, *, person: str = "alice", assistant: str = "sales-helper") -> Reply:
        path = f"/api/assistants/{assistant}/requests"
        return await self.call("POST", path, token=self.stack.token(person), json={"prompt": prompt})

    async def status(self, request_id: str, *, person: str = "alice") -> Reply:
        return await self.call("GET", f"/api/requests/{request_id}", token=self.stack.token(person))

    async def ended(self, request_id: str, *, within: float = 20.0) -> Reply:
        """What the status URL says to alice when her request has ended."""

        async def ended() -> Reply:
            reply = await self.status(request_id)
            assert reply.status != 202
            return reply

        return await eventually(ended, within=within)

    async def switch(self, scope: str, *, stopped: bool, reason: str, person: str = "ivan") -> Reply:
        body = {"stopped": stopped, "reason": reason}
        return await self.call("PUT", f"/api/switches/{scope}", token=self.stack.token(person), json=body)

    @asynccontextmanager
    async def stopped(self, scope: str, reason: str) -> AsyncIterator[None]:
        """A switch that is on meanwhile."""
        assert (await self.switch(scope, stopped=True, reason=reason)).status == 200
        try:
            yield
        finally:
            assert (await self.switch(scope, stopped=False, reason="the test is over")).status == 200

    @asynccontextmanager
    async def going_wrong(self, standin: str, *faults: dict[str, Any]) -> AsyncIterator[None]:
        control = self.stack.control(standin)
        await control.faults(faults)
        try:
            yield
        finally:
            await control.faults()

    @asynccontextmanager
    async def scripted(self, answer: str, **line: Any) -> AsyncIterator[None]:
        """A model that says this to everything; ``line`` are other members of a script's line."""
        control = self.stack.control("models")
        await control.call("PUT", "/control/script", json=[{"match": None, "answer": answer, **line}])
        try:
            yield
        finally:
            await control.call("PUT", "/control/script", json=[])

    async def token(self, **how: Any) -> str:
        """A token that is wrong in some way, of alice unless said otherwise (``local.entra.tokens.TokenRequest``)."""
        made = await self.stack.control("entra").call("POST", "/control/token", json={"person": "alice", **how})
        return str(made["access_token"])

    async def configured(self) -> dict[str, str]:
        """What is configured, and the events of its changes: by id, the ETag of what does not change by itself."""
        documents = self.kit.store.config.query("SELECT * FROM c WHERE c.kind != @notes", {"@notes": NOTES})
        return {each["id"]: "" if each.get("type") == "audit" else each["_etag"] async for each in documents}

    async def _written(self) -> dict[str, int]:
        """How often something was stored for a request, a cap or a switch, queued, or sent to a model, so far."""
        cosmos = await self.stack.control("cosmos").counts()
        bus = await self.stack.control("servicebus").counts()
        wanted = {f"{kind} {container}" for kind in KEPT for container in ("requests", "budgets", "control")}
        stored = {name: count for name, count in cosmos.items() if name in wanted}
        sent = {name: count for name, count in bus.items() if name.startswith("send ") and name != "send audit"}
        return stored | sent | {"model calls": await self.kit.model_calls()}

    @asynccontextmanager
    async def nothing_written(self) -> AsyncIterator[None]:
        """Fails if anything is stored, queued or sent to a model meanwhile."""
        before = await self._written()
        yield
        assert await self._written() == before

    @asynccontextmanager
    async def no_model_call(self) -> AsyncIterator[None]:
        before = await self.kit.model_calls()
        yield
        assert await self.kit.model_calls() == before

    async def trail(self, condition: str) -> dict[str, Any]:
        """The one event of the audit trail that meets a KQL condition, when it is there. Dynamic columns are text."""
        kql = f"AuditEvents_CL | where {condition} | summarize arg_max(TimeGenerated, *) by EventId"

        async def found() -> dict[str, Any]:
            return once(await query_logs(self.stack, kql))

        return await eventually(found)

    async def audited(self, request_id: str) -> dict[str, Any]:
        """The request's event, when it is in the trail and marked as written."""

        async def written() -> None:
            audit = (await self.kit.request(request_id)).audit
            assert audit
            assert audit["status"] == "written"

        await eventually(written)
        return await self.trail(f"EventId == '{request_id}'")
