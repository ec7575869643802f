"""The cost cap against Cosmos DB: whatever happens in whatever order, a team does not spend more than it may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import caps
from governance.caps import CAP_ID, CapMissing, CapReached, Reservation
from governance.prices import Price
from local.tls import Certificates
from services.clock import utc_now, uuid7
from services.documents import Items
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import account

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE = Price(since=datetime(2025, 1, 1, tzinfo=UTC), currency="EUR", input_micro=1, output_micro=1)
MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledgers(certificates: Certificates) -> AsyncIterator[tuple[Items, Items]]:
    """The same container, by two clients."""
    async with account(certificates) as strong:
        yield (await strong.store()).budgets, (await strong.store()).budgets


async def new_team(budgets: Items, limit: int) -> str:
    team = uuid7()
    cap = {"id": CAP_ID, "team": team, "v": 1, "kind": "cap", "period": caps.period_of(MONTHS[0])}
    await budgets.create({**cap, "limit_micro": limit, "spent_micro": 0, "reserved_micro": 0})
    return team


def wanted(team: str, amount: int, request: str = "request", attempt: int = 1) -> Reservation:
    now = utc_now()
    return Reservation(
        id=caps.reservation_id(request, "answer", attempt),
        team=team,
        price=PRICE,
        amount_micro=amount,
        assistant="helper",
        person="alice",
        endpoint="own-model",
        provider="openai-compatible",
        model="scripted",
        region="here",
        residency="own",
        created_at=now,
        deadline=now + caps.RESERVED_FOR,
    )


async def state_of_cap(budgets: Items, team: str) -> tuple[int, int]:
    """What is spent and what is reserved."""
    cap = await budgets.read(CAP_ID, team)
    assert cap is not None
    return cap["spent_micro"], cap["reserved_micro"]


async def ledger(budgets: Items, team: str) -> list[Reservation]:
    query = "SELECT * FROM c WHERE c.kind = 'reservation'"
    return [Reservation.model_validate(document) async for document in budgets.query(query, partition=team)]


async def found(budgets: Items, reservation: Reservation) -> Reservation:
    there = await caps.find(budgets, reservation.team, reservation.id)
    assert there is not None
    return there


# -- any steps in any order: a step that is missing is a crash, one that comes twice is a repeat

type What = Literal["reserve", "begin", "settle", "settle_in_full", "release", "sweep", "reset"]


@dataclass(frozen=True)
class Step:
    what: What
    which: int
    """Of the reservations; for a reset, of the months."""
    amount: int
    client: int


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(("reserve", "reserve", "begin", "begin", "settle", "settle_in_full", "release"))
        | st.sampled_from(("sweep", "reset")),
        which=st.integers(0, 2),
        amount=st.integers(0, 60),
        client=st.integers(0, 1),
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Team:
    """What must come of it."""

    limit: int
    spent: int = 0
    month: int = 0
    reservations: dict[int, tuple[str, int]] = field(default_factory=dict)
    """State and amount."""

    @property
    def reserved(self) -> int:
        return sum(amount for state, amount in self.reservations.values() if state in ("reserved", "calling"))

    def close(self, which: int, state: str, actual: int) -> None:
        self.reservations[which] = (state, self.reservations[which][1])
        self.spent += actual

    def apply(self, step: Step) -> None:
        state, amount = self.reservations.get(step.which, ("", 0))
        match step.what, state:
            case "reserve", "" if self.spent + self.reserved + step.amount <= self.limit:
                self.reservations[step.which] = ("reserved", step.amount)
            case "begin", "reserved":
                self.reservations[step.which] = ("calling", amount)
            case "settle", "calling":
                self.close(step.which, "settled", min(step.amount, amount))
            case "settle_in_full", "calling":
                self.close(step.which, "settled", amount)
            case "release", "reserved" | "calling":
                self.close(step.which, "released", 0)
            case "sweep", _:
                for which, (open_state, held) in list(self.reservations.items()):
                    if open_state == "calling":
                        self.close(which, "settled", held)
                    elif open_state == "reserved":
                        self.close(which, "released", 0)
            case "reset", _ if step.which > self.month:
                self.month, self.spent = step.which, 0


async def carry_out(budgets: Items, team: str, step: Step) -> None:
    if step.what == "sweep":
        await caps.settle_expired(budgets, utc_now() + timedelta(days=1))
        return
    if step.what == "reset":
        await caps.reset(budgets, team, MONTHS[step.which])
        return
    reservation = wanted(team, step.amount, str(step.which))
    there = await caps.find(budgets, team, reservation.id)
    match step.what:
        case "reserve":
            try:
                made = await caps.reserve(budgets, reservation)
            except CapReached:
                assert there is None
            else:
                assert (made.id, made.state) == (reservation.id, there.state if there else "reserved")
        case _ if there is None:
            return
        case "begin":
            began = await caps.begin(budgets, there, there.deadline)
            assert began == (there.state == "reserved")
        case "settle":
            await caps.settle(budgets, there, min(step.amount, there.amount_micro))
        case "settle_in_full":
            await caps.settle_in_full(budgets, there)
        case "release":
            await caps.release(budgets, there)


@pytest.mark.claim("C1")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(0, 120), steps=STEPS)
async def test_when_steps_come_in_any_order_twice_or_never_then_the_cap_holds_and_adds_up(
    ledgers: tuple[Items, Items], limit: int, steps: list[Step]
) -> None:
    team = await new_team(ledgers[0], limit)
    model = Team(limit)
    for step in steps:
        await carry_out(ledgers[step.client], team, step)
        model.apply(step)
        spent, reserved = await state_of_cap(ledgers[1 - step.client], team)
        assert (spent, reserved) == (model.spent, model.reserved)
        assert spent + reserved <= limit
    kept = {each.id: (each.state, each.amount_micro) for each in await ledger(ledgers[0], team)}
    assert kept == {caps.reservation_id(str(n), "answer", 1): each for n, each in model.reservations.items()}
    await caps.settle_expired(ledgers[0], utc_now() + timedelta(days=1))
    assert (await state_of_cap(ledgers[0], team))[1] == 0


# -- at once


async def outcome(call: Awaitable[Any]) -> Any:
    """What it returned, or the type of what it raised."""
    try:
        return await call
    except CapReached as error:
        return type(error)


@pytest.mark.claim("C1")
async def test_when_200_reserve_at_once_and_20_fit_then_20_are_reserved(ledgers: tuple[Items, Items]) -> None:
    team = await new_team(ledgers[0], 20 * 7 + 6)
    reserving = [outcome(caps.reserve(ledgers[n % 2], wanted(team, 7, str(n)))) for n in range(200)]
    outcomes = await asyncio.gather(*reserving)
    assert outcomes.count(CapReached) == 180
    assert await state_of_cap(ledgers[0], team) == (0, 140)
    assert len(await ledger(ledgers[0], team)) == 20


@pytest.mark.claim("C1")
async def test_when_one_reservation_is_made_many_times_at_once_then_it_counts_once(
    ledgers: tuple[Items, Items],
) -> None:
    team = await new_team(ledgers[0], 100)
    reservation = wanted(team, 60)
    made = await asyncio.gather(*(caps.reserve(ledgers[n % 2], reservation) for n in range(20)))
    assert {each.id for each in made} == {reservation.id}
    assert await state_of_cap(ledgers[0], team) == (0, 60)


async def test_when_many_workers_begin_one_call_then_one_does(ledgers: tuple[Items, Items]) -> None:
    reservation = await caps.reserve(ledgers[0], wanted(await new_team(ledgers[0], 100), 60))
    beginning = (caps.begin(ledgers[n % 2], reservation, reservation.deadline) for n in range(20))
    assert sorted(await asyncio.gather(*beginning)) == [False] * 19 + [True]


@pytest.mark.claim("C1")
async def test_when_a_call_is_settled_released_and_swept_at_once_then_it_is_closed_once(
    ledgers: tuple[Items, Items],
) -> None:
    mine, others = ledgers
    team = await new_team(mine, 100)
    reservation = await caps.reserve(mine, wanted(team, 60))
    assert await caps.begin(mine, reservation, utc_now() - timedelta(seconds=1))
    ways: list[Callable[[Items], Awaitable[Any]]] = [
        lambda budgets: caps.settle(budgets, reservation, 25),
        lambda budgets: caps.settle_in_full(budgets, reservation),
        lambda budgets: caps.release(budgets, reservation),
        lambda budgets: caps.settle_expired(budgets, utc_now()),
    ]
    await asyncio.gather(*(way(budgets) for way in ways for budgets in (mine, others, mine)))
    closed = await found(mine, reservation)
    assert closed.state in ("settled", "released")
    assert await state_of_cap(mine, team) == (closed.actual_micro or 0, 0)


# -- one by one


@pytest.mark.claim("C1")
async def test_when_the_cap_is_reached_then_nothing_is_kept_and_raising_it_lets_calls_through(
    ledgers: tuple[Items, Items],
) -> None:
    budgets = ledgers[0]
    team = await new_team(budgets, 59)
    with pytest.raises(CapReached):
        await caps.reserve(budgets, wanted(team, 60))
    assert await ledger(budgets, team) == []
    await budgets.patch(CAP_ID, team, [{"op": "set", "path": "/limit_micro", "value": 60}])
    assert (await caps.reserve(budgets, wanted(team, 60))).state == "reserved"


async def test_when_a_team_has_no_cap_then_nothing_is_reserved(ledgers: tuple[Items, Items]) -> None:
    with pytest.raises(CapMissing):
        await caps.reserve(ledgers[0], wanted(uuid7(), 1))


async def test_when_a_call_is_settled_then_the_ledger_says_at_what(ledgers: tuple[Items, Items]) -> None:
    budgets = ledgers[0]
    reservation = await caps.reserve(budgets, wanted(await new_team(budgets, 100), 60))
    assert await caps.begin(budgets, reservation, reservation.deadline)
    await caps.settle(budgets, reservation, 25, input_tokens=100, cached_input_tokens=60, output_tokens=40)
    settled = await found(budgets, reservation)
    assert (settled.state, settled.actual_micro) == ("settled", 25)
    assert (settled.input_tokens, settled.cached_input_tokens, settled.output_tokens) == (100, 60, 40)
    assert settled.settled_at is not None


async def test_when_nothing_has_expired_then_the_sweep_leaves_it(ledgers: tuple[Items, Items]) -> None:
    budgets = ledgers[0]
    team = await new_team(budgets, 100)
    await caps.reserve(budgets, wanted(team, 60))
    await caps.settle_expired(budgets, utc_now())
    assert await state_of_cap(budgets, team) == (0, 60)


async def test_when_a_month_is_over_then_what_is_spent_starts_anew_once_and_what_is_reserved_stays(
    ledgers: tuple[Items, Items],
) -> None:
    budgets = ledgers[0]
    team = await new_team(budgets, 100)
    spent = await caps.reserve(budgets, wanted(team, 30, "spent"))
    assert await caps.begin(budgets, spent, spent.deadline)
    await caps.settle_in_full(budgets, spent)
    await caps.reserve(budgets, wanted(team, 20, "open"))
    assert not await caps.reset(budgets, team, MONTHS[0])
    assert await state_of_cap(budgets, team) == (30, 20)
    assert await caps.reset(budgets, team, MONTHS[1])
    assert await state_of_cap(budgets, team) == (0, 20)
    assert not await caps.reset(budgets, team, MONTHS[1])
    assert not await caps.reset(budgets, team, MONTHS[0])
