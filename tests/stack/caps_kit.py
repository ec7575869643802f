"""Teams with caps and reservations, on a Cosmos DB stand-in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio
from azure.servicebus import ServiceBusMessage

from governance import caps, reservations
from governance.caps import Cap, CapSettings, Counter, cap_document, read_cap
from governance.changes import Journal
from governance.prices import Price
from governance.reservations import Reservation, Usage
from local.tls import Certificates
from services.bus import Bus, BusUnavailable
from services.clock import uuid7
from services.documents import Items, Store
from tests.stack.store_kit import Account, account

PRICE = Price(since=datetime(2025, 1, 1, tzinfo=UTC), currency="EUR", input_micro=1_000_000, output_micro=1_000_000)
"""A micro-unit for a token."""
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Unreachable(Bus):
    """No queue can be told, so every event stays where it was written."""

    def __init__(self) -> None:
        pass

    async def put(self, queue: str, *_: ServiceBusMessage) -> None:
        raise BusUnavailable(queue)


def using(cost: int) -> Usage:
    """What costs so much at PRICE; there is no prompt of no tokens, so nothing costs nothing."""
    return Usage(input_tokens=1, output_tokens=cost - 1)


async def open_cap(budgets: Items, team: str, limit: int, **other: Any) -> Cap:
    cap = Cap(team=team, limit_micro=limit, **{"currency": "EUR", **other})
    await budgets.create(cap_document(cap))
    return cap


@dataclass
class Team:
    """One of an account that others share. Two processes work for it."""

    account: Account
    stores: tuple[Store, Store]
    id: str = field(default_factory=uuid7)

    @property
    def budgets(self) -> Items:
        return self.stores[0].budgets

    async def counter(self, now: datetime = NOW) -> Counter:
        """Of the period under way."""
        found = await read_cap(self.budgets, self.id)
        assert found is not None
        return await caps.current_counter(self.budgets, found[0], now)

    async def state(self, now: datetime = NOW) -> tuple[int, int]:
        """What is spent and what is reserved."""
        counter = await self.counter(now)
        return counter.spent_micro, counter.reserved_micro

    async def ledger(self) -> list[Reservation]:
        query = "SELECT * FROM c WHERE c.kind = 'reservation'"
        return [Reservation.model_validate(each) async for each in self.budgets.query(query, partition=self.id)]

    async def events(self, kind: str) -> list[dict[str, Any]]:
        query = "SELECT * FROM c WHERE c.type = 'audit'"
        found = [each["audit"]["event"] async for each in self.budgets.query(query, partition=self.id)]
        return sorted((each for each in found if each["EventType"] == kind), key=lambda each: str(each["EventId"]))

    def wanted(self, amount: int, request: str = "request", *, now: datetime = NOW, **other: Any) -> Reservation:
        known = {"assistant": "helper", "person": "alice", "endpoint": "own-model", "model": "scripted"}
        place = {"provider": "openai-compatible", "region": "here", "residency": "self-hosted"}
        return Reservation.model_validate({
            **known, **place, "id": reservations.reservation_id(request, "answer", 1), "team": self.id, "price": PRICE,
            "amount_micro": amount, "created_at": now, "deadline": now + reservations.RESERVED_FOR, **other,
        })  # fmt: skip

    async def reserve(self, amount: int, request: str = "request", *, now: datetime = NOW, by: int = 0) -> Reservation:
        budgets = self.stores[by].budgets
        return await reservations.reserve(budgets, self.wanted(amount, request, now=now), now)

    async def spend(self, amount: int, request: str, *, reserved: int | None = None, now: datetime = NOW) -> None:
        made = await self.reserve(amount if reserved is None else reserved, request, now=now)
        assert await reservations.begin(self.budgets, made, made.deadline)
        await reservations.settle(self.budgets, made, using(amount))

    async def set(self, limit: int, *, etag: str | None = "", now: datetime = NOW, by: int = 0, **settings: Any) -> str:
        """By whoever has read the cap just now, unless an ETag is given."""
        store = self.stores[by]
        found = await read_cap(store.budgets, self.id)
        old = {} if found is None else found[0].model_dump(include=set(CapSettings.model_fields))
        wanted = CapSettings.model_validate({"currency": "EUR", **old, "limit_micro": limit, **settings})
        if etag == "":
            etag = None if found is None else found[1]
        journal = Journal(store, Unreachable())
        return await caps.set_cap(journal, self.id, wanted, etag=etag, actor="gus", reason="a test", now=now)

    async def reset(self, *, now: datetime = NOW, by: int = 0) -> Counter:
        journal = Journal(self.stores[by], Unreachable())
        return await caps.reset_cap(journal, self.id, actor="gus", reason="a test", now=now)


type Company = tuple[Account, tuple[Store, Store]]
"""An account, and two processes' stores in it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cosmos(certificates: Certificates) -> AsyncIterator[Company]:
    async with account(certificates) as strong:
        yield strong, (await strong.store(), await strong.store())
