"""One governed call and what it takes: a team with a cap, an assistant, an endpoint, a model; for tests to change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest_asyncio

from governance import requests
from governance.caps import current_counter, read_cap
from governance.request import Person, Request
from governance.requests import KeptResults
from governance.reservations import Reservation
from governance.switches import SWITCH_ID, assistant_scope
from local.tls import Certificates
from routing.calls import ModelCall
from routing.endpoints import ENDPOINT, Endpoint
from routing.governed_call import Governed, Governor, governed_call
from services.clock import utc_now, uuid7
from services.documents import Store
from tests.stack.caps_kit import open_cap
from tests.stack.models_kit import Model, endpoint, governor_of, model
from tests.stack.store_kit import Account, account

LIMIT = 1_000_000
QUESTION = "What makes a good offer?"
AT_MOST = len(QUESTION) + 16 + 2 * 100
"""What is reserved for it: its bytes, the template around it, and the longest answer."""
COST = 20


@dataclass
class World:
    """One team, one assistant and one model of their own; the account is shared."""

    account: Account
    store: Store
    governor: Governor
    model: Model
    call: ModelCall

    @property
    def results(self) -> KeptResults:
        return KeptResults(self.store.requests, self.call.request_id)

    async def ask(self, *, endpoint: Endpoint | None = None, **other: Any) -> Governed:
        """Make the call, or another one."""
        if endpoint is not None:
            other["endpoints"] = [await self.configured(endpoint)]
        return await governed_call(self.governor, replace(self.call, **other), self.results)

    async def configured(self, endpoint: Endpoint) -> str:
        """Its id."""
        await self.store.config.upsert({"kind": ENDPOINT, **endpoint.model_dump(mode="json")})
        return endpoint.id

    async def cap(self) -> tuple[int, int]:
        """What is spent and what is reserved."""
        found = await read_cap(self.store.budgets, self.call.team)
        assert found is not None
        counter = await current_counter(self.store.budgets, found[0], utc_now())
        return counter.spent_micro, counter.reserved_micro

    async def reservations(self) -> list[Reservation]:
        query = "SELECT * FROM c WHERE c.kind = 'reservation'"
        found = [each async for each in self.store.budgets.query(query, partition=self.call.team)]
        return sorted(map(Reservation.model_validate, found), key=lambda each: each.id)

    async def states(self) -> list[str]:
        return [each.state for each in await self.reservations()]

    async def switch(self, *, stopped: bool = True, scope: str = "") -> None:
        """Write it, without the wait that makes it a promise."""
        scope = scope or assistant_scope(self.call.assistant)
        await self.store.control.upsert({"id": SWITCH_ID, "scope": scope, "stopped": stopped, "reason": "a drill"})

    async def when(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cosmos(certificates: Certificates) -> AsyncIterator[tuple[Account, Store]]:
    async with account(certificates) as strong:
        yield strong, await strong.store()


@pytest_asyncio.fixture(loop_scope="module")
async def world(cosmos: tuple[Account, Store]) -> AsyncIterator[World]:
    async with model() as scripted:
        yield await new_world(cosmos, scripted)
        strong, _ = cosmos
        strong.control.faults.clear()
        strong.control.counts.clear()


async def new_world(cosmos: tuple[Account, Store], scripted: Model) -> World:
    strong, store = cosmos
    call = ModelCall(
        request_id=uuid7(),
        purpose="answer",
        team=uuid7(),
        person="alice",
        assistant=uuid7(),
        residency="any",
        endpoints=[],
        messages=[{"role": "user", "content": QUESTION}],
        temperature=0,
        max_output_tokens=100,
    )
    await open_cap(store.budgets, call.team, LIMIT)
    await accept(store, call)
    made = World(strong, store, governor_of(store), scripted, call)
    made.call = replace(call, endpoints=[await made.configured(endpoint(scripted.url))])
    return made


async def accept(store: Store, call: ModelCall) -> None:
    request = Request(
        id=call.request_id,
        state="queued",
        created_at=utc_now(),
        person=Person(oid=call.person, tenant_id="tenant", groups=[]),
        team=call.team,
        assistant=call.assistant,
        assistant_version=1,
        trace_parent="00-11111111111111111111111111111111-2222222222222222-01",
    )
    await requests.accept(store.requests, request)
