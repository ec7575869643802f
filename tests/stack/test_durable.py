"""The Durable Task backend stand-in, through the real clients and workers."""

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from datetime import datetime, timedelta
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from azure.durable_functions import DurableFunctionsClient
from durabletask import task
from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationQuery, OrchestrationStatus

from tests.stack.durable_kit import (
    SECONDS,
    Standin,
    Worker,
    binding,
    call_activity,
    code,
    complete,
    running_standin,
    sdk_worker,
)


@pytest.fixture
async def standin() -> AsyncIterator[Standin]:
    async with running_standin() as standin:
        yield standin


@pytest.fixture
async def client(standin: Standin) -> AsyncIterator[DurableFunctionsClient]:
    durable = DurableFunctionsClient(binding(standin.url))
    yield durable
    await durable.close()


async def test_when_an_orchestration_uses_activities_retries_timers_and_events_then_it_completes(
    standin: Standin,
) -> None:
    attempts: list[str] = []

    def double(_: task.ActivityContext, number: int) -> int:
        return number * 2

    def flaky(_: task.ActivityContext, word: str) -> str:
        attempts.append(word)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")
        return word.upper()

    def everything(context: task.OrchestrationContext, number: int) -> Generator[task.Task[Any], Any, list[Any]]:
        doubled = yield task.when_all([context.call_activity(double, input=n) for n in range(number)])
        policy = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=20), max_number_of_attempts=3)
        retried = yield context.call_activity(flaky, input="word", retry_policy=policy)
        before = context.current_utc_datetime
        yield context.create_timer(timedelta(milliseconds=50))
        assert context.current_utc_datetime - before >= timedelta(milliseconds=50)
        approval = yield context.wait_for_external_event("approval")
        return [doubled, retried, approval]

    async with AsyncTaskHubGrpcClient(host_address=standin.url) as hub:
        with sdk_worker(standin.url, everything, double, flaky):
            instance_id = await hub.schedule_new_orchestration("everything", input=3)
            await hub.wait_for_orchestration_start(instance_id, timeout=SECONDS)
            await hub.raise_orchestration_event(instance_id, "approval", data={"by": "kim"})
            state = await hub.wait_for_orchestration_completion(instance_id, timeout=SECONDS)
        history = await hub.get_orchestration_history(instance_id)

    assert state is not None
    assert state.runtime_status == OrchestrationStatus.COMPLETED
    assert json.loads(state.serialized_output or "") == [[0, 2, 4], "WORD", {"by": "kim"}]
    counts = standin.control.counts
    assert counts["start"] == 1
    assert counts["activity double"] == 3
    assert counts["activity flaky"] == 3
    assert counts["history-event"] == len(history)
    events = await standin.inspect(f"/control/history/{instance_id}")
    assert len(events) == len(history)
    kinds = [event["kind"] for event in events]
    assert kinds[:2] == ["orchestratorStarted", "executionStarted"]
    assert kinds[-2:] == ["executionCompleted", "orchestratorCompleted"]
    assert kinds.count("taskFailed") == 2
    assert kinds.count("timerFired") == 3
    assert all(event["bytes"] > 0 and datetime.fromisoformat(event["timestamp"]).year > 2000 for event in events)
    assert await standin.inspect("/control/instances") == [
        {"id": instance_id, "name": "everything", "status": "COMPLETED"}
    ]


async def test_when_an_activity_keeps_failing_then_the_orchestration_fails_and_the_dump_shows_why(
    standin: Standin,
) -> None:
    def broken(_: task.ActivityContext, word: str) -> str:
        raise ValueError(f"Straße {word}")

    def calls(context: task.OrchestrationContext, word: str) -> Generator[task.Task[Any], Any, Any]:
        return (yield context.call_activity(broken, input=word))

    async with AsyncTaskHubGrpcClient(host_address=standin.url) as hub:
        with sdk_worker(standin.url, calls, broken):
            instance_id = await hub.schedule_new_orchestration("calls", input="canary")
            state = await hub.wait_for_orchestration_completion(instance_id, timeout=SECONDS)

    assert state is not None
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert "Straße canary" in standin.control.dump()


async def test_when_hundreds_wait_for_instances_with_timers_then_nobody_starves(standin: Standin) -> None:
    def sleeps(context: task.OrchestrationContext, number: int) -> Generator[task.Task[Any], Any, int]:
        yield context.wait_for_external_event("go")
        yield context.create_timer(timedelta(seconds=0.2))
        return number

    async with AsyncTaskHubGrpcClient(host_address=standin.url) as hub:
        ids = [f"i{number}" for number in range(200)]
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(hub.wait_for_orchestration_completion(i, timeout=SECONDS)) for i in ids]
            with sdk_worker(standin.url, sleeps):
                for number, instance_id in enumerate(ids):
                    await hub.schedule_new_orchestration("sleeps", input=number, instance_id=instance_id)
                assert (await hub.get_orchestration_state(ids[-1])) is not None
                for instance_id in ids:
                    await hub.raise_orchestration_event(instance_id, "go")
                states = await asyncio.gather(*waits)
    assert [json.loads(state.serialized_output or "") for state in states if state] == list(range(200))


async def test_when_an_instance_is_unfinished_then_start_new_raises_already_exists(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    with pytest.deprecated_call():
        assert await client.start_new("o", "one", {"n": 1}) == "one"
    for state in ("PENDING", "RUNNING"):
        with pytest.deprecated_call(), pytest.raises(grpc.aio.AioRpcError) as error:
            await client.start_new("o", "one", {"n": 2})
        assert code(error) == grpc.StatusCode.ALREADY_EXISTS
        with pytest.deprecated_call():
            status = await client.get_status("one", show_input=True)
        assert status.runtime_status is not None
        assert status.runtime_status.name.upper() == state
        assert status.input_ == {"n": 1}
        if state == "PENDING":
            worker = Worker(standin.stub)
            await worker.ask(await worker.take(), call_activity(1))


async def test_when_an_instance_is_finished_then_start_new_replaces_it_and_late_results_are_refused(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    worker = Worker(standin.stub)
    await client.schedule_new_orchestration("o", instance_id="one", input="first")
    await worker.ask(await worker.take(), call_activity(1))
    stale = await worker.take()
    with pytest.deprecated_call():
        await client.terminate("one", "because")
    turn = await worker.take()
    assert turn.orchestratorRequest.newEvents[-1].executionTerminated.input.value == '"because"'
    await worker.ask(turn, complete())

    await client.schedule_new_orchestration("o", instance_id="one", input="second")
    turn = await worker.take()
    assert not turn.orchestratorRequest.pastEvents
    await worker.ask(turn, call_activity(1))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await worker.finish(stale, "stale")
    assert code(error) == grpc.StatusCode.NOT_FOUND
    await worker.finish(await worker.take(), "fresh")
    turn = await worker.take()
    assert turn.orchestratorRequest.newEvents[-1].taskCompleted.result.value == "fresh"


async def test_when_a_reuse_policy_leaves_out_a_finished_state_then_it_is_not_replaced(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    worker = Worker(standin.stub)
    await standin.start("one")
    await worker.ask(await worker.take(), complete())
    only_failed = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_FAILED])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await client.schedule_new_orchestration("o", instance_id="one", reuse_id_policy=only_failed)
    assert code(error) == grpc.StatusCode.ALREADY_EXISTS
    running = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_RUNNING])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await client.schedule_new_orchestration("o", instance_id="one", reuse_id_policy=running)
    assert code(error) == grpc.StatusCode.UNIMPLEMENTED


async def test_when_an_instance_is_unknown_or_finished_then_events_for_it_are_refused(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    with pytest.deprecated_call():
        assert not await client.get_status("nobody")
    await standin.start("done")
    worker = Worker(standin.stub)
    await worker.ask(await worker.take(), complete())
    for instance_id, expected in (
        ("nobody", grpc.StatusCode.NOT_FOUND),
        ("done", grpc.StatusCode.FAILED_PRECONDITION),
    ):
        for call in (
            client.raise_orchestration_event(instance_id, "e"),
            client.terminate_orchestration(instance_id),
            client.suspend_orchestration(instance_id),
            client.resume_orchestration(instance_id),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert code(error) == expected


async def test_when_an_instance_is_suspended_then_events_wait_until_it_is_resumed(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    worker = Worker(standin.stub)
    await standin.start("one")
    await worker.ask(await worker.take(), call_activity(1))
    activity = await worker.take()
    await client.suspend_orchestration("one", reason="audit")
    await worker.ask(await worker.take())
    state = await client.get_orchestration_state("one")
    assert state is not None
    assert state.runtime_status == OrchestrationStatus.SUSPENDED
    await worker.finish(activity, "r")
    assert standin.control.counts["orchestrator-turn"] == 2
    await client.resume_orchestration("one")
    turn = await worker.take()
    kinds = [event.WhichOneof("eventType") for event in turn.orchestratorRequest.newEvents]
    assert kinds == ["orchestratorStarted", "taskCompleted", "executionResumed"]
    await worker.ask(turn, complete())
    assert (await standin.until_finished("one")).output.value == "3"


async def test_when_finished_instances_are_purged_then_the_others_are_still_listed(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    worker = Worker(standin.stub, turns=1)
    for number in range(5):
        await standin.start(f"i{number}")
    for _ in range(3):
        await worker.ask(await worker.take(), complete())
    query = OrchestrationQuery(max_instance_count=2)  # three pages
    assert [s.instance_id for s in await client.get_all_orchestration_states(query)] == ["i0", "i1", "i2", "i3", "i4"]
    assert (await client.purge_orchestration("i4")).deleted_instance_count == 0  # not finished
    assert (await client.purge_orchestration("i0")).deleted_instance_count == 1
    purged = await client.purge_orchestrations_by(runtime_status=[OrchestrationStatus.COMPLETED])
    assert purged.deleted_instance_count == 2
    assert [s.instance_id for s in await client.get_all_orchestration_states()] == ["i3", "i4"]
