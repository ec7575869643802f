"""A stop or a cap that lands while a request is on its way, wherever it is: no model call starts, no answer leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import counted, eventually
from tests.e2e.test_caps import in_session
from tests.e2e.test_detectors import topic
from tests.e2e.test_leaks import Customer
from tests.e2e.test_restoring import restoring as restoring
from tests.unit.test_gates import STAGES_CALLING

OFFER = "What makes a good offer?"
HELD_SECONDS = 4.0
"""Longer than a switch takes to be acknowledged."""
ASKING = 12


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
@pytest.mark.parametrize("function", sorted(STAGES_CALLING))
async def test_when_a_stop_lands_before_a_function_that_can_call_a_model_then_it_does_not(
    asking: Asking, function: str
) -> None:
    async with judging(asking), held(asking, function) as question, asking.stopped("sales-helper", "it is wrong"):
        async with asking.no_model_call():
            problem = (await question).is_problem(423, "stopped")
        event = await asking.audited(problem["request_id"])
        assert (event["Outcome"], event["Answer"]) == ("stopped", "")


@pytest.mark.claim("C1")
@pytest.mark.parametrize("function", sorted(STAGES_CALLING))
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
async def test_when_a_stop_lands_while_an_answer_is_made_ready_to_hand_over_then_it_is_not(restoring: Asking) -> None:
    """Its values are taken out of the store after the switches were read, and that takes longer than a stop does."""
    before, cosmos = await restoring.kit.requests(), restoring.stack.control("cosmos")

    async def released() -> None:
        assert "released" in {each.state for id_, each in (await restoring.kit.requests()).items() if id_ not in before}

    slowly = {"operation": "deliver replies", "kind": "delay", "seconds": 2, "times": 1}
    async with restoring.going_wrong("servicebus", slowly):
        question = asyncio.create_task(restoring.ask(Customer.another().question()))
        await eventually(released)
        patches = (await cosmos.counts())["patch requests"]
        taking_out = {"operation": "patch requests", "kind": "delay", "seconds": HELD_SECONDS, "times": 1}
        async with restoring.going_wrong("cosmos", taking_out):
            await counted(restoring.kit, "cosmos", "patch requests", patches + 1)
            async with restoring.stopped("sales-helper", "it is wrong"):
                problem = (await question).is_problem(423, "stopped")
    request = await restoring.kit.request(problem["request_id"])
    assert (request.state, request.answer, request.sealed) == ("withheld", None, None)


@pytest.mark.claim("K3")
async def test_when_a_stop_lands_before_the_sweep_lets_a_late_answer_go_then_it_is_withheld(asking: Asking) -> None:
    request_id = (await asking.ask(OFFER)).body["request_id"]
    await asking.audited(request_id)
    await asking.kit.change(request_id, "/ended_at", "2020-01-01T00:00:00.000000Z")
    await asking.kit.change(request_id, "/state", "recorded")
    async with asking.stopped("sales-helper", "it is wrong"):
        await asking.kit.run_timer("sweep")
    request = await asking.kit.request(request_id)
    assert (request.state, request.outcome, request.answer) == ("withheld", "withheld", None)
    (await asking.status(request_id)).is_problem(423, "stopped")


@pytest.mark.claim("K1", "K3")
async def test_when_many_ask_all_the_time_then_no_call_starts_and_no_answer_leaves_after_the_acknowledgement(
    asking: Asking,
) -> None:
    """They are everywhere on the way when it lands, since each takes its time at the model."""
    models, statuses = asking.stack.control("models"), list[int]()
    asked = asyncio.Event()

    async def one_after_the_other() -> None:
        while True:
            statuses.append((await asking.ask(OFFER)).status)
            if statuses.count(200) >= ASKING:
                asked.set()
            if statuses[-1] != 200:
                return

    async with asking.going_wrong("models", {"operation": "chat", "kind": "delay", "seconds": 0.3}):
        questions = [asyncio.create_task(one_after_the_other()) for _ in range(ASKING)]
        async with asyncio.timeout(60):
            await asked.wait()
        async with asking.stopped("sales-helper", "it is wrong"):
            calls, answers = (await models.counts())["chat"], statuses.count(200)
            await asyncio.gather(*questions)
            assert (await models.counts())["chat"] == calls
            assert (statuses.count(200), statuses.count(423)) == (answers, ASKING)
    assert not (await asking.kit.cap())["reserved_micro"]


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
