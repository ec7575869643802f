"""Caps against Cosmos DB: what a governor changes holds at once, periods begin by themselves, teams are told once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from governance import caps
from governance.access import EVERYWHERE, Scope
from governance.caps import CapUnknown, begin_period, list_caps, read_cap, read_counter, tell_thresholds
from governance.changes import Conflict, Outdated
from governance.reservations import CapReached
from tests.stack.caps_kit import NOW, Company, Team, open_cap
from tests.stack.caps_kit import cosmos as cosmos
from tests.stack.cosmos_kit import certificates as certificates

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def team(cosmos: Company) -> AsyncIterator[Team]:
    team = Team(*cosmos)
    await team.set(100)
    yield team
    cosmos[0].control.faults.clear()


# -- what a governor changes


@pytest.mark.claim("C1", "A3")
async def test_when_a_cap_is_set_then_the_trail_says_what_was_before_and_after(team: Team) -> None:
    await team.set(200, period="week", time_zone="Europe/Berlin", thresholds=[90])
    first, second = await team.events("cap.set")
    assert first["Before"] == {}
    assert first["After"] == second["Before"] == {
        "limit_micro": 100, "currency": "EUR", "period": "month", "time_zone": "UTC", "thresholds": [50, 80, 100],
    }  # fmt: skip
    assert second["After"] == {**first["After"], "limit_micro": 200, "period": "week", "time_zone": "Europe/Berlin",
                               "thresholds": [90]}  # fmt: skip
    assert {(event["Actor"], event["Team"], event["Reason"]) for event in (first, second)} == {
        ("gus", team.id, "a test")
    }


@pytest.mark.claim("C1")
async def test_when_a_cap_is_lowered_below_what_is_spent_then_the_team_is_stopped_at_once(team: Team) -> None:
    await team.spend(60, "before")
    await team.set(50)
    with pytest.raises(CapReached):
        await team.reserve(1)
    await team.set(61)
    assert (await team.reserve(1)).state == "reserved"


@pytest.mark.claim("C1")
@pytest.mark.parametrize("settings", [{"period": "day"}, {"period": "week"}, {"time_zone": "Pacific/Kiritimati"}])
async def test_when_the_period_is_changed_then_what_was_reserved_stays_and_the_new_limit_holds(
    team: Team, settings: dict[str, Any]
) -> None:
    evening = datetime(2026, 1, 31, 23, tzinfo=UTC)
    await team.reserve(60, "before", now=evening)
    await team.set(50, now=evening, **settings)
    with pytest.raises(CapReached):
        await team.reserve(51, "after", now=evening)
    await team.reserve(50, "after", now=evening)
    assert await team.state(evening) == (0, 50)
    await team.set(70, now=evening, period="month", time_zone="UTC")
    assert await team.state(evening) == (0, 60)
    with pytest.raises(CapReached):
        await team.reserve(11, "again", now=evening)


@pytest.mark.claim("C1")
async def test_when_two_change_a_cap_at_once_then_one_does_and_the_other_is_told(team: Team) -> None:
    found = await read_cap(team.budgets, team.id)
    assert found is not None
    setting = (team.set(200 + n, etag=found[1], by=n % 2) for n in range(6))
    outcomes = await asyncio.gather(*setting, return_exceptions=True)
    assert [type(each) for each in outcomes].count(Outdated) == 5
    cap = await read_cap(team.budgets, team.id)
    counter = await team.counter()
    assert cap is not None
    assert cap[0].limit_micro == counter.limit_micro >= 200
    assert len(await team.events("cap.set")) == 2


@pytest.mark.claim("C1")
async def test_when_the_cap_is_changed_while_a_period_begins_then_the_new_limit_holds(cosmos: Company) -> None:
    for _ in range(10):
        team = Team(*cosmos)
        await open_cap(team.budgets, team.id, 100)
        changing = team.set(10)
        beginning = (caps.begin_periods(team.stores[1].budgets, Scope(frozenset({team.id})), NOW) for _ in range(3))
        await asyncio.gather(changing, *beginning, return_exceptions=True)
        cap = await read_cap(team.budgets, team.id)
        assert cap is not None
        assert (await team.counter()).limit_micro == cap[0].limit_micro


async def test_when_a_cap_was_changed_since_it_was_read_then_no_period_begins_by_it(team: Team) -> None:
    read = await read_cap(team.budgets, team.id)
    assert read is not None
    await team.set(50)
    later = read[0].period_at(NOW + timedelta(days=31))
    assert not await begin_period(team.budgets, read[0], later)
    assert await read_counter(team.budgets, team.id, later.id) is None


async def test_when_another_currency_is_wanted_then_it_is_refused(team: Team) -> None:
    with pytest.raises(Conflict):
        await team.set(100, currency="USD")


@pytest.mark.claim("C1", "A3")
async def test_when_a_cap_is_reset_then_what_was_spent_counts_no_more_and_what_is_reserved_stays(team: Team) -> None:
    await team.spend(60, "before")
    await team.reserve(30, "open")
    after = await team.reset()
    assert after == await team.counter()
    assert (after.spent_micro, after.reserved_micro, after.forgiven_micro) == (0, 30, 60)
    (event,) = await team.events("cap.reset")
    assert (event["Before"]["spent_micro"], event["After"]["spent_micro"]) == (60, 0)
    await team.reserve(70, "after")


async def test_when_a_team_has_no_cap_then_there_is_nothing_to_reset(cosmos: Company) -> None:
    with pytest.raises(CapUnknown):
        await Team(*cosmos).reset()


async def test_when_a_cap_is_reset_while_calls_are_settled_then_nothing_is_lost(team: Team) -> None:
    await asyncio.gather(*(team.spend(5, str(n)) for n in range(10)), team.reset(by=1), team.reset(by=1))
    counter = await team.counter()
    assert counter.spent_micro + counter.forgiven_micro == 50
    events = await team.events("cap.reset")
    assert sum(event["Before"]["spent_micro"] for event in events) == counter.forgiven_micro


# -- periods


@pytest.mark.claim("C1")
async def test_when_a_period_is_over_then_the_timer_begins_the_next_one_once_also_after_ticks_were_missed(
    team: Team,
) -> None:
    await team.spend(60, "january")
    await team.reserve(20, "open")
    mine = Scope(frozenset({team.id}))
    in_april = NOW + timedelta(days=90)
    assert await caps.begin_periods(team.budgets, mine, NOW) == 0
    begun = await asyncio.gather(*(caps.begin_periods(store.budgets, mine, in_april) for store in team.stores * 3))
    assert sum(begun) == 1
    assert (await team.state(in_april), await team.state(NOW)) == ((0, 0), (60, 20))
    assert [cap.team async for cap, _ in list_caps(team.budgets, mine)] == [team.id]


@pytest.mark.claim("C1")
async def test_when_clocks_differ_at_the_turn_of_a_period_then_each_counter_keeps_its_limit(team: Team) -> None:
    turn = datetime(2026, 2, 1, tzinfo=UTC)
    for n, now in enumerate((turn, turn - timedelta(seconds=1), turn, turn - timedelta(seconds=1))):
        await team.spend(45, str(n), now=now)
    assert await team.state(turn) == await team.state(turn - timedelta(seconds=1)) == (90, 0)


# -- thresholds


@pytest.mark.claim("C1")
async def test_when_a_team_reaches_a_threshold_then_it_is_told_once_whatever_number_of_sweeps_run(team: Team) -> None:
    async def told() -> list[int]:
        await asyncio.gather(*(tell_thresholds(store.budgets, NOW) for store in team.stores * 2))
        return sorted(event["After"]["threshold_percent"] for event in await team.events("cap.threshold"))

    await team.spend(49, "first")
    assert await told() == []
    await team.spend(1, "second")
    assert await told() == [50]
    await team.spend(50, "third")
    assert await told() == [50, 80, 100]
    await team.set(90)
    assert await told() == [50, 80, 100]
    await team.reset()
    await team.spend(45, "fourth")
    assert await told() == [50, 50, 80, 100], "after a reset they are reached anew"


async def test_when_caps_are_listed_then_only_those_in_scope(team: Team) -> None:
    everywhere = [cap.team async for cap, _ in list_caps(team.budgets, EVERYWHERE)]
    assert team.id in everywhere
    assert [cap.team async for cap, _ in list_caps(team.budgets, Scope(frozenset({"nobody"})))] == []
