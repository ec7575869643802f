"""The levers, pulled by those who hold them while people ask: the kill switches and the cost cap."""

import asyncio
import json
import time

import pytest

from tests.e2e.asking import Asking
from tests.e2e.kit import eventually, once

OFFER = "What makes a good offer?"

# -- the kill switch


@pytest.mark.claim("K2", "K3")
async def test_when_the_platform_is_stopped_then_nobody_is_answered_until_it_is_released(asking: Asking) -> None:
    async with asking.no_model_call(), asking.stopped("platform", "a drill: back in a minute"):
        for person, assistant in (("alice", "sales-helper"), ("alice", "handbook"), ("carol", "handbook")):
            reply = await asking.ask(OFFER, person=person, assistant=assistant)
            problem = reply.is_problem(423, "stopped")
            assert problem["detail"] == "a drill: back in a minute"
            event = await asking.audited(problem["request_id"])
            assert (event["Outcome"], event["Reason"], event["Prompt"]) == ("stopped", "stopped", "")
            assert event["Actor"] == str(asking.stack.person(person).oid)
    assert (await asking.ask(OFFER)).status == 200


@pytest.mark.claim("K1", "K3")
async def test_when_one_assistant_is_stopped_then_the_others_answer(asking: Asking) -> None:
    async with asking.stopped("sales-helper", "it promises discounts"):
        async with asking.no_model_call():
            problem = (await asking.ask(OFFER)).is_problem(423, "stopped")
        assert problem["detail"] == "it promises discounts"
        assert problem["request_id"] not in await asking.kit.reservations()
        assert (await asking.ask(OFFER, assistant="handbook")).status == 200
    assert (await asking.ask(OFFER)).status == 200


@pytest.mark.claim("K3")
async def test_when_a_switch_is_pulled_then_a_model_call_in_flight_is_cancelled_withheld_and_charged(
    asking: Asking,
) -> None:
    models = asking.stack.control("models")
    before = await models.counts()
    spent = (await asking.kit.cap())["spent_micro"]

    async def calling() -> None:
        assert (await models.counts())["chat"] == before["chat"] + 1

    async with asking.going_wrong("models", {"operation": "chat", "kind": "delay", "seconds": 30}):
        question = asyncio.create_task(asking.ask(OFFER))
        await eventually(calling)
        async with asking.stopped("sales-helper", "it promises discounts"):
            acknowledged = time.monotonic()
            problem = (await question).is_problem(423, "stopped")
            assert time.monotonic() - acknowledged < 5
    after = await models.counts()
    assert after["chat"] == before["chat"] + 1
    assert after["chat:cancelled"] == before.get("chat:cancelled", 0) + 1
    reservation = once((await asking.kit.reservations())[problem["request_id"]])
    assert (reservation.state, reservation.actual_micro) == ("settled", reservation.amount_micro)
    cap = await asking.kit.cap()
    assert (cap["spent_micro"], cap["reserved_micro"]) == (spent + reservation.amount_micro, 0)
    event = await asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"], event["Answer"]) == ("stopped", "stopped", "")
    assert event["CostMicro"] == reservation.amount_micro


@pytest.mark.claim("K3")
async def test_when_a_switch_is_pulled_after_an_answer_then_the_status_url_withholds_it_too(asking: Asking) -> None:
    request_id = (await asking.ask(OFFER)).body["request_id"]
    async with asking.stopped("platform", "a drill"):
        (await asking.status(request_id)).is_problem(423, "stopped")
    assert (await asking.status(request_id)).status == 200


@pytest.mark.claim("A3", "K3")
async def test_when_a_switch_is_set_then_the_trail_says_by_whom_and_what_it_was_before(asking: Asking) -> None:
    async with asking.stopped("handbook", "the handbook is being rewritten"):
        pulled = await asking.trail("EventType == 'switch.set' and Reason == 'the handbook is being rewritten'")
        assert (pulled["Target"], pulled["Outcome"]) == ("assistant:handbook", "done")
        assert pulled["Actor"] == str(asking.stack.person("ivan").oid)
        on = {"stopped": True, "reason": "the handbook is being rewritten"}
        assert json.loads(pulled["After"]) == on
        again = await asking.switch("handbook", stopped=False, reason="the handbook is rewritten")
        said = {name: again.body[name] for name in ("scope", "stopped", "reason", "by")}
        running = {"scope": "handbook", "stopped": False, "reason": "the handbook is rewritten"}
        assert said == {**running, "by": str(asking.stack.person("ivan").oid)}
        released = await asking.trail("EventType == 'switch.set' and Reason == 'the handbook is rewritten'")
        assert json.loads(released["Before"]) == on
        assert json.loads(released["After"]) == {"stopped": False, "reason": "the handbook is rewritten"}


@pytest.mark.claim("I5")
@pytest.mark.parametrize("person", ["alice", "bob", "carol"])
async def test_when_somebody_without_the_role_sets_a_switch_then_403_and_nothing_changes(
    asking: Asking, person: str
) -> None:
    async with asking.nothing_written():
        for stopped in (True, False):
            for scope in ("platform", "sales-helper", "no-such-assistant"):
                reply = await asking.switch(scope, stopped=stopped, reason="any", person=person)
                reply.is_problem(403, "role-missing")


async def test_when_a_switch_is_of_nothing_that_there_is_then_404(asking: Asking) -> None:
    async with asking.nothing_written():
        for scope in ("no-such-assistant", "assistant:sales-helper", "assistant:", "everything", "Platform"):
            (await asking.switch(scope, stopped=True, reason="any")).is_problem(404, "not-found")


@pytest.mark.parametrize(
    "position",
    [
        {},
        {"stopped": True},
        {"stopped": True, "reason": ""},
        {"stopped": True, "reason": "x" * 1001},
        {"stopped": "perhaps", "reason": "any"},
        {"reason": "any"},
        {"stopped": True, "reason": "any", "until": "tomorrow"},
    ],
)
async def test_when_a_switch_is_to_be_set_to_nonsense_then_400(asking: Asking, position: dict[str, object]) -> None:
    async with asking.nothing_written():
        token = asking.stack.token("ivan")
        reply = await asking.call("PUT", "/api/switches/platform", token=token, json=position)
        reply.is_problem(400, "malformed")


# -- the cost cap


@pytest.mark.claim("C1")
async def test_when_a_team_is_at_its_cap_then_402_and_no_model_is_called(asking: Asking) -> None:
    before = await asking.kit.cap("finance")
    async with asking.no_model_call():
        problem = (await asking.ask(OFFER, person="carol", assistant="ledger")).is_problem(402, "team-cap-reached")
    assert await asking.kit.cap("finance") == before
    assert problem["request_id"] not in await asking.kit.reservations("finance")
    event = await asking.audited(problem["request_id"])
    assert (event["Team"], event["Outcome"], event["Reason"]) == ("finance", "refused", "team-cap-reached")


@pytest.mark.claim("C3")
async def test_when_an_answer_was_given_then_the_cap_is_charged_what_the_endpoint_reported(asking: Asking) -> None:
    before = await asking.kit.cap()
    async with asking.scripted("Offer a discount.", usage={"prompt_tokens": 40, "completion_tokens": 50}):
        answer = (await asking.ask(OFFER)).body
    assert answer["cost"]["micro_units"] == 36  # 40 at 0.15 and 50 at 0.60 for a million
    reservation = once((await asking.kit.reservations())[answer["request_id"]])
    assert (reservation.state, reservation.actual_micro) == ("settled", 36)
    cap = await asking.kit.cap()
    assert (cap["spent_micro"], cap["reserved_micro"]) == (before["spent_micro"] + 36, 0)


@pytest.mark.claim("C3")
async def test_when_the_endpoint_does_not_report_usage_then_what_was_reserved_is_charged(asking: Asking) -> None:
    before = await asking.kit.cap()
    async with asking.scripted("Offer a discount.", usage=None):
        answer = (await asking.ask(OFFER)).body
    reservation = once((await asking.kit.reservations())[answer["request_id"]])
    assert (reservation.state, reservation.actual_micro) == ("settled", reservation.amount_micro)
    assert answer["cost"]["micro_units"] == reservation.amount_micro
    assert (await asking.kit.cap())["spent_micro"] == before["spent_micro"] + reservation.amount_micro
    event = await asking.audited(answer["request_id"])
    assert (event["InputTokens"], event["CostMicro"]) == (None, reservation.amount_micro)
