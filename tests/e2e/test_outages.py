"""What goes down, and what a person who asks meanwhile is told. Nothing is let through, and no record is lost."""

from pathlib import Path

import pytest

from local.process import StartFailed
from local.stack import Stack
from tests.e2e.asking import Asking
from tests.e2e.kit import eventually, once

OFFER = "What makes a good offer?"


async def test_when_the_model_fails_for_good_then_502_and_nothing_is_charged(asking: Asking) -> None:
    before = await asking.kit.cap()
    async with asking.going_wrong("models", {"operation": "chat", "kind": "status", "status": 503}):
        reply = await asking.ask(OFFER)
    problem = reply.is_problem(502, "model-failed")
    assert int(reply.headers["Retry-After"]) > 0
    reservations = (await asking.kit.reservations())[problem["request_id"]]
    assert [each.state for each in reservations] == ["released"] * 3
    after = await asking.kit.cap()
    assert (after["spent_micro"], after["reserved_micro"]) == (before["spent_micro"], 0)
    event = await asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"], event["CostMicro"]) == ("failed", "model-failed", 0)


async def test_when_the_model_fails_once_then_the_answer_comes_from_the_next_attempt(asking: Asking) -> None:
    async with asking.going_wrong("models", {"operation": "chat", "kind": "status", "status": 503, "times": 1}):
        reply = await asking.ask(OFFER)
    assert reply.status == 200
    reservations = (await asking.kit.reservations())[reply.body["request_id"]]
    assert [each.state for each in reservations] == ["released", "settled"]


@pytest.mark.claim("K3")
async def test_when_the_switches_cannot_be_read_then_nobody_is_answered(asking: Asking) -> None:
    async with asking.going_wrong("cosmos", {"operation": "read control", "kind": "status"}), asking.nothing_written():
        reply = await asking.ask(OFFER)
        reply.is_problem(503, "not-available")
    assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.claim("K3")
async def test_when_the_switches_cannot_be_read_just_before_the_call_then_it_is_not_made(impatient: Asking) -> None:
    durable = impatient.stack.control(impatient.stack.instances("durable")[0])
    before = (await durable.counts()).get("infer", 0)

    async def about_to_infer() -> None:
        assert (await durable.counts()).get("infer", 0) == before + 1

    await durable.faults([{"operation": "infer", "kind": "delay", "seconds": 1, "times": 1}])
    async with impatient.no_model_call():
        reply = await impatient.ask(OFFER)
        await eventually(about_to_infer)
        async with impatient.going_wrong("cosmos", {"operation": "read control", "kind": "status"}):
            reply = await impatient.ended(reply.body["request_id"])
    problem = reply.is_problem(503, "not-available")
    assert problem["request_id"] not in await impatient.kit.reservations()
    event = await impatient.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"]) == ("failed", "not-available")


@pytest.mark.claim("A5")
async def test_when_the_audit_queue_takes_nothing_then_the_answer_is_withheld_and_the_trail_says_so(
    impatient: Asking,
) -> None:
    async with impatient.going_wrong("servicebus", {"operation": "send audit", "kind": "status", "status": 507}):
        reply = await impatient.ask(OFFER)
        assert reply.status == 202
        reply = await impatient.ended(reply.body["request_id"], within=60)
    problem = reply.is_problem(503, "not-recorded")
    request = await impatient.kit.request(problem["request_id"])
    assert (request.state, request.answer) == ("withheld", None)
    await impatient.kit.run_timer("sweep")
    event = await impatient.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"], event["Answer"]) == ("failed", "not-recorded", "")
    assert (await impatient.status(problem["request_id"])).text == reply.text


@pytest.mark.claim("A5")
async def test_when_log_analytics_is_down_then_the_answer_comes_and_its_record_later(impatient: Asking) -> None:
    async with impatient.going_wrong("loganalytics", {"operation": "upload *", "kind": "status", "status": 503}):
        reply = await impatient.ask(OFFER)
        if reply.status == 202:
            reply = await impatient.ended(reply.body["request_id"])
        assert reply.status == 200
    await impatient.kit.run_timer("sweep")
    assert (await impatient.audited(reply.body["request_id"]))["Outcome"] == "answered"


@pytest.mark.claim("K1", "A5")
async def test_when_the_audit_queue_takes_nothing_then_who_asks_a_stopped_assistant_is_told_of_the_stop(
    impatient: Asking,
) -> None:
    wrong = {"operation": "send audit", "kind": "status", "status": 507}
    async with impatient.stopped("sales-helper", "a drill"), impatient.going_wrong("servicebus", wrong):
        problem = (await impatient.ask(OFFER)).is_problem(423, "stopped")
    await impatient.kit.run_timer("sweep")
    assert (await impatient.audited(problem["request_id"]))["Outcome"] == "stopped"


@pytest.mark.claim("A5")
async def test_when_the_queue_of_requests_takes_nothing_then_503_and_the_sweep_ends_what_was_stored(
    impatient: Asking,
) -> None:
    before = set(await impatient.kit.requests())
    async with impatient.going_wrong("servicebus", {"operation": "send requests", "kind": "status", "status": 507}):
        (await impatient.ask(OFFER)).is_problem(503, "not-available")
    orphan = once(set(await impatient.kit.requests()) - before)
    assert (await impatient.kit.request(orphan)).prompt == OFFER

    async def given_up() -> None:
        await impatient.kit.run_timer("sweep")
        request = await impatient.kit.request(orphan)
        assert (request.outcome, request.prompt) == ("abandoned", None)

    await eventually(given_up)
    assert (await impatient.audited(orphan))["Outcome"] == "abandoned"
    (await impatient.status(orphan)).is_problem(503, "abandoned")


@pytest.mark.claim("K3")
async def test_when_the_account_is_weaker_than_strong_then_nothing_opens_it(tmp_path: Path) -> None:
    stack = Stack(tmp_path, options={"cosmos": ["--consistency", "Session"]})
    with pytest.raises(StartFailed, match="ConsistencyTooWeak"):
        async with stack:
            pass
