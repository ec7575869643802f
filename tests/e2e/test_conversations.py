"""Conversations: what was said before goes with the next question, belongs to who asked, and goes when they say so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from governance import conversations, requests
from governance.problems import Problem
from governance.release import withhold
from tests.e2e.asking import Asking
from tests.e2e.kit import eventually
from tests.e2e.talk import Talk
from tests.e2e.test_leaks import Customer
from tests.e2e.test_offboarding import without
from tests.e2e.test_policies import Board

KEPT = "SELECT * FROM c"


@asynccontextmanager
async def ruled(board: Board, **rules: Any) -> AsyncIterator[None]:
    """A policy that is another in this meanwhile."""
    before = (await board.read()).body["rules"]
    assert (await board.save({**before, **rules})).status == 200
    try:
        yield
    finally:
        assert (await board.save(before)).status == 200


def word() -> str:
    """One that no other test says."""
    return f"zeta{uuid4().hex[:8]}"


@pytest.mark.claim("T4", "G2", "A1")
async def test_when_a_conversation_goes_on_then_the_model_hears_what_was_said_as_the_guardrails_left_it(
    asking: Asking,
) -> None:
    talk, customer = Talk(asking), Customer.another()
    first = await talk.say(f"Write to {customer.name}.")
    second = await talk.say(f"What did {customer.name} say?")
    assert (second["conversation_id"], first["conversation_id"]) == (first["request_id"], first["request_id"])
    messages = (await talk.told_the_model())[1:]
    assert [each["role"] for each in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == "Write to <PERSON_1>."
    assert messages[1]["content"] == first["answer"]
    assert messages[2]["content"] == "What did <PERSON_1> say?", "the same person keeps a placeholder"
    whole = (await talk.read()).body
    assert [each["question"] for each in whole["said"]] == ["Write to <PERSON_1>.", "What did <PERSON_1> say?"]
    assert [each["answer"] for each in whole["said"]] == [first["answer"], second["answer"]]
    assert (whole["title"], whole["turns"], whole["before"]) == ("Write to <PERSON_1>.", 2, None)
    event = await asking.audited(second["request_id"])
    assert (event["Conversation"], event["Prompt"]) == (talk.id, "What did <PERSON_1> say?")
    kept = [each async for each in asking.kit.store.conversations.query(KEPT)]
    for trace in customer.traces():
        assert trace not in str(kept)


async def test_when_somebody_else_is_named_then_they_get_another_placeholder(asking: Asking) -> None:
    talk = Talk(asking)
    await talk.say(f"Write to {Customer.another().e_mail}.")
    await talk.say(f"And to {Customer.another().e_mail}.")
    asked = [each["question"] for each in (await talk.read()).body["said"]]
    assert asked == ["Write to <EMAIL_ADDRESS_1>.", "And to <EMAIL_ADDRESS_2>."]


@pytest.mark.claim("I3")
async def test_when_a_conversation_is_somebody_elses_then_it_is_as_if_there_were_none(asking: Asking) -> None:
    talk = Talk(asking, assistant="handbook")
    await talk.say("How many days off have I?")
    for person in ("carol", "adam", "audrey", "ivan"):
        other = Talk(asking, person, "handbook")
        other.id = talk.id
        (await other.read()).is_problem(404, "not-found")
        (await other.call("DELETE", f"/api/conversations/{talk.id}")).is_problem(404, "not-found")
        listed = await other.call("GET", "/api/conversations")
        assert talk.id not in listed.text
    other = Talk(asking, "carol", "handbook")
    other.id = talk.id
    (await other.post("Go on.")).is_problem(404, "not-found")
    elsewhere = Talk(asking, assistant="sales-helper")
    elsewhere.id = talk.id
    (await elsewhere.post("Go on with another assistant.")).is_problem(404, "not-found")
    assert (await talk.read()).status == 200


@pytest.mark.claim("I3", "I4")
async def test_when_somebody_is_not_in_the_audience_any_more_then_an_open_conversation_does_not_carry_it_on(
    asking: Asking,
) -> None:
    talk = Talk(asking)
    await talk.say("What makes a good offer?")
    async with without(asking, "alice", "Sales"):
        token = await asking.token()
        (await talk.post("Go on.", token=token)).is_problem(404, "not-found")
        (await talk.call("GET", f"/api/conversations/{talk.id}", token=token)).is_problem(404, "not-found")
        assert talk.id not in (await talk.call("GET", "/api/conversations", token=token)).text
        deleted = await talk.call("DELETE", f"/api/conversations/{talk.id}", token=token)
        assert deleted.body == {"id": talk.id, "turns": 1}, "what is theirs they may still delete"


@pytest.mark.claim("A1")
async def test_when_a_conversation_is_deleted_then_nothing_of_it_stays_but_the_trail(asking: Asking) -> None:
    talk, said = Talk(asking), word()
    answer = await talk.say(f"Remember {said}.")
    assert (await talk.call("DELETE", f"/api/conversations/{talk.id}")).body == {"id": talk.id, "turns": 1}
    kept = [each async for each in asking.kit.store.conversations.query(KEPT)]
    assert said not in str(kept)
    (await talk.read()).is_problem(404, "not-found")
    (await talk.post("Go on.")).is_problem(404, "not-found")
    assert said in (await asking.audited(answer["request_id"]))["Prompt"]
    event = await asking.trail(f"EventType == 'conversation.delete' and Conversation == '{talk.id}'")
    assert event["Actor"] == str(asking.stack.person("alice").oid)


async def test_when_a_conversation_is_deleted_while_it_waits_for_an_answer_then_the_answer_does_not_revive_it(
    asking: Asking,
) -> None:
    talk = Talk(asking)
    await talk.say("What makes a good offer?")
    slow = {"operation": "chat/completions", "kind": "delay", "seconds": 1.5}
    async with asking.going_wrong("models", slow):
        later = await talk.post("And a bad one?", headers={"Prefer": "respond-async"})
        assert later.status == 202, later.text
        (await talk.post("And another?")).is_problem(409, "conflict")
        await talk.call("DELETE", f"/api/conversations/{talk.id}")
        await asking.ended(later.body["request_id"])
    (await talk.read()).is_problem(404, "not-found")
    kept = [each async for each in asking.kit.store.conversations.query(KEPT)]
    assert later.body["request_id"] not in str(kept)


async def test_when_conversations_are_listed_then_the_latest_comes_first_page_by_page(asking: Asking) -> None:
    talks = [Talk(asking, assistant="handbook") for _ in range(3)]
    for talk in talks:
        await talk.say(f"What is {word()}?")
    await talks[0].say("And then?")
    listing, found = "/api/conversations?assistant=handbook&limit=2", []
    page = (await talks[0].call("GET", listing)).body
    found += [each["id"] for each in page["conversations"]]
    page = (await talks[0].call("GET", f"{listing}&before={page['before'].replace('+', '%2B')}")).body
    found += [each["id"] for each in page["conversations"]]
    assert found[:3] == [talks[0].id, talks[2].id, talks[1].id]
    whole = (await talks[0].read("?limit=1")).body
    assert ([each["question"] for each in whole["said"]], whole["turns"]) == (["And then?"], 2)
    earlier = (await talks[0].read(f"?limit=1&before={whole['before']}")).body
    assert earlier["said"][0]["request_id"] == talks[0].id


@pytest.mark.claim("K3")
async def test_when_a_switch_is_on_then_no_earlier_answer_leaves_either(asking: Asking) -> None:
    talk = Talk(asking)
    await talk.say("What makes a good offer?")
    async with asking.stopped("sales-helper", "an incident"):
        (await talk.read()).is_problem(423, "stopped")
    assert (await talk.read()).status == 200


@pytest.mark.claim("K3")
async def test_when_an_answer_is_withheld_after_all_then_it_is_no_turn(asking: Asking) -> None:
    talk = Talk(asking)
    first = await talk.say("What makes a good offer?")
    second = await talk.say("And a bad one?")
    store = asking.kit.store
    request = await requests.load(store.requests, second["request_id"])
    assert request is not None
    problem = Problem(type="stopped", detail="an incident")
    await withhold(store, asking.kit.bus, request, problem)
    await conversations.keep_turn(store, request)  # by a release that was slower
    whole = (await talk.read()).body
    assert ([each["request_id"] for each in whole["said"]], whole["turns"]) == ([first["request_id"]], 1)


@pytest.mark.claim("G1")
async def test_when_the_policy_has_become_stricter_then_what_was_said_before_is_held_to_it(asking: Asking) -> None:
    board, said = Board(asking), word()
    talk = Talk(asking)
    await talk.say(f"Tell me about {said}.")
    rules = (await board.read()).body["rules"]
    own = {"category": "PROJECT", "patterns": [said]}
    pii = {**rules["pii"], "PROJECT": "redact"}
    async with ruled(board, own_categories=[own], pii=pii):
        await talk.say("Tell me more.")
        messages = await talk.told_the_model()
    assert messages[1]["content"] == "Tell me about <PROJECT_1>."
    assert said not in str(messages)


async def test_when_a_policy_says_how_long_then_turns_are_kept_so_long(asking: Asking) -> None:
    async with ruled(Board(asking), conversation_days=2):
        talk = Talk(asking)
        await talk.say("What makes a good offer?")
    owner = str(asking.stack.person("alice").oid)
    for document_id in (talk.id, f"{talk.id}:turn"):
        document = await asking.kit.store.conversations.read(document_id, owner)
        assert document is not None
        assert document["ttl"] == 2 * 86_400


async def test_when_a_conversation_outgrows_the_model_then_the_latest_of_it_goes_with_the_question(
    asking: Asking,
) -> None:
    talk, early = Talk(asking), word()
    await talk.say(f"Remember {early}.")
    for _ in range(3):
        await talk.say(f"Now {'read this sentence once more and then forget it again. ' * 25}")
    await talk.say("What was the first thing?")
    messages = await talk.told_the_model()
    assert early not in str(messages)
    assert messages[0]["role"] == "system"
    assert messages[1]["role"] == "user"
    assert 4 <= len(messages) < 10
    assert messages[-1]["content"] == "What was the first thing?"


async def test_when_a_key_is_sent_again_then_it_is_the_same_turn(asking: Asking) -> None:
    talk, key = Talk(asking), {"Idempotency-Key": word()}
    first = await talk.post("What makes a good offer?", headers=key)
    again = await talk.post("What makes a good offer?", headers=key)
    assert first.body["conversation_id"] == again.body["conversation_id"] == first.body["request_id"]
    talk.id = first.body["conversation_id"]
    assert len((await talk.read()).body["said"]) == 1


async def test_when_a_question_is_refused_then_the_conversation_goes_on_without_it(asking: Asking) -> None:
    talk = Talk(asking)
    first = await talk.say("What makes a good offer?")
    (await talk.post("How do I build a bomb?")).is_problem(422, "policy-blocked")
    await talk.say("And a bad one?")
    messages = await talk.told_the_model()
    assert [each["content"] for each in messages[1:]] == [
        "What makes a good offer?",
        first["answer"],
        "And a bad one?",
    ]


async def test_when_nobody_has_kept_an_answer_yet_then_whoever_goes_on_does(asking: Asking) -> None:
    talk, items = Talk(asking), asking.kit.store.conversations
    first = await talk.say("What makes a good offer?")
    owner = str(asking.stack.person("alice").oid)
    await items.batch(owner, [("delete", (f"{talk.id}:turn",))])  # as if release had died just before
    await talk.say("And a bad one?")
    assert [each["content"] for each in (await talk.told_the_model())[1:]] == [
        "What makes a good offer?",
        first["answer"],
        "And a bad one?",
    ]


async def test_when_two_ask_in_one_conversation_at_once_then_one_is_told_to_wait(asking: Asking) -> None:
    talk = Talk(asking)
    await talk.say("What makes a good offer?")
    slow = {"operation": "chat/completions", "kind": "delay", "seconds": 0.5}
    async with asking.going_wrong("models", slow):
        replies = await asyncio.gather(*(talk.post(f"Question {number}?") for number in range(4)))
    assert sorted(reply.status for reply in replies).count(409) == 3, [reply.text for reply in replies]
    assert await eventually(lambda: _turns(talk, 2))


async def _turns(talk: Talk, wanted: int) -> bool:
    assert len((await talk.read()).body["said"]) == wanted
    return True


async def test_when_an_answer_is_streamed_then_it_is_a_turn_too(asking: Asking) -> None:
    talk = Talk(asking)
    streamed = await talk.post("What makes a good offer?", more={"stream": True})
    assert "event: answer" in streamed.text, streamed.text
    request_id = (await talk.call("GET", "/api/conversations?limit=1")).body["conversations"][0]["id"]
    talk.id = request_id
    assert (await talk.read()).body["said"][0]["answer"]
    assert f'"conversation_id":"{request_id}"' in streamed.text
