"""Detectors beyond the guardrails' process: Azure AI Content Safety (a stand-in), and a model as judge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.e2e.asking import Asking
from tests.e2e.test_policies import Board

QUESTION = "What makes a good offer of marmalade?"


@asynccontextmanager
async def topic(asking: Asking, **of: Any) -> AsyncIterator[None]:
    """The policy has one more topic meanwhile, which blocks."""
    board = Board(asking)
    rules = (await board.read()).body["rules"]
    more = {"id": "watched", "category": "c", "action": "block", **of}
    assert (await board.save({**rules, "acceptable_use": [*rules["acceptable_use"], more]})).status == 200
    try:
        yield
    finally:
        assert (await board.save(rules)).status == 200


@asynccontextmanager
async def seen(asking: Asking, *lines: dict[str, Any]) -> AsyncIterator[None]:
    """What Content Safety sees meanwhile."""
    control = asking.stack.control("contentsafety")
    await control.call("PUT", "/control/script", json=list(lines))
    try:
        yield
    finally:
        await control.call("PUT", "/control/script", json=[])


@pytest.mark.claim("G1")
@pytest.mark.parametrize(("severity", "status"), [(2, 200), (4, 422)])
async def test_when_content_safety_sees_enough_in_a_prompt_then_no_model_is_called(
    asking: Asking, severity: int, status: int
) -> None:
    line = {"match": "marmalade", "categories": {"Violence": severity}}
    async with topic(asking, content_safety={"Violence": 4}, sides=["prompt"]), seen(asking, line):
        before = await asking.kit.model_calls()
        reply = await asking.ask(QUESTION)
        assert (reply.status, await asking.kit.model_calls() - before) == (status, int(status == 200))
    if status == 422:
        assert reply.is_problem(422, "policy-blocked")["rules"] == ["watched"]


@pytest.mark.claim("G1")
async def test_when_content_safety_sees_it_in_the_answer_then_the_answer_is_withheld(asking: Asking) -> None:
    line = {"match": "honey", "categories": {"Hate": 6}}
    async with topic(asking, content_safety={"Hate": 4}), seen(asking, line), asking.scripted("All honey."):
        reply = await asking.ask(QUESTION)
    reply.is_problem(422, "policy-blocked")
    assert "honey" not in reply.text


@pytest.mark.claim("G1")
async def test_when_prompt_shields_see_an_attack_then_the_prompt_is_blocked(asking: Asking) -> None:
    async with topic(asking, prompt_shield=True), seen(asking, {"match": "marmalade", "attack": True}):
        (await asking.ask(QUESTION)).is_problem(422, "policy-blocked")
        assert (await asking.ask("What makes a good offer of honey?")).status == 200


@pytest.mark.claim("G1", "G2")
async def test_when_content_safety_is_asked_then_it_never_sees_personal_data(asking: Asking) -> None:
    """It could not say what it saw: so it is told to see an attack in the placeholder, and none in the address."""
    lines = [{"match": "^Write to <EMAIL_ADDRESS_1> about it$", "attack": True}]
    async with topic(asking, prompt_shield=True), seen(asking, *lines):
        (await asking.ask("Write to joe@example.com about it")).is_problem(422, "policy-blocked")


@pytest.mark.claim("G1")
async def test_when_content_safety_does_not_answer_then_nothing_passes(asking: Asking) -> None:
    failing = {"operation": "analyze", "kind": "status"}
    watched = topic(asking, content_safety={"Hate": 2})
    async with watched, asking.going_wrong("contentsafety", failing), asking.no_model_call():
        problem = (await asking.ask(QUESTION)).is_problem(503, "not-available")
    assert (await asking.audited(problem["request_id"]))["Outcome"] == "failed"


async def judged(asking: Asking, answer: str) -> Any:
    """The problem (or none) of a prompt that a model judges with this answer."""
    script = [{"match": "Is it about marmalade", "answer": answer}]
    control = asking.stack.control("models")
    await control.call("PUT", "/control/script", json=script)
    try:
        async with topic(asking, judge="Is it about marmalade?", sides=["prompt"]):
            return await asking.ask(QUESTION)
    finally:
        await control.call("PUT", "/control/script", json=[])


@pytest.mark.claim("G1", "C1")
async def test_when_a_model_judges_a_prompt_then_its_yes_blocks_and_its_cost_is_charged(asking: Asking) -> None:
    problem = (await judged(asking, "Yes.")).is_problem(422, "policy-blocked")
    assert problem["rules"] == ["watched"]
    attempts = await asking.kit.attempts(problem["request_id"])
    assert [each.id.split(":")[1] for each in attempts] == ["judge-prompt-1"]
    event = await asking.audited(problem["request_id"])
    assert event["CostMicro"] == attempts[0].actual_micro
    assert event["CostMicro"] > 0
    assert event["Model"] == "", "no model answered the question"


@pytest.mark.claim("G1")
async def test_when_a_judge_says_no_then_the_question_is_answered_and_both_calls_are_paid_for(asking: Asking) -> None:
    reply = await judged(asking, "no")
    attempts = await asking.kit.attempts(reply.body["request_id"])
    assert sorted(each.id.split(":")[1] for each in attempts) == ["answer", "judge-prompt-1"]
    assert reply.body["cost"]["micro_units"] == sum(each.actual_micro or 0 for each in attempts)


@pytest.mark.claim("G1")
async def test_when_a_judge_neither_says_yes_nor_no_then_nothing_passes(asking: Asking) -> None:
    (await judged(asking, "Perhaps")).is_problem(503, "not-available")
