"""No crash loses or doubles anything: whatever process of the app dies, and wherever, with another one of its group
alive, every accepted request ends with one answer or refusal, one audit event and a settled cap.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio

from local.process import Process
from local.resources import AUDIT_STREAM
from local.stack import GROUPS, Stack
from services.bus import REQUESTS
from services.clock import utc_now, utc_text, uuid7
from tests.e2e.kit import PROMPT, Answer, Kit, counted, ended_once, eventually, in_order, new_request, once, opened

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

UPLOAD = f"upload {AUDIT_STREAM}"

AT_ONCE = 3
"""So many requests that one of two instances certainly gets some of the work, and the other one too."""

LOCK_SECONDS = 3.0
"""The shortest that the SDK can keep renewing; what a dead instance had received is handed out again after it."""

SETTINGS = {"MODEL_TIMEOUT_SECONDS": "5", "AUDIT_PENDING_AFTER_SECONDS": "1", "RECONCILE_AFTER_SECONDS": "1"}


def group_of(point: str) -> str:
    return GROUP_OF[point.removesuffix(":done")]


async def swept_and_written(kit: Kit, request_id: str) -> None:
    await kit.run_timer("sweep")
    audit = (await kit.request(request_id)).audit
    assert audit is not None
    assert audit["status"] == "written"


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
    await nothing_goes_wrong(stack)


async def nothing_goes_wrong(stack: Stack) -> None:
    """Any more: what was asked for is taken back, also if it has just happened."""

    async def taken_back() -> None:
        try:
            for process in (*stack.standins.values(), *(each for group in GROUPS for each in stack.instances(group))):
                await stack.control(process).faults()
        except aiohttp.ClientError:
            raise AssertionError("a process has just died") from None

    await eventually(taken_back)


async def ask_until_dead(kit: Kit, victim: Process, at: Process | None = None) -> list[Answer]:
    answers: list[Answer] = []
    async with asyncio.timeout(30):
        while victim.running:
            answers += await asyncio.gather(*(kit.ask(at=at) for _ in range(AT_ONCE)))
    return answers


@pytest.mark.claim("A5", "C1")
@pytest.mark.parametrize("point", [point for point in POINTS if group_of(point) != "http"])
async def test_when_an_instance_dies_at_a_stage_then_every_request_is_answered_once(kit: Kit, point: str) -> None:
    before, calls = await kit.requests(), await kit.model_calls()
    victim = kit.stack.instances(group_of(point))[0]
    await kit.stack.control(victim).faults([{"operation": point, "kind": "drop", "times": 1}])
    answers = await ask_until_dead(kit, victim)
    accepted = await ended_once(kit, before)
    assert in_order(answers, accepted)
    ledger = await kit.reservations()
    abandoned = [each for id_ in accepted for each in ledger[id_][:-1]]
    assert len(abandoned) < AT_ONCE, "of several at once, another one's model call may have died with the instance"
    assert all(each.actual_micro == each.amount_micro for each in abandoned)
    assert all(ledger[id_][-1].charged_micro < ledger[id_][-1].amount_micro for id_ in accepted)
    assert calls + len(accepted) <= await kit.model_calls() <= calls + len(accepted) + len(abandoned)


@pytest.mark.claim("A5")
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
    assert in_order(await asyncio.gather(*map(kit.look_up, accepted)), accepted)


async def test_when_the_instance_dies_whose_client_waits_then_another_one_has_the_answer(kit: Kit) -> None:
    before = await kit.requests()
    await kit.stack.control("models").faults([{"operation": "chat", "kind": "delay", "seconds": 0.5}])
    victim = kit.stack.http[0]
    calls = await kit.model_calls()
    asked = asyncio.create_task(kit.ask(at=victim))
    await counted(kit, "models", "chat", calls + 1)
    await victim.kill()
    assert (await asked).status is None
    request_id = once(await ended_once(kit, before))
    assert in_order([await kit.look_up(request_id)], [request_id])


@pytest.mark.claim("C1")
async def test_when_an_instance_dies_during_its_model_call_then_that_is_charged_in_full_and_made_anew(
    kit: Kit,
) -> None:
    before, calls = await kit.requests(), await kit.model_calls()
    durable = kit.stack.instances("durable")
    begun = [(await kit.stack.control(instance).counts()).get("infer", 0) for instance in durable]
    await kit.stack.control("models").faults([{"operation": "chat", "kind": "delay", "seconds": 30, "times": 1}])
    asked = asyncio.create_task(kit.ask())
    await counted(kit, "models", "chat", calls + 1)
    now = [(await kit.stack.control(instance).counts()).get("infer", 0) for instance in durable]
    victim = once([instance for instance, was, is_ in zip(durable, begun, now, strict=True) if is_ > was])
    await victim.kill()

    accepted = await ended_once(kit, before)
    assert in_order([await asked], accepted)
    assert await kit.model_calls() == calls + 2
    abandoned, made = await kit.attempts(once(accepted))
    assert (abandoned.state, abandoned.actual_micro) == ("settled", abandoned.amount_micro)
    assert made.state == "settled"
    assert made.actual_micro is not None
    assert made.actual_micro < made.amount_micro


@pytest.mark.claim("A5", "C1")
async def test_when_an_instance_dies_under_load_then_every_request_is_answered_once(kit: Kit) -> None:
    before, calls = await kit.requests(), await kit.model_calls()
    await kit.stack.control("models").faults([{"operation": "chat", "kind": "delay", "seconds": 0.3}])
    asked = [asyncio.create_task(kit.ask(at=kit.stack.http[number % 2])) for number in range(10)]
    await counted(kit, "models", "chat", calls + 3)
    await kit.stack.instances("durable")[0].kill()
    answers = await asyncio.gather(*asked)
    accepted = await ended_once(kit, before)
    assert in_order(answers, accepted)


@pytest.mark.claim("C1")
async def test_when_work_is_handed_out_twice_then_every_request_is_answered_once(kit: Kit) -> None:
    """The instances live, but the scheduler takes them for dead: both runs of a stage go on to their end."""
    before, calls = await kit.requests(), await kit.model_calls()
    durable = kit.stack.control("durable")
    late = (await durable.counts()).get("late-completion", 0)
    await kit.stack.control("models").faults([{"operation": "chat", "kind": "delay", "seconds": 1}])
    asked = [asyncio.create_task(kit.ask()) for _ in range(AT_ONCE)]
    await counted(kit, "models", "chat", calls + AT_ONCE)
    await durable.faults([{"operation": "orchestrator-turn", "kind": "drop", "times": 2}])
    asked.append(asyncio.create_task(kit.ask()))  # its first turn cuts both streams
    answers = await asyncio.gather(*asked)
    accepted = await ended_once(kit, before)
    assert in_order(answers, accepted)
    assert (await durable.counts()).get("late-completion", 0) > late, "nothing was done twice"
    assert await kit.model_calls() == calls + len(accepted)


async def test_when_a_request_was_stored_and_never_queued_then_the_sweep_ends_it(kit: Kit) -> None:
    before, calls = await kit.requests(), await kit.model_calls()
    await kit.stack.control("servicebus").faults([{"operation": "send requests", "kind": "status"}])
    victim = kit.stack.http[0]
    asked = asyncio.create_task(kit.ask(at=victim))
    request_id = await new_request(kit, before)
    await victim.kill()
    assert (await asked).status is None
    await kit.stack.control("servicebus").faults()
    assert (await kit.request(request_id)).prompt == PROMPT

    await kit.run_timer("sweep")
    assert (await kit.request(request_id)).state == "queued", "it was given up at once"
    await kit.change(request_id, "/created_at", utc_text(utc_now() - timedelta(hours=1)))
    await kit.run_timer("sweep")
    accepted = await ended_once(kit, before)
    assert {id_: request.outcome for id_, request in accepted.items()} == {request_id: "abandoned"}
    looked_up = await kit.look_up(request_id)
    assert (looked_up.status, looked_up.body["type"]) == (503, "/problems/abandoned")
    assert await kit.attempts(request_id) == []
    assert await kit.model_calls() == calls


async def test_when_a_release_never_ran_then_the_sweep_lets_the_answer_go(kit: Kit) -> None:
    before = await kit.requests()
    answer = await kit.ask()
    request_id = once(await ended_once(kit, before))
    await kit.change(request_id, "/state", "recorded")
    assert (await kit.look_up(request_id)).status == 202
    await kit.change(request_id, "/ended_at", utc_text(utc_now() - timedelta(hours=1)))
    await kit.run_timer("sweep")
    assert await kit.look_up(request_id) == answer


async def test_when_a_request_is_queued_again_then_nothing_changes(kit: Kit) -> None:
    before = await kit.requests()
    bus, durable = kit.stack.control("servicebus"), kit.stack.control("durable")
    completed = (await bus.counts()).get("complete requests", 0)
    started = (await durable.counts()).get("start", 0)
    await durable.faults([{"operation": "activity check_prompt", "kind": "delay", "seconds": 1, "times": 1}])
    asked = asyncio.create_task(kit.ask())
    request_id = await new_request(kit, before)
    await counted(kit, "durable", "start", started + 1)

    await kit.bus.send(REQUESTS, {"v": 1, "request_id": request_id}, message_id=uuid7())
    await counted(kit, "servicebus", "complete requests", completed + 2)
    assert (await durable.counts())["start"] == started + 2, "the repeat came too late to find it running"
    answer = await asked
    assert in_order([answer], [request_id])
    await ended_once(kit, before)

    calls = await kit.model_calls()
    await kit.bus.send(REQUESTS, {"v": 1, "request_id": request_id}, message_id=uuid7())
    await counted(kit, "servicebus", "complete requests", completed + 3)
    assert (await durable.counts())["start"] == started + 2
    assert once(await ended_once(kit, before)) == request_id
    assert await kit.look_up(request_id) == answer
    assert len(await kit.attempts(request_id)) == 1
    assert await kit.model_calls() == calls


async def test_when_a_finished_orchestration_is_replaced_then_nothing_changes(kit: Kit) -> None:
    before = await kit.requests()
    answer = await kit.ask()
    request_id = once(await ended_once(kit, before))
    calls, uploaded = await kit.model_calls(), len(await kit.events())
    await kit.orchestrate(request_id)
    assert once(await ended_once(kit, before)) == request_id
    assert await kit.look_up(request_id) == answer
    assert len(await kit.attempts(request_id)) == 1
    assert (await kit.model_calls(), len(await kit.events())) == (calls, uploaded)


async def test_when_an_orchestration_is_replaced_during_the_model_call_then_that_call_counts(kit: Kit) -> None:
    before, calls = await kit.requests(), await kit.model_calls()
    await kit.stack.control("models").faults([{"operation": "chat", "kind": "delay", "seconds": 1, "times": 1}])
    asked = asyncio.create_task(kit.ask())
    request_id = await new_request(kit, before)
    await counted(kit, "models", "chat", calls + 1)
    await kit.orchestrate(request_id)
    answer = await asked
    assert once(await ended_once(kit, before)) == request_id
    assert in_order([answer], [request_id])
    assert len(await kit.attempts(request_id)) == 1
    assert await kit.model_calls() == calls + 1


@pytest.mark.claim("A5")
async def test_when_log_analytics_is_away_and_the_writer_dies_then_the_event_arrives_later(kit: Kit) -> None:
    before = await kit.requests()
    logs = kit.stack.control("loganalytics")
    uploads = (await logs.counts()).get(UPLOAD, 0)
    await logs.faults([{"operation": UPLOAD, "kind": "status", "status": 503}])
    answer = await kit.ask()
    await counted(kit, "loganalytics", UPLOAD, uploads + 1)
    victims = kit.stack.instances("queues")
    tried = [(await kit.stack.control(each).counts()).get("write_audit", 0) for each in victims]
    await victims[tried.index(max(tried))].kill()
    await logs.faults()
    await eventually(lambda: swept_and_written(kit, answer.body["request_id"]))
    accepted = await ended_once(kit, before)
    assert in_order([answer], accepted)


@pytest.mark.claim("A5")
@pytest.mark.parametrize("status", ["pending", "written"])
async def test_when_the_queue_gave_an_event_up_then_the_timers_send_it_again(kit: Kit, status: str) -> None:
    """Also one that is marked as written, though Log Analytics does not have it."""
    before = await kit.requests()
    given_up = (await kit.queues())["audit"]["dead_lettered"]
    writers = [kit.stack.control(instance) for instance in kit.stack.instances("queues")]
    for writer in writers:
        await writer.faults([{"operation": "write_audit", "kind": "status"}])
    answer = await kit.ask()

    async def the_queue_gave_up() -> None:
        assert (await kit.queues())["audit"]["dead_lettered"] > given_up

    await eventually(the_queue_gave_up)
    request_id = await new_request(kit, before)
    request = await kit.request(request_id)
    assert request.audit is not None
    assert request.audit["status"] == "pending"
    await kit.change(request_id, "/audit/status", status)
    for writer in writers:
        await writer.faults()

    async def put_right() -> None:
        await kit.run_timer("reconcile_audit")
        await kit.run_timer("sweep")
        assert request_id in {event["EventId"] for event in await kit.events()}

    await eventually(put_right)
    assert in_order([answer], await ended_once(kit, before))


@pytest.mark.claim("A5", "C1")
@pytest.mark.parametrize(
    ("standin", "operation", "kind"),
    [
        ("cosmos", "create requests", "drop"),
        ("cosmos", "batch budgets", "drop"),
        ("cosmos", "patch budgets", "drop"),
        ("cosmos", "patch requests", "drop"),
        ("servicebus", "send requests", "drop"),
        ("servicebus", "send audit", "drop"),
        ("servicebus", "send replies", "drop"),
        ("servicebus", "complete requests", "drop"),
        ("servicebus", "complete audit", "lock-lost"),
        ("durable", "start", "status"),
        ("durable", "complete-activity", "status"),
        ("durable", "complete-turn", "status"),
        ("loganalytics", UPLOAD, "drop"),
    ],
)
async def test_when_a_connection_breaks_then_the_request_is_answered_once(
    kit: Kit, standin: str, operation: str, kind: str
) -> None:
    """After the service did what it was asked for, for most: the caller repeats it."""
    before, calls = await kit.requests(), await kit.model_calls()
    await kit.stack.control(standin).faults([{"operation": operation, "kind": kind, "times": 1}])
    answer = await kit.ask()
    if standin == "loganalytics":  # it is the sweep that tries again
        await eventually(lambda: swept_and_written(kit, answer.body["request_id"]))
    accepted = await ended_once(kit, before)
    assert in_order([answer], accepted)
    assert len(await kit.attempts(once(accepted))) == 1
    assert await kit.model_calls() == calls + 1
