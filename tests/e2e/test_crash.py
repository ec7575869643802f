"""No crash loses or doubles anything: whatever process of the app dies, and wherever, with another one of its group
alive, every accepted request ends with one answer or refusal, one audit event and a settled cap.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import timedelta

import pytest
import pytest_asyncio

from governance.requests import Request
from local.process import Process
from local.stack import GROUPS, Stack
from tests.e2e.kit import PROMPT, Answer, Kit, eventually, once, opened

STAGES = ("check_prompt", "ground", "infer", "check_answer", "record", "release")
GROUP_OF = {
    "ingest": "http",
    "start": "queues",
    "answer_request": "durable",
    **dict.fromkeys(STAGES, "durable"),
    "write_audit": "queues",
}
POINTS = [f"{function}{when}" for function in GROUP_OF for when in ("", ":done")]
"""Just before a function runs; and when it has done its work, and nobody knows it yet."""

AT_ONCE = 3
"""So many requests that one of two instances certainly gets some of the work, and the other one too."""

LOCK_SECONDS = 3.0
"""The shortest that the SDK can keep renewing; what a dead instance had received is handed out again after it."""

SETTINGS = {"MODEL_TIMEOUT_SECONDS": "1.5", "AUDIT_PENDING_AFTER_SECONDS": "1", "RECONCILE_AFTER_SECONDS": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_kit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    """A stack of its own, where the dead are replaced, as Azure does it."""
    folder = tmp_path_factory.mktemp("crash")
    async with Stack(folder, instances=2, lock_seconds=LOCK_SECONDS, settings=SETTINGS) as stack, opened(stack) as kit:
        replacing = asyncio.create_task(replace_the_dead(stack))
        yield kit
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing


async def replace_the_dead(stack: Stack) -> None:
    while True:
        group, _ = await stack.next_death()
        assert group is not None, "a stand-in died"
        await stack.start_instance(group)


@pytest_asyncio.fixture(loop_scope="session")
async def kit(module_kit: Kit) -> AsyncIterator[Kit]:
    """Two instances of each group at the beginning of every test, and nothing that is to go wrong."""
    stack = module_kit.stack

    async def two_of_each() -> None:
        assert {len(stack.instances(group)) for group in GROUPS} == {2}

    await eventually(two_of_each)
    yield module_kit
    for process in (*stack.standins.values(), *(each for group in GROUPS for each in stack.instances(group))):
        await stack.control(process).faults()


async def ended_once(kit: Kit, before: Collection[str] = ()) -> dict[str, Request]:
    """Waits until everything that was ever accepted has ended, and holds it to the promise.

    Returns the requests that were accepted since ``before``.
    """

    async def nothing_is_under_way() -> dict[str, Request]:
        accepted = await kit.requests()
        assert {request.audit["status"] for request in accepted.values() if request.audit} <= {"written"}
        assert all(request.answerable for request in accepted.values())
        queues = await kit.queues()
        for queue in ("requests", "audit"):  # whoever waited for a reply may be dead, so those may stay
            assert queues[queue] == {"active": 0, "scheduled": 0, "locked": 0, "dead_lettered": 0}
        assert {each["status"] for each in await kit.orchestrations()} <= {"COMPLETED"}
        return accepted

    import time; t=time.time()
    accepted = await eventually(nothing_is_under_way)
    print("ended", time.time()-t)

    for request in accepted.values():
        assert (request.prompt, request.unchecked_answer, request.calls) == (None, None, {}), "raw text stayed"
        assert (request.answer is None) == (request.problem is not None)

    outcomes = {(event["EventId"], event["Outcome"]) for event in await kit.events()}
    assert sorted(outcomes) == sorted((request.id, request.outcome) for request in accepted.values())

    cap, ledger = await kit.cap(), await kit.reservations()
    settled = [each for attempts in ledger.values() for each in attempts if each.state == "settled"]
    assert {each.state for attempts in ledger.values() for each in attempts} <= {"settled", "released"}
    assert cap["reserved_micro"] == 0
    assert cap["spent_micro"] == sum(each.actual_micro or 0 for each in settled)
    assert await kit.model_calls() == len(settled)
    assert all(any(each.state == "settled" for each in ledger[id_]) for id_, r in accepted.items() if r.answer)
    return {id_: request for id_, request in accepted.items() if id_ not in before}


async def ask_until_dead(kit: Kit, victim: Process, at: Process | None = None) -> list[Answer]:
    answers: list[Answer] = []
    import time; t=time.time()
    async with asyncio.timeout(30):
        while victim.running:
            answers += await asyncio.gather(*(kit.ask(at=at) for _ in range(AT_ONCE)))
            print("round", time.time()-t)
    return answers


def answered(answers: Collection[Answer], accepted: Collection[str]) -> bool:
    """Everybody who asked has the answer to their own request."""
    ids = [answer.body.get("request_id") for answer in answers if answer.status == 200 and answer.body["answer"]]
    return len(ids) == len(answers) and sorted(map(str, ids)) == sorted(accepted)


@pytest.mark.parametrize("point", [point for point in POINTS if GROUP_OF[point.partition(":")[0]] != "http"])
async def test_when_an_instance_dies_at_a_stage_then_every_request_is_answered_once(kit: Kit, point: str) -> None:
    before = await kit.requests()
    victim = kit.stack.instances(GROUP_OF[point.partition(":")[0]])[0]
    await kit.stack.control(victim).faults([{"operation": point, "kind": "drop", "times": 1}])
    answers = await ask_until_dead(kit, victim)
    accepted = await ended_once(kit, before)
    assert answered(answers, accepted)
    assert {len(attempts) for id_, attempts in (await kit.reservations()).items() if id_ in accepted} == {1}


@pytest.mark.parametrize("point", ["ingest", "ingest:done"])
async def test_when_the_instance_dies_that_was_asked_then_what_it_accepted_is_answered_once(
    kit: Kit, point: str
) -> None:
    before = await kit.requests()
    victim = kit.stack.http[0]
    await kit.stack.control(victim).faults([{"operation": point, "kind": "drop", "times": 1}])
    answers = await ask_until_dead(kit, victim, at=victim)
    assert {answer.status for answer in answers} == {None}
    accepted = await ended_once(kit, before)
    assert len(accepted) == (0 if point == "ingest" else AT_ONCE)
    looked_up = await asyncio.gather(*map(kit.look_up, accepted))
    assert answered(looked_up, accepted)
