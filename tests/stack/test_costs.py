"""The sums of the ledger against Cosmos DB: whenever rounds run, and however many, they say what the ledger says."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import batched
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import costs
from governance.access import EVERYWHERE, Scope
from governance.caps import CAP_ID
from governance.costs import LANDED, SUMMED_ID, Costs, Dimension, Row, TooManyRows, midnight
from governance.prices import Price
from governance.reservations import LEDGER_SECONDS, Reservation
from services.clock import uuid7
from services.documents import Store, StoreUnavailable
from tests.stack.caps_kit import Company
from tests.stack.caps_kit import cosmos as cosmos
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import Account

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
EVERYTHING = tuple(Dimension)
PRICES = {
    currency: Price(since=midnight(TODAY - 400 * DAY), currency=currency, input_micro=1, output_micro=1)
    for currency in ("EUR", "USD")
}


def call_of(team: str, cost: int, at: datetime, *, currency: str = "EUR", **other: Any) -> Reservation:
    """As it is in the ledger."""
    known = {"assistant": "helper", "person": "alice", "endpoint": "own", "model": "large"}
    place = {"provider": "openai-compatible", "region": "here", "residency": "self-hosted"}
    times = {"created_at": at, "deadline": at, "settled_at": at}
    used = {"amount_micro": cost, "actual_micro": cost, "input_tokens": 10, "output_tokens": 5}
    named = {"id": f"{uuid7()}:answer:1", "team": team, "state": "settled", "price": PRICES[currency]}
    return Reservation.model_validate({**named, **used, **times, **place, **known, **other})


@dataclass
class Team:
    """One that has a cap, on an account that others share; two processes make rounds of it."""

    account: Account
    stores: tuple[Store, Store]
    id: str

    @property
    def store(self) -> Store:
        return self.stores[0]

    async def paid(self, cost: int, at: datetime, **other: Any) -> str:
        """A call that was settled then. Returns its id."""
        call = call_of(self.id, cost, at, **other)
        await self.store.budgets.create(call.model_dump(mode="json"))
        return call.id

    async def forget(self, call: str) -> None:
        await self.store.budgets.batch(self.id, [("delete", (call,))])

    async def round(self, now: datetime = NOON, process: int = 0) -> int:
        store = self.stores[process]
        return await costs.roll_up(store.budgets, store.usage, self.id, now)

    async def read(
        self, *by: Dimension, first: date = TODAY - 30 * DAY, last: date = TODAY, most_rows: int = 1000
    ) -> Costs:
        scope = Scope(frozenset({self.id}))
        return await costs.read_costs(self.store.budgets, self.store.usage, scope, first, last, by, most_rows=most_rows)

    async def in_ledger(self, *by: Dimension) -> list[Row]:
        """What the sums must be."""
        sums = costs.Sums(by)
        async for call in costs.ledger(self.store.budgets, self.id, None):
            sums.add(costs.row_of(call))
        return sums.rows()


async def new_team(cosmos: Company) -> Team:
    team = Team(*cosmos, uuid7())
    await team.store.budgets.create({"id": CAP_ID, "team": team.id})
    return team


@pytest_asyncio.fixture(loop_scope="module")
async def team(cosmos: Company) -> AsyncIterator[Team]:
    yield await new_team(cosmos)
    cosmos[0].control.faults.clear()


# -- the sums and the ledger


@dataclass(frozen=True)
class Step:
    """A call, one that is taken out of the ledger, or a round."""

    what: str
    hours: int
    """How long before noon it was settled."""
    which: int
    process: int


steps = st.builds(
    Step,
    what=st.sampled_from(("call", "call", "call", "forget", "round", "two rounds")),
    hours=st.integers(0, 60),
    which=st.integers(0, 23),
    process=st.integers(0, 1),
)


@pytest.mark.claim("C2")
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=12))
async def test_when_rounds_run_at_any_time_then_the_sums_are_what_the_ledger_says(
    cosmos: Company, history: list[Step]
) -> None:
    team, calls = await new_team(cosmos), list[str]()
    for step in history:
        match step.what:
            case "call":
                what = {"assistant": "ab"[step.which % 2], "person": "xyz"[step.which % 3]}
                currency = ("EUR", "USD")[step.which // 6 % 2]
                when = NOON - timedelta(hours=step.hours)
                calls.append(await team.paid(step.which, when, currency=currency, **what))
            case "forget" if calls:
                await team.forget(calls.pop(step.which % len(calls)))
            case "round":
                await team.round(process=step.process)
            case "two rounds":
                await asyncio.gather(team.round(process=0), team.round(process=1))
    await team.round()
    for by in (EVERYTHING, (Dimension.TEAM,), (Dimension.ASSISTANT, Dimension.DAY), (Dimension.PERSON,), ()):
        assert (await team.read(*by)).rows == await team.in_ledger(*by)


@pytest.mark.claim("C2")
async def test_when_a_round_is_late_with_what_it_read_then_it_does_not_write_over_a_newer_one(team: Team) -> None:
    await team.paid(1, NOON)
    await team.round(NOON - timedelta(hours=1))
    team.account.fault("query budgets", kind="delay", seconds=0.5, times=1)
    counts = team.account.control.counts
    before = counts["query budgets"]
    late = asyncio.create_task(team.round(process=0))
    async with asyncio.timeout(5):
        while counts["query budgets"] == before:  # until it has read the ledger, and waits for the answer
            await asyncio.sleep(0.005)
    await team.paid(2, NOON)
    assert await team.round(process=1) == 3
    assert await late == 0
    assert [row.cost_micro for row in (await team.read()).rows] == [3]


@pytest.mark.claim("C2")
async def test_when_a_call_is_settled_late_then_the_next_round_counts_it_on_its_day(team: Team) -> None:
    await team.round(NOON)
    await team.paid(7, NOON - 2 * DAY)
    await team.round(NOON + timedelta(hours=1))
    (row,) = (await team.read(Dimension.DAY)).rows
    assert (row.day, row.cost_micro) == (TODAY - 2 * DAY, 7)


@pytest.mark.claim("C2")
async def test_when_rounds_were_missed_for_days_then_the_next_one_makes_up_for_them(team: Team) -> None:
    await team.paid(1, NOON - 20 * DAY)
    await team.round(NOON - 15 * DAY)
    for back in range(15):
        await team.paid(1, NOON - back * DAY)
    assert await team.round() == 2 + 15 + 1, "the two days before, those missed, and today"
    assert (await team.read(*EVERYTHING)).rows == await team.in_ledger(*EVERYTHING)


@pytest.mark.claim("C2")
async def test_when_a_day_turns_then_a_call_belongs_to_the_day_in_utc_on_which_it_was_settled(team: Team) -> None:
    await team.paid(1, midnight(TODAY) - timedelta(microseconds=1))
    await team.paid(2, midnight(TODAY))
    await team.round()
    assert [(row.day, row.cost_micro) for row in (await team.read(Dimension.DAY)).rows] == [
        (TODAY - DAY, 1),
        (TODAY, 2),
    ]
    assert [row.cost_micro for row in (await team.read(last=TODAY - DAY)).rows] == [1]


async def test_when_the_ledger_has_begun_to_forget_a_day_then_its_sums_stay(team: Team) -> None:
    old = NOON - timedelta(seconds=LEDGER_SECONDS) - DAY
    await team.paid(5, old)
    call = await team.paid(6, old)
    await team.round(old)
    await team.forget(call)
    await team.round(NOON)
    (row,) = (await team.read(first=old.date())).rows
    assert row.cost_micro == 11


async def test_when_a_day_cannot_be_written_then_nothing_of_it_is_and_the_sums_say_how_far_they_reach(
    team: Team,
) -> None:
    await team.paid(1, NOON - DAY)
    await team.round(NOON - DAY)
    await team.paid(2, NOON)
    before = await team.read(*EVERYTHING)
    team.account.fault("batch usage", status=503, times=100)
    with pytest.raises(StoreUnavailable):
        await team.round()
    assert await team.read(*EVERYTHING) == before
    assert before.complete_until == NOON - DAY - LANDED


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_when_thousands_of_people_ask_on_a_day_then_it_can_be_written(team: Team) -> None:
    """As many as are promised, with ids and names as long as they usually are."""
    known = {
        "assistant": "assistant-of-the-department",
        "endpoint": "azure-openai-west-europe",
        "model": "gpt-4.1-mini",
    }
    calls = [call_of(team.id, 1_000_000, NOON, person=str(uuid7()), **known) for _ in range(7000)]
    for hundred in batched(calls, 100, strict=True):
        await team.store.budgets.batch(team.id, [("create", (call.model_dump(mode="json"),)) for call in hundred])
    await team.round()
    assert len((await team.read(Dimension.PERSON, most_rows=7000)).rows) == 7000


# -- reading them


@pytest.mark.claim("C2")
async def test_when_currencies_differ_then_they_are_never_added_up(team: Team) -> None:
    await team.paid(1, NOON)
    await team.paid(2, NOON, currency="USD")
    await team.round()
    assert [(row.currency, row.cost_micro, row.calls) for row in (await team.read()).rows] == [
        ("EUR", 1, 1),
        ("USD", 2, 1),
    ]


async def test_when_costs_are_read_then_only_those_of_the_teams_in_scope(team: Team, cosmos: Company) -> None:
    other = await new_team(cosmos)
    for each, cost in ((team, 1), (other, 2)):
        await each.paid(cost, NOON)
        await each.round()
    both = {team.id: 1, other.id: 2}

    async def spent(scope: Scope) -> dict[str | None, int]:
        usage, budgets = team.store.usage, team.store.budgets
        read = await costs.read_costs(budgets, usage, scope, TODAY, TODAY, (Dimension.TEAM,), most_rows=100)
        return {row.team: row.cost_micro for row in read.rows if row.team in both}

    assert await spent(Scope(frozenset({team.id}))) == {team.id: 1}
    assert await spent(Scope(frozenset(both))) == await spent(EVERYWHERE) == both
    assert await spent(Scope(frozenset({"nobody"}))) == {}
    assert await costs.paying_teams(team.store.budgets, Scope(frozenset({team.id, "nobody"}))) == {team.id}


async def test_when_costs_are_read_then_it_is_said_up_to_when_they_are_complete(team: Team) -> None:
    begin, end = midnight(TODAY - 30 * DAY), midnight(TODAY + DAY)
    assert (await team.read()).complete_until == begin, "nothing was summed yet"
    await team.round()
    assert (await team.read()).complete_until == NOON - LANDED
    assert (await team.read(last=TODAY - DAY)).complete_until == midnight(TODAY)
    await team.round(NOON - timedelta(hours=5))
    assert (await team.read()).complete_until == NOON - LANDED, "a clock that is slow takes nothing back"
    await team.round(midnight(TODAY + DAY) + LANDED)
    assert (await team.read()).complete_until == end


async def test_when_there_would_be_more_rows_than_wanted_then_there_is_no_answer(team: Team) -> None:
    for person in "abc":
        await team.paid(1, NOON, person=person)
    await team.round()
    assert len((await team.read(Dimension.PERSON, most_rows=3)).rows) == 3
    with pytest.raises(TooManyRows):
        await team.read(Dimension.PERSON, most_rows=2)


async def test_when_sums_are_kept_then_under_ids_that_say_what_they_are(team: Team) -> None:
    await team.paid(1, NOON)
    await team.round()
    kept = {each["id"]: each async for each in team.store.usage.query("SELECT * FROM c", partition=team.id)}
    assert kept.keys() == {SUMMED_ID, f"day:{TODAY}", f"persons:{TODAY}"}
    assert "alice" not in str(kept[f"day:{TODAY}"]), "who asked is told apart"
