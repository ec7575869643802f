"""Refusals are told at once, and a flood of them as numbers."""

import asyncio

import pytest

from governance.audit import AuditEvent
from governance.refusals import MOST_KINDS, Refusals, Refused
from services.documents import StoreUnavailable

pytestmark = pytest.mark.asyncio

SECONDS = 5.0
WRONG_ROLE = Refused("role-missing", "put_switch", "alice")
WINDOW = 0.02


class Told:
    """The events that were kept, in order; ``failing`` of them first are not."""

    def __init__(self, failing: int = 0) -> None:
        self.events: asyncio.Queue[AuditEvent] = asyncio.Queue()
        self._failing = failing

    async def __call__(self, event: AuditEvent) -> None:
        if self._failing:
            self._failing -= 1
            raise StoreUnavailable("away")
        self.events.put_nowait(event)

    async def next(self) -> AuditEvent:
        async with asyncio.timeout(SECONDS):
            return await self.events.get()


@pytest.mark.claim("A1", "I5")
async def test_when_somebody_is_refused_then_the_event_is_kept_before_they_are_told() -> None:
    told = Told()
    await Refusals(told).note(WRONG_ROLE)
    event = told.events.get_nowait()
    assert (event.EventType, event.Outcome, event.Reason) == ("refusal", "refused", "role-missing")
    assert (event.Actor, event.Target, event.Count) == ("alice", "put_switch", 1)


async def test_when_a_flood_comes_then_one_event_tells_the_first_and_one_a_window_the_number_of_the_others() -> None:
    told = Told()
    refusals = Refusals(told, WINDOW)
    for _ in range(1000):
        await refusals.note(WRONG_ROLE)
    first, rest = await told.next(), await told.next()
    assert (first.Count, rest.Count) == (1, 999)
    assert rest.After["since"]
    await refusals.note(WRONG_ROLE)
    assert (await told.next()).Count == 1, "it goes on being counted"


async def test_when_there_are_more_kinds_than_a_process_tells_then_the_rest_are_counted_together() -> None:
    told = Told()
    refusals = Refusals(told, WINDOW)
    for number in range(MOST_KINDS + 10):
        await refusals.note(Refused("not-found", "ingest", f"person-{number}"))
    events = [await told.next() for _ in range(MOST_KINDS + 2)]
    assert [event.Reason for event in events] == ["not-found"] * MOST_KINDS + ["others"] * 2
    assert [event.Count for event in events[-2:]] == [1, 9]


async def test_when_the_store_is_away_then_they_are_told_later_and_none_is_missing() -> None:
    told = Told(failing=2)
    refusals = Refusals(told, WINDOW)
    for _ in range(3):
        await refusals.note(WRONG_ROLE)
    assert (await told.next()).Count == 3
