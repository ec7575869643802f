"""If the policy says so, the caller gets what they typed back in the answer; nobody else does, and nothing keeps it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.asking import Asking
from tests.e2e.test_leaks import CANARY, Customer, places
from tests.e2e.test_policies import Board

ANSWER = f"I wrote to <PERSON_1> and <EMAIL_ADDRESS_1>, not to <PERSON_9>, about the {CANARY}."


@pytest_asyncio.fixture(loop_scope="session")
async def restoring(asking: Asking) -> AsyncIterator[Asking]:
    """A policy that restores, and a model that uses placeholders."""
    board = Board(asking)
    rules = (await board.read()).body["rules"]
    assert (await board.save({**rules, "restore": True})).status == 200
    try:
        async with asking.scripted(ANSWER):
            yield asking
    finally:
        assert (await board.save(rules)).status == 200


@pytest.mark.claim("G2")
async def test_when_the_policy_restores_then_the_caller_gets_it_once_and_nothing_keeps_it(restoring: Asking) -> None:
    customer = Customer.another()
    reply = await restoring.ask(customer.question())
    said = ANSWER.replace("<PERSON_1>", customer.name).replace("<EMAIL_ADDRESS_1>", customer.e_mail)
    assert reply.body["answer"] == said
    request_id = reply.body["request_id"]
    assert (await restoring.status(request_id)).body["answer"] == ANSWER, "what is kept has placeholders"
    assert (await restoring.kit.request(request_id)).sealed is None
    event = await restoring.trail(f"EventId == '{request_id}'")
    assert event["Answer"] == ANSWER
    assert await places(restoring.stack, *customer.traces()) == set()


async def test_when_nobody_fetches_an_answer_then_the_sweep_erases_what_it_stands_for(restoring: Asking) -> None:
    customer, kit = Customer.another(), restoring.kit
    request_id = (await restoring.ask(customer.question())).body["request_id"]
    await kit.change(request_id, "/sealed", "what nobody fetched")
    await kit.run_timer("sweep")
    assert (await kit.request(request_id)).sealed is not None, "it was erased at once"
    await kit.change(request_id, "/ended_at", "2020-01-01T00:00:00.000000Z")
    await kit.run_timer("sweep")
    assert (await kit.request(request_id)).sealed is None


async def test_when_what_was_sealed_is_altered_then_the_answer_is_not_given_with_it(restoring: Asking) -> None:
    request_id = (await restoring.ask(Customer.another().question())).body["request_id"]
    await restoring.kit.change(request_id, "/sealed", "bm90IHNlYWxlZCBieSBhbnlib2R5IGF0IGFsbA==")
    assert (await restoring.status(request_id)).body["answer"] == ANSWER
