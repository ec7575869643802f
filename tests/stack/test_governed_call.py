"""The one way to a model, against Cosmos DB and scripted models: what must hold before, during and after the call."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from governance import reservations
from governance.caps import CapMissing
from governance.changes import Conflict, Journal
from governance.reservations import CapReached, Reservation
from governance.switches import (
    FRESH_SECONDS,
    PLATFORM,
    SWITCH_ID,
    Position,
    Stopped,
    SwitchesUnread,
    SwitchWatcher,
    assistant_scope,
    check_switches,
    position_of,
    set_switch,
)
from routing.endpoints import PriceUnknown, ResidencyRefused
from routing.governed_call import CallUnderWay, ModelFailed
from services.clock import utc_now, uuid7
from services.documents import Document, StoreUnavailable
from tests.stack.calls_kit import AT_MOST, COST, LIMIT, World, accept
from tests.stack.calls_kit import cosmos as cosmos
from tests.stack.calls_kit import world as world
from tests.stack.caps_kit import Unreachable, open_cap
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.models_kit import PRICE, USED, endpoint, model

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Failing:
    """Switches that can't be read, which takes them some seconds to say."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def read(self, item_id: str, partition: str) -> Document | None:
        await asyncio.sleep(self._seconds)
        raise StoreUnavailable(f"{partition} {item_id}")


# -- what it costs


async def test_when_a_call_is_made_then_it_is_settled_at_what_was_reported(world: World) -> None:
    governed = await world.ask()
    assert (governed.completion.text, governed.cost_micro, governed.currency) == ("A discount.", COST, "EUR")
    (reservation,) = await world.reservations()
    assert (reservation.state, reservation.amount_micro, reservation.actual_micro) == ("settled", AT_MOST, COST)
    assert (reservation.input_tokens, reservation.output_tokens) == (10, 5)
    assert (reservation.assistant, reservation.person) == (world.call.assistant, "alice")
    assert await world.cap() == (COST, 0)


@pytest.mark.claim("C3")
async def test_when_usage_is_not_reported_then_what_was_reserved_is_charged(world: World) -> None:
    async with model(usage=None) as silent:
        governed = await world.ask(endpoint=endpoint(silent.url))
    assert (governed.cost_micro, await world.cap()) == (AT_MOST, (AT_MOST, 0))


@pytest.mark.claim("C3")
async def test_when_the_price_is_not_known_then_nothing_is_reserved_or_called(world: World) -> None:
    tomorrow = PRICE.model_copy(update={"since": utc_now() + timedelta(days=1)})
    for prices in ([], [tomorrow]):
        with pytest.raises(PriceUnknown):
            await world.ask(endpoint=endpoint(world.model.url, prices=prices))
    assert (await world.reservations(), world.model.calls) == ([], 0)


@pytest.mark.claim("C3")
async def test_when_the_price_changes_then_a_call_costs_what_was_contracted_when_it_was_reserved(world: World) -> None:
    dearer = PRICE.model_copy(update={"input_micro": 5_000_000, "since": utc_now()})
    reservation = await abandoned(world, timedelta(seconds=30))
    completion = {"text": "Kept.", "model": "m", "finish_reason": "stop", "input_tokens": 4, "output_tokens": 3}
    await world.results.keep(reservation.id, completion)
    changed = endpoint(world.model.url, prices=[PRICE, dearer])
    assert (await world.ask(endpoint=changed)).cost_micro == 10, "settled by another worker after the change"
    assert (await world.ask(endpoint=changed)).cost_micro == 10, "handed on again"
    assert (await world.ask(endpoint=changed, purpose="another")).cost_micro == 5 * 10 + 2 * 5
    first, second = await world.reservations()
    assert {first.price.input_micro, second.price.input_micro} == {1_000_000, 5_000_000}


@pytest.mark.claim("C3")
async def test_when_the_provider_had_input_in_its_cache_then_that_costs_what_was_contracted_for_it(
    world: World,
) -> None:
    cheaper, dearer = (PRICE.model_copy(update={"cached_input_micro": micro}) for micro in (250_000, 3_000_000))
    usage = {**USED, "cached_tokens": 8}
    async with model(usage=usage) as caching:
        for purpose, price, cost in (("none", PRICE, 20), ("cheap", cheaper, 14), ("dear", dearer, 36)):
            called = await world.ask(purpose=purpose, endpoint=endpoint(caching.url, prices=[price]))
            assert (called.cost_micro, called.completion.cached_input_tokens) == (cost, 8)
    reserved = [(each.cached_input_tokens, each.amount_micro) for each in await world.reservations()]
    most = 3 * (AT_MOST - 200) + 200
    assert sorted(reserved) == [(8, AT_MOST), (8, AT_MOST), (8, most)], "also if everything comes from the cache"


@pytest.mark.claim("C3")
async def test_when_more_is_said_to_be_cached_than_there_was_then_there_is_no_discount(world: World) -> None:
    cheaper = PRICE.model_copy(update={"cached_input_micro": 0})
    async with model(usage={**USED, "cached_tokens": 11}) as boasting:
        called = await world.ask(endpoint=endpoint(boasting.url, prices=[cheaper]))
    assert called.cost_micro == COST


@pytest.mark.claim("M6")
@pytest.mark.parametrize("residency", ["self-hosted", "external"])
async def test_when_it_must_be_answered_in_azure_then_no_other_endpoint_is_reached(
    world: World, residency: str
) -> None:
    with pytest.raises(ResidencyRefused):
        await world.ask(endpoint=endpoint(world.model.url, residency=residency), residency="azure")
    assert (await world.reservations(), world.model.calls) == ([], 0)
    await world.ask(endpoint=endpoint(world.model.url, residency="azure"), residency="azure")


@pytest.mark.claim("C1")
async def test_when_the_cap_does_not_cover_it_then_no_model_is_called(world: World) -> None:
    await open_cap(world.store.budgets, short := uuid7(), AT_MOST - 1)
    with pytest.raises(CapReached):
        await world.ask(team=short)
    with pytest.raises(CapMissing):
        await world.ask(team=uuid7())
    assert (await world.cap(), world.model.calls) == ((0, 0), 0)


@pytest.mark.claim("C1")
async def test_when_it_cannot_be_reserved_then_no_model_is_called(world: World) -> None:
    world.account.fault("batch budgets")
    with pytest.raises(StoreUnavailable):
        await world.ask()
    assert world.model.calls == 0


# -- the switches


@pytest.mark.claim("K1", "K2")
@pytest.mark.parametrize("scope", ["", PLATFORM])
async def test_when_a_switch_is_on_then_nothing_is_reserved_or_called(world: World, scope: str) -> None:
    await world.switch(scope=scope)
    try:
        with pytest.raises(Stopped) as stop:
            await world.ask()
    finally:
        await world.switch(scope=scope, stopped=False)
    assert stop.value.reason == "a drill"
    assert (await world.reservations(), world.model.calls) == ([], 0)
    await world.ask()


@pytest.mark.claim("K3")
async def test_when_the_switches_cannot_be_read_then_nothing_is_reserved_or_called(world: World) -> None:
    world.account.fault("read control")
    with pytest.raises(StoreUnavailable):
        await world.ask()
    assert (await world.reservations(), world.model.calls) == ([], 0)


@pytest.mark.claim("K3")
async def test_when_a_switch_goes_on_between_its_reading_and_the_call_then_the_call_is_not_made(world: World) -> None:
    """The reading is too old by then, so there is another."""
    world.account.fault("patch budgets", kind="delay", seconds=0.5)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.account.control.counts["patch budgets"])
    await world.switch()
    with pytest.raises(Stopped):
        await asking
    assert (await world.states(), await world.cap(), world.model.calls) == (["released"], (0, 0), 0)


@pytest.mark.claim("K3")
async def test_when_a_switch_goes_on_during_the_call_then_it_is_cancelled_and_charged_in_full(world: World) -> None:
    world.model.fault(kind="delay", seconds=4)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    await world.switch()
    async with asyncio.timeout(2):
        with pytest.raises(Stopped):
            await asking
    await world.when(lambda: world.model.control.counts["chat:cancelled"])
    assert (await world.states(), await world.cap(), world.model.calls) == (["settled"], (AT_MOST, 0), 1)


@pytest.mark.claim("K3")
async def test_when_another_assistant_is_stopped_during_the_call_then_it_goes_on(world: World) -> None:
    world.model.fault(kind="delay", seconds=1.2)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    await world.switch(scope=assistant_scope("another"))
    assert (await asking).completion.text == "A discount."


@pytest.mark.claim("K3")
async def test_when_a_switch_goes_on_after_the_call_then_its_answer_is_not_handed_on(world: World) -> None:
    world.account.fault("patch requests", kind="delay", seconds=0.2)  # keeping the result
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.account.control.counts["patch requests"])
    await world.switch()
    with pytest.raises(Stopped):
        await asking
    assert (await world.states(), await world.cap(), world.model.calls) == (["settled"], (COST, 0), 1)


@pytest.mark.claim("K3")
async def test_when_the_switches_cannot_be_read_during_the_call_then_the_gate_after_it_refuses(world: World) -> None:
    world.model.fault(kind="delay", seconds=0.8)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    world.account.fault("read control")
    with pytest.raises(StoreUnavailable):
        await asking
    assert await world.cap() == (COST, 0)


@pytest.mark.claim("K3")
async def test_when_the_switches_cannot_be_read_for_long_during_the_call_then_it_is_cancelled(world: World) -> None:
    world.model.fault(kind="delay", seconds=8)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    world.account.fault("read control", times=100)
    async with asyncio.timeout(4):
        with pytest.raises(SwitchesUnread):
            await asking
    world.account.control.faults.clear()
    await world.when(lambda: world.model.control.counts["chat:cancelled"])
    assert (await world.states(), await world.cap()) == (["settled"], (AT_MOST, 0))


@pytest.mark.claim("K3")
async def test_when_a_switch_is_unreadable_in_a_way_that_nobody_thought_of_then_the_call_is_cancelled_too(
    world: World,
) -> None:
    world.model.fault(kind="delay", seconds=8)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    await world.store.control.upsert({"id": SWITCH_ID, "scope": assistant_scope(world.call.assistant)})
    async with asyncio.timeout(4):
        with pytest.raises(SwitchesUnread):
            await asking
    assert (await world.states(), await world.cap()) == (["settled"], (AT_MOST, 0))


@pytest.mark.claim("K3")
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.3])
async def test_when_readings_fail_at_any_pace_then_the_call_is_cancelled_within_two_seconds_of_the_last_good_one(
    world: World, seconds: float
) -> None:
    """So within one of the acknowledgement of whatever was written since that reading."""
    reading = await check_switches(world.store.control, world.call.assistant)
    await asyncio.sleep(FRESH_SECONDS - 0.1)
    with pytest.raises(SwitchesUnread):
        async with SwitchWatcher(Failing(seconds)).watching(world.call.assistant, reading):
            await asyncio.sleep(10)
    assert time.monotonic() - reading.taken_at < 2


@pytest.mark.claim("K3")
async def test_when_whoever_makes_the_call_does_not_notice_the_stop_then_it_ends_stopped_all_the_same(
    world: World,
) -> None:
    watcher = SwitchWatcher(world.store.control)
    reading = await check_switches(world.store.control, world.call.assistant)

    async def deaf() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "an answer"
        return "never"

    async def loud() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise ConnectionError from None
        return "never"

    async def watched(call: Callable[[], Awaitable[str]]) -> str:
        async with watcher.watching(world.call.assistant, reading):
            return await call()

    calls = [asyncio.create_task(watched(call)) for call in (deaf, loud)]
    await asyncio.sleep(0)
    await world.switch()
    async with asyncio.timeout(2):
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in ended] == [Stopped, Stopped]


# -- the switches themselves


@pytest.mark.claim("K3", "A3")
async def test_when_a_stop_and_a_release_come_at_once_then_the_last_acknowledged_holds_and_both_are_in_the_trail(
    world: World,
) -> None:
    journals = [Journal(store, Unreachable()) for store in (world.store, await world.account.store())]
    scope = assistant_scope(world.call.assistant)
    setting = (
        set_switch(journals[n % 2], scope, stopped=bool(n % 2), reason=f"number {n}", actor="gus") for n in range(4)
    )
    ended = await asyncio.gather(*setting, return_exceptions=True)
    now = await position_of(world.store.control, scope)
    acknowledged = [each for each in ended if isinstance(each, Position)]
    assert {type(each) for each in ended} == {Position, Conflict}
    assert acknowledged
    assert all(each == now for each in acknowledged)
    found = world.store.control.query("SELECT * FROM c WHERE c.type = 'audit'", partition=scope)
    assert {each["audit"]["event"]["Reason"] async for each in found} == {f"number {n}" for n in range(4)}


@pytest.mark.claim("K3")
async def test_when_a_stop_is_repeated_then_each_is_acknowledged(world: World) -> None:
    journal, scope = Journal(world.store, Unreachable()), assistant_scope(world.call.assistant)
    stops = (set_switch(journal, scope, stopped=True, reason=f"number {n}", actor="gus") for n in range(3))
    assert all(each.stopped for each in await asyncio.gather(*stops))
    with pytest.raises(Stopped):
        await world.ask()


# -- again


@pytest.mark.claim("C1")
async def test_when_it_is_settled_and_runs_again_then_the_kept_result_comes_without_a_call(world: World) -> None:
    first = await world.ask()
    assert await world.ask() == first
    assert (await world.states(), await world.cap(), world.model.calls) == (["settled"], (COST, 0), 1)


@pytest.mark.claim("C1")
async def test_when_two_workers_make_one_call_then_one_does_and_the_other_is_told_until_when(world: World) -> None:
    world.model.fault(kind="delay", seconds=0.5)
    first = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    with pytest.raises(CallUnderWay) as under_way:
        await world.ask()
    (reservation,) = await world.reservations()
    assert under_way.value.until == reservation.deadline
    assert utc_now() < reservation.deadline <= utc_now() + timedelta(seconds=10)
    await first
    assert (world.model.calls, await world.cap()) == (1, (COST, 0))


async def abandoned(world: World, deadline: timedelta) -> Reservation:
    """The reservation of a worker that died during its call."""
    now = utc_now()
    reservation = Reservation(
        id=reservations.reservation_id(world.call.request_id, "answer", 1),
        team=world.call.team,
        price=PRICE,
        amount_micro=AT_MOST,
        assistant=world.call.assistant,
        person="alice",
        endpoint=world.call.endpoints[0],
        provider="openai-compatible",
        model="scripted",
        region="here",
        residency="self-hosted",
        created_at=now,
        deadline=now + reservations.RESERVED_FOR,
    )
    reservation = await reservations.reserve(world.store.budgets, reservation, now)
    assert await reservations.begin(world.store.budgets, reservation, now + deadline)
    return reservation


@pytest.mark.claim("C1")
async def test_when_a_worker_died_during_its_call_then_that_is_charged_in_full_and_made_anew(world: World) -> None:
    await abandoned(world, timedelta(seconds=-1))
    assert (await world.ask()).cost_micro == COST
    charged = [(each.state, each.actual_micro) for each in await world.reservations()]
    assert charged == [("settled", AT_MOST), ("settled", COST)]
    assert (world.model.calls, await world.cap()) == (1, (AT_MOST + COST, 0))


async def test_when_a_worker_may_still_be_calling_then_it_is_left_alone(world: World) -> None:
    reservation = await abandoned(world, timedelta(seconds=30))
    with pytest.raises(CallUnderWay):
        await world.ask()
    assert (world.model.calls, await world.cap()) == (0, (0, reservation.amount_micro))


async def test_when_a_worker_died_with_its_result_kept_then_that_is_settled_and_no_call_made(world: World) -> None:
    reservation = await abandoned(world, timedelta(seconds=30))
    completion = {"text": "Kept.", "model": "m", "finish_reason": "stop", "input_tokens": 4, "output_tokens": 3}
    await world.results.keep(reservation.id, completion)
    governed = await world.ask()
    assert (governed.completion.text, governed.cost_micro) == ("Kept.", 10)
    assert (world.model.calls, await world.cap()) == (0, (10, 0))


# -- models that fail


async def test_when_the_provider_refuses_the_call_then_it_is_not_repeated_and_not_charged(world: World) -> None:
    world.model.fault(kind="status", status=400)
    with pytest.raises(ModelFailed, match="status 400"):
        await world.ask()
    assert (await world.states(), await world.cap(), world.model.calls) == (["released"], (0, 0), 1)


@pytest.mark.parametrize("status", [429, 500])
async def test_when_the_provider_fails_once_then_the_call_is_repeated(world: World, status: int) -> None:
    world.model.fault(kind="status", status=status, times=1)
    assert (await world.ask()).cost_micro == COST
    assert (await world.states(), await world.cap(), world.model.calls) == (["released", "settled"], (COST, 0), 2)


async def failing(world: World, url: str, timeout_seconds: float) -> tuple[list[str], tuple[int, int]]:
    """What is left of a call of a team of its own to a model that doesn't answer."""
    call = replace(world.call, request_id=uuid7(), team=uuid7(), endpoints=[await world.configured(endpoint(url))])
    other = replace(world, call=call, governor=replace(world.governor, model_timeout_seconds=timeout_seconds))
    await open_cap(world.store.budgets, call.team, LIMIT)
    await accept(world.store, call)
    with pytest.raises(ModelFailed):
        await other.ask()
    return await other.states(), await other.cap()


@pytest.mark.claim("C1")
async def test_when_the_model_never_answers_then_what_may_have_been_used_is_charged_and_nothing_else(
    world: World,
) -> None:
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        async with model() as unwell, model() as slow, model() as hanging_up:
            unwell.fault(kind="status", status=503)
            slow.fault(kind="delay", seconds=30)
            hanging_up.fault(kind="drop")
            refused, timed_out, dropped, unreachable = await asyncio.gather(
                failing(world, unwell.url, 5),
                failing(world, slow.url, 1),
                failing(world, hanging_up.url, 5),
                failing(world, closed, 5),
            )
            assert [each.calls for each in (unwell, slow, hanging_up)] == [3, 3, 3]
    assert refused == unreachable == (["released"] * 3, (0, 0))
    assert timed_out == dropped == (["settled"] * 3, (3 * AT_MOST, 0))
