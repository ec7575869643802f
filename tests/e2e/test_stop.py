"""A stop or a cap that lands while a request is on its way, wherever it is: no model call starts, no answer leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually
from tests.e2e.test_caps import in_session
from tests.e2e.test_detectors import topic
from tests.unit.test_gates import CALLING

OFFER = "What makes a good offer?"
HELD_SECONDS = 4.0
"""Longer than a switch takes to be acknowledged."""


@asynccontextmanager
async def held(asking: Asking, function: str) -> AsyncIterator[asyncio.Task[Reply]]:
    """A question whose function is about to run, and does in HELD_SECONDS."""
    hosts = [asking.stack.control(host) for host in asking.stack.instances("durable")]
    fault = {"operation": function, "kind": "delay", "seconds": HELD_SECONDS, "times": 1}
    before = sum([(await host.counts()).get(function, 0) for host in hosts])
    for host in hosts:
        await host.faults([fault])

    async def there() -> None:
        assert sum([(await host.counts()).get(function, 0) for host in hosts]) > before

    try:
        question = asyncio.create_task(asking.ask(OFFER))
        await eventually(there, within=20)
        yield question
        await question
    finally:
        for host in hosts:
            await host.faults()


@asynccontextmanager
async def judging(asking: Asking) -> AsyncIterator[None]:
    """Prompt and answer are judged by a model, which says no to everything: every function can lead to a call."""
    async with topic(asking, judge="Is it about marmalade?", sides=["prompt", "answer"]), asking.scripted("no"):
        yield


@pytest.mark.claim("K1", "K3")
@pytest.mark.parametrize("function", sorted(CALLING))
async def test_when_a_stop_lands_before_a_function_that_can_call_a_model_then_it_does_not(
    asking: Asking, function: str
) -> None:
    async with judging(asking), held(asking, function) as question, asking.stopped("sales-helper", "it is wrong"):
        async with asking.no_model_call():
            problem = (await question).is_problem(423, "stopped")
        event = await asking.audited(problem["request_id"])
        assert (event["Outcome"], event["Answer"]) == ("stopped", "")


@pytest.mark.claim("C1")
@pytest.mark.parametrize("function", sorted(CALLING))
async def test_when_the_cap_is_lowered_before_a_function_that_can_call_a_model_then_it_does_not(
    asking: Asking, function: str
) -> None:
    async with in_session(asking) as board, judging(asking), held(asking, function) as question:
        assert (await board.set(0)).status == 200
        async with asking.no_model_call():
            (await question).is_problem(402, "team-cap-reached")


@pytest.mark.claim("K3", "A4")
@pytest.mark.parametrize("scope", ["platform", "sales-helper"])
async def test_when_a_stop_lands_after_the_record_then_the_answer_is_withheld_for_good_and_the_trail_says_so(
    asking: Asking, scope: str
) -> None:
    async with held(asking, "release") as question:
        async with asking.stopped(scope, "it is wrong"):
            problem = (await question).is_problem(423, "stopped")
        assert problem["detail"] == "it is wrong"
    request = await asking.kit.request(problem["request_id"])
    assert (request.state, request.outcome, request.answer, request.sealed) == ("withheld", "withheld", None, None)
    (await asking.status(request.id)).is_problem(423, "stopped")

    async def told() -> None:
        event = await asking.trail(f"RequestId == '{request.id}' and Revision == 2")
        assert (event["Outcome"], event["Reason"], event["Answer"]) == ("withheld", "stopped", "")

    await eventually(told)


@pytest.mark.claim("K3")
async def test_when_a_stop_lands_after_the_release_then_who_waits_is_told_of_it_and_so_is_the_trail(
    asking: Asking,
) -> None:
    before = await asking.kit.requests()

    async def released() -> None:
        assert "released" in {each.state for id_, each in (await asking.kit.requests()).items() if id_ not in before}

    slowly = {"operation": "deliver replies", "kind": "delay", "seconds": HELD_SECONDS, "times": 1}
    async with asking.going_wrong("servicebus", slowly):
        question = asyncio.create_task(asking.ask(OFFER))
        await eventually(released)
        async with asking.stopped("sales-helper", "it is wrong"):
            problem = (await question).is_problem(423, "stopped")
    assert (await asking.kit.request(problem["request_id"])).state == "withheld"
    (await asking.status(problem["request_id"])).is_problem(423, "stopped")


@pytest.mark.claim("K3")
async def test_when_switches_are_looked_at_then_they_are_where_they_were_set(asking: Asking) -> None:
    async def switches(path: str = "", person: str = "audrey") -> Reply:
        return await asking.call("GET", f"/api/switches{path}", token=asking.stack.token(person))

    async with asking.stopped("handbook", "it is being rewritten"):
        listed = {each["scope"]: each for each in (await switches()).body["switches"]}
        assert listed["handbook"] == (await switches("/handbook")).body
        assert (listed["handbook"]["stopped"], listed["handbook"]["reason"]) == (True, "it is being rewritten")
        assert listed["handbook"]["by"] == str(asking.stack.person("ivan").oid)
        assert not listed["platform"]["stopped"]
    assert not (await switches("/handbook", "gus")).body["stopped"]
    assert not (await switches("/platform", "ivan")).body["stopped"]
    (await switches("/no-such-assistant")).is_problem(404, "not-found")
    (await switches("", "alice")).is_problem(403, "role-missing")
