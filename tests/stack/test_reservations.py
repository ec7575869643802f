"""Reservations against Cosmos DB: whatever happens in whatever order, a team does not spend more than it may."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import reservations
from governance.access import Scope
from governance.caps import CapMissing, begin_periods, read_counter
from governance.reservations import CapReached, CurrencyDiffers, Overrun, Reservation, Usage, reservation_id
from services.documents import Items
from tests.stack.caps_kit import NOW, PRICE, Company, Team, open_cap, using
from tests.stack.caps_kit import cosmos as cosmos
from tests.stack.cosmos_kit import certificates as certificates

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def new_team(cosmos: Company, limit: int = 100, **cap: Any) -> Team:
    team = Team(*cosmos)
    await open_cap(team.budgets, team.id, limit, **cap)
    return team


@pytest_asyncio.fixture(loop_scope="module")
async def team(cosmos: Company) -> Team:
    return await new_team(cosmos)


async def nothing_kept(_: Reservation) -> Usage | None:
    return None


# -- any steps in any order: a step that is missing is a crash, one that comes twice is a repeat

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
type What = Literal["reserve", "begin", "settle", "settle_in_full", "release", "sweep", "turn", "limit", "reset"]


@dataclass(frozen=True)
class Step:
    what: What
    which: int
    """Of the reservations; of the months, when one turns (also back, for clocks that are not right)."""
    amount: int
    """To reserve, to settle at, or the limit."""
    client: int


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(("reserve", "reserve", "begin", "begin", "settle", "settle_in_full", "release"))
        | st.sampled_from(("sweep", "turn", "limit", "reset")),
        which=st.integers(0, 2),
        amount=st.integers(1, 60),
        client=st.integers(0, 1),
    ),
    min_size=5,
    max_size=30,
)


@dataclass
class Month:
    limit: int
    spent: int = 0
    overrun: int = 0
    forgiven: int = 0
    stopped: bool = False


@dataclass
class Model:
    """What must come of it."""

    limit: int
    month: int = 0
    months: dict[int, Month] = field(default_factory=dict)
    """Those that have begun."""
    held: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    """State, amount and month of the reservations."""

    def counter(self, month: int) -> Month:
        return self.months.get(month) or Month(self.limit)

    def reserved(self, month: int) -> int:
        return sum(
            amount for state, amount, of in self.held.values() if of == month and state in ("reserved", "calling")
        )

    def begun(self) -> Month:
        return self.months.setdefault(self.month, Month(self.limit))

    def close(self, which: int, state: str, actual: int) -> None:
        _, amount, month = self.held[which]
        self.held[which] = (state, amount, month)
        counter = self.months[month]
        counter.spent += actual
        if actual > amount:
            counter.overrun += actual - amount
            counter.stopped = True

    def apply(self, step: Step) -> None:  # noqa: C901  # a case a step
        state, amount, _ = self.held.get(step.which, ("", 0, 0))
        match step.what, state:
            case "reserve", "":
                counter = self.begun()
                if not counter.stopped and counter.spent + self.reserved(self.month) + step.amount <= counter.limit:
                    self.held[step.which] = ("reserved", step.amount, self.month)
            case "begin", "reserved":
                self.held[step.which] = ("calling", *self.held[step.which][1:])
            case "settle", "calling":
                self.close(step.which, "settled", step.amount)
            case "settle_in_full", "calling":
                self.close(step.which, "settled", amount)
            case "release", "reserved" | "calling":
                self.close(step.which, "released", 0)
            case "sweep", _:
                for which, (open_state, held, _) in list(self.held.items()):
                    if open_state == "calling":
                        self.close(which, "settled", held)
                    elif open_state == "reserved":
                        self.close(which, "released", 0)
            case "turn", _:
                self.month = step.which
                self.begun()
            case "limit", _:
                self.limit = self.begun().limit = step.amount
                self.begun().stopped = False
            case "reset", _:
                month = self.begun()
                month.forgiven += month.spent
                month.spent = month.overrun = 0
                month.stopped = False


async def carry_out(team: Team, step: Step, now: datetime) -> datetime:  # noqa: C901  # a case a step
    """Returns what time it is then."""
    budgets = team.stores[step.client].budgets
    there = await reservations.find(budgets, team.id, reservation_id(str(step.which), "answer", 1))
    match step.what:
        case "sweep":
            await reservations.settle_expired(budgets, nothing_kept, MONTHS[-1] + timedelta(days=99))
        case "turn":
            now = MONTHS[step.which]
            await begin_periods(budgets, Scope(frozenset({team.id})), now)
        case "limit":
            await team.set(step.amount, now=now, by=step.client)
        case "reset":
            await team.reset(now=now, by=step.client)
        case "reserve":
            try:
                made = await team.reserve(step.amount, str(step.which), now=now, by=step.client)
            except CapReached:
                assert there is None
            else:
                assert (made.id, made.state) == (f"{step.which}:answer:1", there.state if there else "reserved")
                counter = await team.counter(now)
                assert there or counter.spent_micro + counter.reserved_micro <= counter.limit_micro
        case _ if there is None:
            pass
        case "begin":
            assert await reservations.begin(budgets, there, there.deadline) == (there.state == "reserved")
        case "settle":
            await reservations.settle(budgets, there, using(step.amount))
        case "settle_in_full":
            await reservations.settle_in_full(budgets, there)
        case "release":
            await reservations.release(budgets, there)
    return now


@pytest.mark.claim("C1")
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(limit=st.integers(0, 120), steps=STEPS)
async def test_when_steps_come_in_any_order_twice_or_never_then_the_cap_holds_and_adds_up(
    cosmos: Company, limit: int, steps: list[Step]
) -> None:
    team, model, now = await new_team(cosmos, limit), Model(limit), MONTHS[0]
    for step in steps:
        now = await carry_out(team, step, now)
        model.apply(step)
        counter, month = await team.counter(now), model.counter(model.month)
        told = (counter.spent_micro, counter.overrun_micro, counter.forgiven_micro, counter.stopped)
        assert told == (month.spent, month.overrun, month.forgiven, month.stopped)
        assert counter.reserved_micro == model.reserved(model.month)
        assert counter.limit_micro == month.limit
    kept = {each.id: (each.state, each.amount_micro, each.period) for each in await team.ledger()}
    assert kept == {
        f"{which}:answer:1": (state, amount, f"{MONTHS[month]:%Y-%m}")
        for which, (state, amount, month) in model.held.items()
    }
    await reservations.settle_expired(team.budgets, nothing_kept, MONTHS[-1] + timedelta(days=99))
    for period in (f"{month:%Y-%m}" for month in MONTHS):
        after = await read_counter(team.budgets, team.id, period)
        of_the_month = [each for each in await team.ledger() if each.period == period]
        charged = sum(each.charged_micro for each in of_the_month)
        assert after is None or (after.reserved_micro, after.spent_micro + after.forgiven_micro) == (0, charged)


# -- at once


async def outcome(call: Awaitable[Any]) -> Any:
    """What it returned, or the type of what it raised."""
    try:
        return await call
    except CapReached as error:
        return type(error)


@pytest.mark.claim("C1")
async def test_when_250_reserve_at_once_and_20_fit_then_20_are_reserved(cosmos: Company) -> None:
    team = await new_team(cosmos, 20 * 7 + 6)
    outcomes = await asyncio.gather(*(outcome(team.reserve(7, str(n), by=n % 2)) for n in range(250)))
    assert outcomes.count(CapReached) == 230
    assert await team.state() == (0, 140)
    assert len(await team.ledger()) == 20


@pytest.mark.claim("C1")
async def test_when_one_reservation_is_made_many_times_at_once_then_it_counts_once(team: Team) -> None:
    made = await asyncio.gather(*(team.reserve(60, by=n % 2) for n in range(20)))
    assert {each.id for each in made} == {"request:answer:1"}
    assert await team.state() == (0, 60)


async def test_when_many_workers_begin_one_call_then_one_does(team: Team) -> None:
    made = await team.reserve(60)
    beginning = (reservations.begin(team.stores[n % 2].budgets, made, made.deadline) for n in range(20))
    assert sorted(await asyncio.gather(*beginning)) == [False] * 19 + [True]


@pytest.mark.claim("C1")
async def test_when_a_call_is_settled_released_and_swept_at_once_then_it_is_closed_once(team: Team) -> None:
    made = await team.reserve(60)
    assert await reservations.begin(team.budgets, made, NOW)
    ways: list[Callable[[Items], Awaitable[Any]]] = [
        lambda budgets: reservations.settle(budgets, made, using(25)),
        lambda budgets: reservations.settle_in_full(budgets, made),
        lambda budgets: reservations.release(budgets, made),
        lambda budgets: reservations.settle_expired(budgets, nothing_kept, NOW + timedelta(seconds=1)),
    ]
    stores = (team.stores[0], team.stores[1], team.stores[0])
    await asyncio.gather(*(way(store.budgets) for way in ways for store in stores))
    (closed,) = await team.ledger()
    assert closed.state in ("settled", "released")
    assert await team.state() == (closed.actual_micro or 0, 0)


@pytest.mark.claim("C1")
async def test_when_a_period_begins_with_many_reservations_at_once_then_it_begins_once(cosmos: Company) -> None:
    team = await new_team(cosmos, 70, period="day", time_zone="Europe/Berlin")
    tick = [begin_periods(team.stores[n % 2].budgets, Scope(frozenset({team.id})), NOW) for n in range(4)]
    reserving = [outcome(team.reserve(7, str(n), by=n % 2)) for n in range(50)]
    outcomes = await asyncio.gather(*tick, *reserving)
    assert outcomes.count(CapReached) == 40
    assert sum(each for each in outcomes if isinstance(each, int)) <= 1
    assert await team.state() == (0, 70)


# -- one by one


@pytest.mark.claim("C1")
async def test_when_the_cap_is_reached_then_nothing_is_kept_and_raising_it_lets_calls_through(team: Team) -> None:
    with pytest.raises(CapReached):
        await team.reserve(101)
    assert await team.ledger() == []
    await team.set(101)
    assert (await team.reserve(101)).state == "reserved"


async def test_when_a_team_has_no_cap_then_nothing_is_reserved(cosmos: Company) -> None:
    with pytest.raises(CapMissing):
        await Team(*cosmos).reserve(1)


@pytest.mark.claim("C3")
async def test_when_the_price_is_in_another_currency_than_the_cap_then_nothing_is_reserved(cosmos: Company) -> None:
    team = await new_team(cosmos, currency="USD")
    with pytest.raises(CurrencyDiffers):
        await team.reserve(1)


async def test_when_a_call_is_settled_then_the_ledger_says_at_what(team: Team) -> None:
    made = await team.reserve(600 // 6)
    assert await reservations.begin(team.budgets, made, made.deadline)
    await reservations.settle(team.budgets, made, Usage(input_tokens=50, cached_input_tokens=30, output_tokens=10))
    (settled,) = await team.ledger()
    assert (settled.state, settled.actual_micro, settled.period) == ("settled", 60, "2026-01")
    assert (settled.input_tokens, settled.cached_input_tokens, settled.output_tokens) == (50, 30, 10)
    assert settled.settled_at is not None


@pytest.mark.claim("C3")
@pytest.mark.parametrize(
    "usage",
    [{}, {"input_tokens": 5}, {"output_tokens": 5}, {"input_tokens": 0, "output_tokens": 5},
     {"input_tokens": -5, "output_tokens": 5}, {"input_tokens": 5, "output_tokens": -5}],
)  # fmt: skip
async def test_when_usage_is_missing_or_cannot_be_then_what_was_reserved_is_charged(
    team: Team, usage: dict[str, int]
) -> None:
    assert team.wanted(60).cost_micro(Usage.model_validate(usage)) == 60


@pytest.mark.claim("C3")
@pytest.mark.parametrize("cached", [None, 0, -1, 6, 10**9])
async def test_when_more_comes_from_the_cache_than_there_is_then_it_is_no_discount(
    team: Team, cached: int | None
) -> None:
    usage = Usage(input_tokens=5, cached_input_tokens=cached, output_tokens=5)
    assert team.wanted(60, price=PRICE.model_copy(update={"cached_input_micro": 0})).cost_micro(usage) == 10


@pytest.mark.claim("C1")
async def test_when_nothing_has_expired_then_the_sweep_leaves_it(team: Team) -> None:
    await team.reserve(60)
    await reservations.settle_expired(team.budgets, nothing_kept, NOW)
    assert await team.state() == (0, 60)


@pytest.mark.claim("C1", "C3")
async def test_when_a_worker_died_before_it_settled_then_the_sweep_charges_by_the_usage_that_it_kept(
    team: Team,
) -> None:
    for request in ("kept", "lost"):
        made = await team.reserve(30, request)
        assert await reservations.begin(team.budgets, made, made.deadline)

    async def kept(reservation: Reservation) -> Usage | None:
        return using(12) if reservation.request_id == "kept" else None

    await reservations.settle_expired(team.budgets, kept, NOW + timedelta(days=1))
    assert {each.request_id: each.actual_micro for each in await team.ledger()} == {"kept": 12, "lost": 30}


@pytest.mark.claim("C1")
async def test_when_an_endpoint_charges_more_than_was_reserved_then_all_of_it_is_charged_told_and_the_team_is_stopped(
    team: Team,
) -> None:
    await team.spend(45, "request", reserved=10)
    counter = await team.counter()
    assert (counter.spent_micro, counter.reserved_micro, counter.overrun_micro, counter.stopped) == (45, 0, 35, True)
    (event,) = await team.events("cap.overrun")
    assert (event["Team"], event["RequestId"], event["CostMicro"], event["After"]) == (
        team.id, "request", 45, {"overrun_micro": 35},
    )  # fmt: skip
    with pytest.raises(Overrun):
        await team.reserve(1, "another")
    await reservations.settle(team.budgets, (await team.ledger())[0], using(45))
    assert await team.state() == (45, 0)
    assert len(await team.events("cap.overrun")) == 1, "settled again"
    await team.set(100)
    assert (await team.reserve(1, "another")).state == "reserved"


@pytest.mark.claim("C1")
async def test_when_a_call_ends_after_its_period_then_it_is_charged_to_the_period_that_reserved_it(team: Team) -> None:
    later = NOW + timedelta(days=31)
    made = await team.reserve(30)
    assert await reservations.begin(team.budgets, made, made.deadline)
    await team.spend(50, "next month", now=later)
    await reservations.settle(team.budgets, made, using(20))
    assert (await team.state(NOW), await team.state(later)) == ((20, 0), (50, 0))
