"""Routes: the next endpoint when one does not answer, and never one that may not be called."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.problems import ProblemError
from governance.request_events import audit_event
from governance.requests import load
from governance.reservations import (
    RESERVED_FOR,
    CapReached,
    Reservation,
    attempts_of,
    begin,
    reservation_id,
    reserve,
)
from governance.switches import Stopped
from routing.endpoints import Endpoint, EndpointUnknown, PriceUnknown, ResidencyRefused
from routing.governed_call import AnswerDeclined, Governed, ModelFailed, PromptTooLong, governed_call
from services.clock import utc_now
from services.documents import Store
from tests.stack.calls_kit import AT_MOST, COST, World, new_world
from tests.stack.calls_kit import cosmos as cosmos
from tests.stack.calls_kit import world as world
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.models_kit import PLACES, PRICE, Model, endpoint, model
from tests.stack.store_kit import Account

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def other() -> AsyncIterator[Model]:
    """Another model, behind the one that does not answer."""
    async with model(answer="From elsewhere.") as there:
        yield there


async def through(world: World, *endpoints: Endpoint, **call: Any) -> Governed:
    """Asked by a route of these."""
    return await world.ask(endpoints=[await world.configured(each) for each in endpoints], **call)


async def outcomes(world: World) -> list[tuple[str, str]]:
    """What became of each attempt, and its state, in their order."""
    made = await attempts_of(world.store.budgets, world.call.team, world.call.request_id)
    return [(each.outcome, each.state) for each in made]


# -- what goes on, and where


@pytest.mark.claim("M4")
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_when_an_endpoint_fails_again_then_the_next_one_answers(world: World, other: Model, status: int) -> None:
    world.model.fault(kind="status", status=status, seconds=7)
    first, second = endpoint(world.model.url), endpoint(other.url)
    governed = await through(world, first, second)
    assert (governed.completion.text, governed.endpoint) == ("From elsewhere.", second.id)
    tries = 1 if status in (429, 503) else 2  # a Retry-After is not waited for while another can be asked
    assert (world.model.calls, other.calls) == (tries, 1)
    assert await outcomes(world) == [(f"status {status}", "released")] * tries + [("answered", "settled")]
    assert await world.cap() == (COST, 0)


@pytest.mark.claim("M4")
async def test_when_an_endpoint_fails_once_then_it_is_asked_again(world: World, other: Model) -> None:
    world.model.fault(kind="status", status=500, times=1)
    assert (await through(world, endpoint(world.model.url), endpoint(other.url))).completion.text == "A discount."
    assert (world.model.calls, other.calls) == (2, 0)


@pytest.mark.claim("M4", "C1")
async def test_when_an_endpoint_takes_too_long_or_hangs_up_then_that_is_charged_and_the_next_one_answers(
    world: World, other: Model
) -> None:
    world.governor = replace(world.governor, model_timeout_seconds=0.3)
    world.model.fault(kind="delay", seconds=5, times=1)
    world.model.fault(kind="drop")
    await through(world, endpoint(world.model.url), endpoint(other.url))
    failed = [("no answer in time", "settled"), ("APIConnectionError", "settled")]
    assert await outcomes(world) == [*failed, ("answered", "settled")]
    assert await world.cap() == (2 * AT_MOST + COST, 0)


@pytest.mark.claim("M4")
@pytest.mark.parametrize("status", [401, 403, 404, 307])
async def test_when_an_endpoint_is_not_what_was_configured_then_the_next_one_is_asked_at_once(
    world: World, other: Model, status: int
) -> None:
    world.model.fault(kind="status", status=status)
    assert (await through(world, endpoint(world.model.url), endpoint(other.url))).completion.text == "From elsewhere."
    assert (world.model.calls, other.calls) == (1, 1)


@pytest.mark.claim("M4", "C3")
async def test_when_an_answer_is_empty_then_it_is_charged_and_the_next_one_is_asked(world: World, other: Model) -> None:
    await world.model.script(answer="")
    assert (await through(world, endpoint(world.model.url), endpoint(other.url))).completion.text == "From elsewhere."
    assert await outcomes(world) == [("an empty answer", "settled"), ("answered", "settled")]
    assert await world.cap() == (2 * COST, 0)


@pytest.mark.claim("M4")
@pytest.mark.parametrize(
    ("line", "ends", "charged"),
    [
        ({"refusal": "content_filter"}, AnswerDeclined, AT_MOST),
        ({"finish_reason": "content_filter"}, AnswerDeclined, COST),
        ({"refusal": "context_length"}, PromptTooLong, AT_MOST),
    ],
    ids=str,
)
async def test_when_a_model_declines_then_no_other_is_asked(
    world: World, other: Model, line: dict[str, Any], ends: type[ProblemError], charged: int
) -> None:
    await world.model.script(**line)
    with pytest.raises(ends):
        await through(world, endpoint(world.model.url), endpoint(other.url))
    assert (world.model.calls, other.calls, await world.cap()) == (1, 0, (charged, 0))
    with pytest.raises(ends):
        await through(world, endpoint(other.url), endpoint(world.model.url))
    assert (world.model.calls, other.calls, await world.cap()) == (1, 0, (charged, 0)), "nor when it runs again"


@pytest.mark.claim("M4")
async def test_when_a_request_is_refused_as_it_is_then_no_other_is_asked(world: World, other: Model) -> None:
    """What no other status explains may be for what was asked."""
    world.model.fault(kind="status", status=400)
    with pytest.raises(ModelFailed, match="400"):
        await through(world, endpoint(world.model.url), endpoint(other.url))
    assert other.calls == 0


async def test_when_no_endpoint_answers_then_each_had_its_tries(world: World, other: Model) -> None:
    for each in (world.model, other):
        each.fault(kind="status", status=500)
    with pytest.raises(ModelFailed, match="500"):
        await through(world, endpoint(world.model.url), endpoint(other.url))
    assert (world.model.calls, other.calls, await world.cap()) == (2, 2, (0, 0))


async def test_when_the_provider_says_when_to_come_again_and_there_is_no_other_then_that_is_waited_for(
    world: World,
) -> None:
    world.model.fault(kind="status", status=429, seconds=1, times=1)
    began = utc_now()
    assert (await world.ask()).completion.text == "A discount."
    assert utc_now() - began >= timedelta(seconds=1)


async def test_when_the_provider_says_to_come_again_after_the_call_s_time_then_nobody_waits(world: World) -> None:
    world.model.fault(kind="status", status=429, seconds=3600)
    async with asyncio.timeout(5):
        with pytest.raises(ModelFailed, match="429"):
            await world.ask()
    assert world.model.calls == 1


# -- each attempt goes through every gate


BUSY: dict[str, Any] = {"kind": "status", "status": 429, "seconds": 2}
"""The next attempt is made in two seconds."""


@pytest.mark.claim("M4", "K3")
async def test_when_a_switch_goes_on_between_two_attempts_then_the_next_one_is_not_made(world: World) -> None:
    world.model.fault(**BUSY)
    asking = asyncio.create_task(world.ask())
    await world.when(lambda: world.model.calls)
    await world.switch()
    with pytest.raises(Stopped):
        await asking
    assert world.model.calls == 1


@pytest.mark.claim("M4", "M6", "C3")
@pytest.mark.parametrize("becomes", [{"residency": "external"}, {"prices": []}], ids=str)
async def test_when_an_endpoint_may_not_be_called_any_more_between_two_attempts_then_it_is_not(
    world: World, becomes: dict[str, Any]
) -> None:
    there = endpoint(world.model.url, residency="azure")
    world.model.fault(**BUSY)
    asking = asyncio.create_task(through(world, there, residency="azure"))
    await world.when(lambda: world.model.calls)
    await world.configured(there.model_copy(update=becomes))
    with pytest.raises(ModelFailed):
        await asking
    assert world.model.calls == 1


@pytest.mark.claim("M4", "M6")
async def test_when_an_endpoint_may_not_be_called_then_the_others_are_and_it_is_not(world: World, other: Model) -> None:
    outside, unpriced = other.endpoint("openai"), other.endpoint("azure-openai", prices=[])
    inside = world.model.endpoint("azure-openai")
    await through(world, outside, unpriced, inside, residency="azure")
    assert (world.model.calls, other.calls) == (1, 0)
    world.model.fault(kind="status", status=500)
    with pytest.raises(ModelFailed):
        await through(world, outside, inside, unpriced, residency="azure", purpose="again")
    assert other.calls == 0


@pytest.mark.claim("M6", "C3")
@pytest.mark.parametrize(("which", "ends"), [("outside", ResidencyRefused), ("unpriced", PriceUnknown), ("none", None)])
async def test_when_no_endpoint_may_be_called_then_the_reason_is_told(
    world: World, which: str, ends: type[ProblemError] | None
) -> None:
    made = {"outside": world.model.endpoint("openai"), "unpriced": world.model.endpoint("azure-openai", prices=[])}
    if ends is None:
        with pytest.raises(EndpointUnknown):
            await world.ask(endpoints=["not-there"], residency="azure")
    else:
        with pytest.raises(ends):
            await through(world, made[which], residency="azure")
    assert (world.model.calls, await world.reservations()) == (0, [])


@pytest.mark.claim("M4", "C1")
async def test_when_the_next_endpoint_costs_more_than_is_left_then_it_is_not_called(world: World, other: Model) -> None:
    dear = PRICE.model_copy(update={"output_micro": 900_000_000_000})
    world.model.fault(kind="status", status=404)
    with pytest.raises(CapReached):
        await through(world, endpoint(world.model.url), endpoint(other.url, prices=[dear]))
    assert (other.calls, await world.cap()) == (0, (0, 0))


@pytest.mark.claim("M4", "C3")
async def test_when_an_endpoint_s_price_is_in_another_currency_than_the_cap_then_the_others_are_asked(
    world: World, other: Model
) -> None:
    dollars = PRICE.model_copy(update={"currency": "USD"})
    await through(world, endpoint(other.url, prices=[dollars]), endpoint(world.model.url))
    assert (world.model.calls, other.calls) == (1, 0)


@pytest.mark.claim("C1")
async def test_when_an_endpoint_gives_shorter_answers_than_the_assistant_may_then_no_more_is_asked_or_reserved(
    world: World,
) -> None:
    await world.ask(endpoint=endpoint(world.model.url, output_tokens=7))
    (reservation,) = await world.reservations()
    assert reservation.amount_micro == AT_MOST - 2 * 93
    assert [body["max_tokens"] for body in await world.model.asked()] == [7]


# -- again


@pytest.mark.claim("C1", "M4")
async def test_when_it_runs_again_after_a_fallback_then_the_kept_result_comes_from_where_it_was(
    world: World, other: Model
) -> None:
    world.model.fault(kind="status", status=404)
    first = await through(world, one := endpoint(world.model.url), two := endpoint(other.url))
    assert await world.ask(endpoints=[one.id, two.id]) == first
    assert await world.ask(endpoints=[two.id, one.id]) == first, "also when the route is another one by then"
    assert (world.model.calls, other.calls) == (1, 1)


async def left_behind(world: World, there: Endpoint, *, called: bool) -> None:
    """The first attempt's reservation, of a worker that died before its call or in it."""
    now = utc_now()
    wanted = Reservation(
        id=reservation_id(world.call.request_id, "answer", 1),
        team=world.call.team,
        price=PRICE,
        amount_micro=AT_MOST,
        assistant=world.call.assistant,
        person="alice",
        **there.model_dump(include={"provider", "model", "region", "residency"}),
        endpoint=there.id,
        created_at=now,
        deadline=now + RESERVED_FOR,
    )
    made = await reserve(world.store.budgets, wanted, now)
    assert not called or await begin(world.store.budgets, made, now - timedelta(seconds=1))


@pytest.mark.claim("C1", "M4")
@pytest.mark.parametrize("called", [False, True])
async def test_when_a_worker_died_at_an_endpoint_that_is_not_to_be_called_any_more_then_it_is_not(
    world: World, other: Model, called: bool
) -> None:
    """What may have been used is charged, and the attempt counts."""
    gone = other.endpoint("openai")
    await world.configured(gone)
    await left_behind(world, gone, called=called)
    await through(world, gone, world.model.endpoint("azure-openai"), residency="azure")
    assert await outcomes(world) == [("abandoned", "settled" if called else "released"), ("answered", "settled")]
    assert await world.cap() == (AT_MOST * called + COST, 0)
    assert (world.model.calls, other.calls) == (1, 0)


# -- a broken endpoint is left alone for a while


async def test_when_an_endpoint_was_broken_three_times_then_others_are_asked_first(world: World, other: Model) -> None:
    first, second = endpoint(world.model.url), endpoint(other.url)
    world.model.fault(kind="status", status=500)
    for n in range(2):
        await through(world, first, second, purpose=f"judge-{n}")
    assert world.model.calls == 3, "twice for the first question, once for the second"
    for n in range(2, 4):
        await through(world, first, second, purpose=f"judge-{n}")
    assert (world.model.calls, other.calls) == (3, 4)
    world.model.control.faults.clear()
    await through(world, first, purpose="alone")
    assert world.model.calls == 4, "where there is no other, it is asked all the same"
    await through(world, first, second, purpose="well again")
    assert (world.model.calls, other.calls) == (5, 4)


# -- what the trail says of it


@pytest.mark.claim("T4", "A1", "M4")
async def test_when_there_were_several_attempts_then_the_audit_event_has_each_in_its_order(
    world: World, other: Model
) -> None:
    await world.model.script(answer="")
    first, second = world.model.endpoint("azure-openai"), other.endpoint("anthropic", region="elsewhere")
    await through(world, first, second)
    request = await load(world.store.requests, world.call.request_id)
    assert request is not None
    made = await attempts_of(world.store.budgets, world.call.team, world.call.request_id)
    event = audit_event(request, None, made, utc_now())
    common = {"purpose": "answer", "model": "scripted", "state": "settled", "cost_micro": COST}
    assert event.Attempts == [
        {
            **common, "attempt": 1, "endpoint": first.id, "provider": "azure-openai", "residency": "azure",
            "outcome": "an empty answer",
        },
        {
            **common, "attempt": 2, "endpoint": second.id, "provider": "anthropic", "residency": "external",
            "outcome": "answered",
        },
    ]  # fmt: skip
    assert (event.Endpoint, event.Provider, event.Region) == (second.id, "anthropic", "elsewhere")
    assert event.CostMicro == 2 * COST


# -- whatever the route


type Behaviour = Literal["answers", "is elsewhere", "is busy", "answers with nothing", "declines"]
LINES: dict[str, dict[str, Any]] = {
    "answers with nothing": {"answer": ""},
    "declines": {"refusal": "content_filter"},
}
FAULTS: dict[str, dict[str, Any]] = {
    "is elsewhere": {"kind": "status", "status": 404},
    "is busy": {"kind": "status", "status": 429, "seconds": 3600},
}
BEHAVIOURS: tuple[Behaviour, ...] = ("answers", "is elsewhere", "is busy", "answers with nothing", "declines")

drawn_endpoints = st.tuples(
    st.sampled_from(sorted(PLACES)),
    st.sampled_from(["azure", "external", "self-hosted"]),  # of a server that speaks OpenAI's API
    st.sampled_from(["priced", "priced", "priced", "unpriced", "in dollars", "from tomorrow"]),
    st.sampled_from(BEHAVIOURS),
)
PRICES = {
    "priced": [PRICE],
    "unpriced": [],
    "in dollars": [PRICE.model_copy(update={"currency": "USD"})],
    "from tomorrow": [PRICE.model_copy(update={"since": utc_now() + timedelta(days=1)})],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines() -> AsyncIterator[dict[str, Model]]:
    """A model for each way to behave."""
    async with AsyncExitStack() as exits:
        made: dict[str, Model] = {}
        for each in BEHAVIOURS:
            made[each] = await exits.enter_async_context(model(**LINES.get(each, {})))
            if each in FAULTS:
                made[each].fault(**FAULTS[each])
        yield made


@pytest.mark.claim("M4", "M6", "C3")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(route=st.lists(drawn_endpoints, min_size=1, max_size=5), residency=st.sampled_from(["any", "azure", "azure"]))
async def test_when_routes_and_rules_are_any_then_no_endpoint_is_called_that_may_not_be(
    cosmos: tuple[Account, Store],
    machines: dict[str, Model],
    route: list[tuple[str, str, str, Behaviour]],
    residency: Literal["any", "azure"],
) -> None:
    world = await new_world(cosmos, machines["answers"])
    called, endpoints, may = [], [], {}
    for n, (provider, place, price, behaviour) in enumerate(route):
        at = {"residency": place} if provider == "openai-compatible" else {}
        there = machines[behaviour].endpoint(provider, model=f"m{n}", prices=PRICES[price], **at)
        endpoints.append(await world.configured(there))
        may[f"m{n}"] = price == "priced" and (residency == "any" or there.residency == "azure")
    before = {name: len(await each.asked()) for name, each in machines.items()}
    call = replace(world.call, endpoints=endpoints, residency=residency)
    answered = False
    with suppress(ProblemError):
        await governed_call(world.governor, call, world.results)
        answered = True
    for name, each in machines.items():
        called += [body["model"] for body in (await each.asked())[before[name] :]]
    assert all(may[name] for name in called), (called, may)
    assert {made.endpoint for made in await world.reservations()} <= {
        endpoints[int(name[1:])] for name, allowed in may.items() if allowed
    }
    allowed = [behaviour for n, (*_, behaviour) in enumerate(route) if may[f"m{n}"]]
    first_final = next((each for each in allowed if each in ("answers", "declines")), None)
    assert answered == (first_final == "answers"), "and whoever may be called is, in their order"
