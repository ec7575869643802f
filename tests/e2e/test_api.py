"""Asking an assistant over HTTP: the answer on the same call, or later; and what may be said."""

import asyncio

import pytest

from tests.e2e.asking import Asking

OFFER = "What makes a good offer?"


# -- answers


async def test_when_somebody_asks_then_the_answer_comes_on_the_same_call(asking: Asking) -> None:
    async with asking.scripted("Offer a discount.", usage={"prompt_tokens": 40, "completion_tokens": 5}):
        reply = await asking.ask(OFFER)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    answer = reply.body
    assert answer["answer"] == "Offer a discount."
    assert answer["assistant"] == {"id": "sales-helper", "version": 1}
    assert answer["team"] == "sales"
    assert answer["sources"] == []
    assert {name: verdict["action"] for name, verdict in answer["guardrails"].items()} == {
        "check_prompt": "allow",
        "check_answer": "allow",
    }
    assert answer["model"] == {"endpoint": "own-model", "name": "scripted", "region": "this-machine"}
    assert answer["usage"] == {"input_tokens": 40, "output_tokens": 5}
    # 40 at 0.15 and 5 at 0.60 for a million: 9 micro-units.
    assert answer["cost"] == {"micro_units": 9, "currency": "EUR"}
    assert (await asking.status(answer["request_id"])).body == answer


async def test_when_the_same_question_is_asked_by_many_at_once_then_each_gets_the_answer_to_theirs(
    asking: Asking,
) -> None:
    goods = ("bicycles", "printers", "coffee", "carpets", "drills", "lamps", "paint", "pianos")
    replies = await asyncio.gather(*(asking.ask(f"What makes a good offer of {each}?") for each in goods))
    for each, reply in zip(goods, replies, strict=True):
        assert each in reply.body["answer"]
    assert len({reply.body["request_id"] for reply in replies}) == len(goods)


@pytest.mark.claim("A1")
async def test_when_an_answer_was_given_then_the_trail_says_who_asked_what_and_how_it_went(asking: Asking) -> None:
    reply = await asking.ask(OFFER)
    event = await asking.audited(reply.body["request_id"])
    request = await asking.kit.request(reply.body["request_id"])
    assert event["Actor"] == str(asking.stack.person("alice").oid)
    assert (event["Team"], event["Assistant"], event["AssistantVersion"]) == ("sales", "sales-helper", 1)
    assert (event["EventType"], event["Outcome"], event["Reason"]) == ("request", "answered", "")
    assert event["Prompt"] == request.checked_prompt
    assert event["Answer"] == reply.body["answer"]
    assert (event["Endpoint"], event["Provider"], event["Model"]) == ("own-model", "openai-compatible", "scripted")
    assert (event["Region"], event["Residency"]) == ("this-machine", "self-hosted")
    assert event["CostMicro"] == reply.body["cost"]["micro_units"]
    assert event["InputTokens"] == reply.body["usage"]["input_tokens"]
    for stage in ("check_prompt", "check_answer"):
        assert stage in event["Verdicts"]
    for stage in ("check_prompt", "ground", "infer", "check_answer"):
        assert stage in event["Stages"]
    assert event["Sources"] == "[]"
    assert event["TraceId"] == request.trace_parent.split("-")[1]


async def test_when_the_caller_traces_then_the_request_is_a_part_of_that_trace(asking: Asking) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    reply = await asking.call(
        "POST",
        "/api/assistants/sales-helper/requests",
        token=asking.stack.token("alice"),
        json={"prompt": OFFER},
        headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
    )
    assert (await asking.audited(reply.body["request_id"]))["TraceId"] == trace


async def test_when_the_answer_is_late_then_202_says_where_it_will_be(impatient: Asking) -> None:
    delay = {"operation": "chat", "kind": "delay", "seconds": 1.5, "times": 1}
    async with impatient.going_wrong("models", delay):
        reply = await impatient.ask(OFFER)
        assert reply.status == 202
        accepted = reply.body
        url = f"/api/requests/{accepted['request_id']}"
        told = {"request_id": accepted["request_id"], "conversation_id": None, "status": "running", "status_url": url}
        told |= {"notices": []}
        assert accepted == told
        assert (reply.headers["Location"], int(reply.headers["Retry-After"]) > 0) == (url, True)
        (await impatient.status(accepted["request_id"], person="bob")).is_problem(404, "not-found")
        answer = await impatient.ended(accepted["request_id"])
    assert (answer.status, answer.body["request_id"]) == (200, accepted["request_id"])
    assert OFFER in answer.body["answer"]


@pytest.mark.claim("I3")
async def test_when_it_is_another_persons_request_then_it_is_as_unknown_as_one_that_never_was(asking: Asking) -> None:
    request_id = (await asking.ask(OFFER)).body["request_id"]
    for person in ("bob", "carol", "ivan"):
        other = await asking.status(request_id, person=person)
        other.is_problem(404, "not-found")
        never = await asking.status("01a20000-0000-7000-8000-000000000000", person=person)
        assert (other.status, other.text) == (never.status, never.text)
    assert (await asking.status(request_id)).status == 200


@pytest.mark.claim("I3")
@pytest.mark.parametrize(
    ("person", "assistants"),
    [("alice", ["handbook", "sales-helper"]), ("bob", []), ("carol", ["handbook", "ledger"]), ("ivan", ["handbook"])],
)
async def test_when_somebody_lists_assistants_then_they_see_those_of_their_groups(
    asking: Asking, person: str, assistants: list[str]
) -> None:
    reply = await asking.call("GET", "/api/assistants", token=asking.stack.token(person))
    assert [each["id"] for each in reply.body["assistants"]] == assistants


# -- what may be said


@pytest.mark.claim("G1")
async def test_when_the_prompt_breaks_the_policy_then_422_names_the_rule_and_no_model_is_called(
    asking: Asking,
) -> None:
    async with asking.no_model_call():
        reply = await asking.ask("Tell me how to build a small grenade at home.")
    problem = reply.is_problem(422, "policy-blocked")
    assert problem["rules"] == ["no-weapons"]
    assert "grenade" not in reply.text
    assert problem["request_id"] not in await asking.kit.reservations()
    event = await asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"], event["Answer"]) == ("refused", "policy-blocked", "")
    assert '"no-weapons"' in event["Verdicts"]
    assert (await asking.status(problem["request_id"])).text == reply.text


@pytest.mark.claim("G1")
async def test_when_the_policy_only_warns_then_the_answer_comes_and_the_warning_is_recorded(asking: Asking) -> None:
    reply = await asking.ask("How much does the head of sales earn?")
    assert reply.status == 200
    assert reply.body["guardrails"]["check_prompt"]["action"] == "warn"
    event = await asking.audited(reply.body["request_id"])
    assert '"individual-pay"' in event["Verdicts"]


@pytest.mark.claim("G1")
async def test_when_the_models_answer_breaks_the_policy_then_it_is_withheld_and_paid_for(asking: Asking) -> None:
    async with asking.scripted("First, build a big bomb out of marzipan."):
        reply = await asking.ask("What would surprise a customer?")
    problem = reply.is_problem(422, "policy-blocked")
    assert problem["rules"] == ["no-weapons"]
    event = await asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"], event["Answer"]) == ("refused", "policy-blocked", "")
    assert event["CostMicro"] > 0
    assert "marzipan" not in reply.text + str(event) + await asking.stack.control("cosmos").dump()


@pytest.mark.claim("G2")
async def test_when_the_models_answer_has_personal_data_then_it_is_redacted(asking: Asking) -> None:
    async with asking.scripted("Write to walter.white@fabrikam.com about it."):
        reply = await asking.ask("Whom should I write to?")
    assert reply.body["answer"] == "Write to <EMAIL_ADDRESS_1> about it."
    assert reply.body["guardrails"]["check_answer"]["action"] == "redact"
    event = await asking.audited(reply.body["request_id"])
    assert event["Answer"] == reply.body["answer"]
    assert "walter.white" not in await asking.stack.control("cosmos").dump()
