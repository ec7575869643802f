"""The Durable Task backend stand-in: how work is handed out, again too; killed workers, faults and refusals."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from azure.durable_functions import DurableFunctionsClient
from durabletask.client import AsyncTaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.internal.helpers import new_timestamp

from local.standin import Fault
from tests.stack.durable_kit import (
    SECONDS,
    Standin,
    Worker,
    binding,
    call_activity,
    code,
    complete,
    connected,
    process,
    running_standin,
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


async def test_when_a_stream_ends_then_what_it_held_goes_to_another_and_its_answers_are_refused(
    standin: Standin,
) -> None:
    first = Worker(standin.stub)
    await standin.start("one")
    await first.ask(await first.take(), call_activity(1), call_activity(2))
    lost = [await first.take(), await first.take()]
    await standin.start("two")
    lost_turn = await first.take()

    second = Worker(standin.stub)
    first.call.cancel()
    again = {}
    for _ in range(3):
        item = await second.take()
        again[item.WhichOneof("request"), item.activityRequest.taskId] = item
    assert sorted(again) == [("activityRequest", 1), ("activityRequest", 2), ("orchestratorRequest", 0)]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await first.finish(lost[0], "late")
    assert code(error) == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError):
        await first.ask(lost_turn, complete("late"))

    await second.ask(again["orchestratorRequest", 0], complete("two is done"))
    await second.finish(again["activityRequest", 1], "r1")
    turn = await second.take()
    await second.finish(again["activityRequest", 2], "r2")
    for late in (lost[1], again["activityRequest", 1]):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await first.finish(late, "late")
        assert code(error) == grpc.StatusCode.NOT_FOUND
    await second.ask(turn)
    await second.ask(await second.take(), complete())
    assert (await standin.until_finished("one")).output.value == "3"
    assert (await standin.until_finished("two")).output.value == "two is done"
    assert (await standin.history("one")).count("taskCompleted") == 2
    assert standin.control.counts["late-completion"] == 4
    assert "late" not in standin.control.dump()


async def test_when_work_is_abandoned_then_it_is_handed_out_again(standin: Standin) -> None:
    worker = Worker(standin.stub)
    await standin.start("one")
    turn = await worker.take()
    await standin.stub.AbandonTaskOrchestratorWorkItem(
        pb.AbandonOrchestrationTaskRequest(completionToken=turn.completionToken)
    )
    again = await worker.take()
    assert again.completionToken != turn.completionToken
    await worker.ask(again, call_activity(1))
    activity = await worker.take()
    request = pb.AbandonActivityTaskRequest(completionToken=activity.completionToken)
    await standin.stub.AbandonTaskActivityWorkItem(request)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await standin.stub.AbandonTaskActivityWorkItem(request)
    assert code(error) == grpc.StatusCode.NOT_FOUND
    await worker.finish(await worker.take(), "r")
    await worker.ask(await worker.take(), complete())


async def test_when_streams_have_limits_then_work_is_spread_and_waits_for_its_place(standin: Standin) -> None:
    workers = [Worker(standin.stub, activities=1), Worker(standin.stub, activities=1)]
    await standin.start("one")
    reads = [asyncio.ensure_future(worker.take()) for worker in workers]
    (done,), (other,) = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
    at = reads.index(done)
    await workers[at].ask(done.result(), call_activity(1), call_activity(2), call_activity(3))
    held = {workers[at]: await workers[at].take(), workers[1 - at]: await other}
    assert {item.activityRequest.taskId for item in held.values()} == {1, 2}
    assert standin.control.counts["activity a"] == 2
    await workers[at].finish(held[workers[at]], "r")
    items = [await workers[1 - at].take(), await workers[at].take()]  # the turn, and the third activity
    assert {item.WhichOneof("request") for item in items} == {"orchestratorRequest", "activityRequest"}


async def test_when_an_instance_finishes_with_an_open_timer_then_it_gets_no_further_turn(standin: Standin) -> None:
    def timer(seconds: float) -> pb.OrchestratorAction:
        fire_at = new_timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
        return pb.OrchestratorAction(id=1, createTimer={"fireAt": fire_at})

    worker = Worker(standin.stub)
    await standin.start("finishes")
    await worker.ask(await worker.take(), timer(0.1))
    await standin.stub.RaiseEvent(pb.RaiseEventRequest(instanceId="finishes", name="e"))
    await worker.ask(await worker.take(), complete())
    await standin.start("waits")
    await worker.ask(await worker.take(), timer(0.3))
    turn = await worker.take()
    assert turn.orchestratorRequest.instanceId == "waits"
    assert turn.orchestratorRequest.newEvents[-1].timerFired.timerId == 1
    assert "timerFired" not in await standin.history("finishes")


WORKER = """
import sys, time
from durabletask.worker import TaskHubGrpcWorker
url, role = sys.argv[1:]
def slow(context, word):
    if role == "stuck":
        print("started", flush=True)
        time.sleep(60)
    return f"{word} by {role}"
def calls(context, word):
    return (yield context.call_activity(slow, input=word))
worker = TaskHubGrpcWorker(host_address=url)
worker.add_orchestrator(calls)
worker.add_activity(slow)
worker.start()
if role != "stuck":
    print("up", flush=True)
time.sleep(60)
"""


async def test_when_a_worker_is_killed_in_an_activity_then_another_finishes_it_once() -> None:
    with process("-m", "local.durable") as (_, line):
        ready = json.loads(line)
        async with AsyncTaskHubGrpcClient(host_address=ready["url"]) as hub:
            instance_id = await hub.schedule_new_orchestration("calls", input="done")
            with process("-c", WORKER, ready["url"], "stuck") as (stuck, started):
                assert started == "started\n"
                with process("-c", WORKER, ready["url"], "healthy"):
                    stuck.send_signal(signal.SIGKILL)
                    state = await hub.wait_for_orchestration_completion(instance_id, timeout=SECONDS)
        async with aiohttp.ClientSession() as session:
            history = await (await session.get(f"{ready['control']}/control/history/{instance_id}")).json()
            counts = await (await session.get(f"{ready['control']}/control/counts")).json()
    assert state is not None
    assert state.serialized_output == '"done by healthy"'
    assert [event["kind"] for event in history].count("taskCompleted") == 1
    assert counts["activity slow"] == 2


async def test_when_the_backend_is_killed_then_it_goes_on_where_it_was(tmp_path: Path) -> None:
    command = ("-m", "local.durable", "--data", str(tmp_path))
    with process(*command) as (_, line):
        async with connected(json.loads(line)["url"]) as stub:
            worker = Worker(stub)
            await stub.StartInstance(pb.CreateInstanceRequest(instanceId="one", name="o", input={"value": "Grüße"}))
            fire_at = new_timestamp(datetime.now(UTC) + timedelta(seconds=1))
            timer = pb.OrchestratorAction(id=2, createTimer={"fireAt": fire_at})
            await worker.ask(await worker.take(), call_activity(1), timer, call_activity(3))
            lost, kept = await worker.take(), await worker.take()
            await worker.finish(kept, "kept")  # its turn is handed out, and not answered
            await stub.StartInstance(pb.CreateInstanceRequest(instanceId="two", name="o"))
    # the context manager has killed it
    with process(*command) as (_, line):
        async with connected(json.loads(line)["url"]) as stub:
            worker = Worker(stub)
            items = [await worker.take() for _ in range(3)]
            turns = {i.orchestratorRequest.instanceId: i for i in items if i.HasField("orchestratorRequest")}
            (activity,) = (item for item in items if item.HasField("activityRequest"))
            assert set(turns) == {"one", "two"}
            assert activity.activityRequest.taskId == lost.activityRequest.taskId
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await worker.finish(lost, "late")
            assert code(error) == grpc.StatusCode.NOT_FOUND
            await worker.finish(activity, "fresh")
            new = [event.WhichOneof("eventType") for event in turns["one"].orchestratorRequest.newEvents]
            await worker.ask(turns["one"])
            while new.count("taskCompleted") < 2 or "timerFired" not in new:  # in any order: the start may take longer
                turn = await worker.take()
                new += [event.WhichOneof("eventType") for event in turn.orchestratorRequest.newEvents]
                await worker.ask(turn)
            assert new.count("taskCompleted") == 2
            assert new.count("timerFired") == 1
            request = pb.GetInstanceRequest(instanceId="one", getInputsAndOutputs=True)
            assert (await stub.GetInstance(request)).orchestrationState.input.value == "Grüße"


async def test_when_start_has_a_status_fault_then_it_is_unavailable_and_nothing_starts(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    standin.control.faults = [Fault(operation="start", kind="status", times=1)]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await client.schedule_new_orchestration("o", instance_id="one")
    assert code(error) == grpc.StatusCode.UNAVAILABLE
    assert await standin.inspect("/control/instances") == []
    await client.schedule_new_orchestration("o", instance_id="one")
    assert standin.control.counts["start"] == 2


async def test_when_an_activity_has_a_drop_fault_then_the_stream_that_would_get_it_is_cut(standin: Standin) -> None:
    standin.control.faults = [Fault(operation="activity a", kind="drop", times=1)]
    first = Worker(standin.stub)
    await standin.start("one")
    await first.ask(await first.take(), call_activity(1))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await first.take()
    assert code(error) == grpc.StatusCode.UNAVAILABLE
    second = Worker(standin.stub)
    await second.finish(await second.take(), "r")
    await second.ask(await second.take(), complete())
    assert standin.control.counts["activity a"] == 1


async def test_when_an_activity_has_a_delay_fault_then_it_comes_late(standin: Standin) -> None:
    standin.control.faults = [Fault(operation="activity a", kind="delay", seconds=0.2)]
    worker = Worker(standin.stub)
    await standin.start("one")
    await worker.ask(await worker.take(), call_activity(1))
    loop = asyncio.get_running_loop()
    before = loop.time()
    await worker.take()
    assert loop.time() - before > 0.15


async def test_when_something_is_not_served_then_it_is_refused(
    standin: Standin, client: DurableFunctionsClient
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    filters = pb.WorkItemFilters(activities=[pb.ActivityFilter(name="a")])
    for call in (
        client.rewind_orchestration("one"),
        client.restart_orchestration("one"),
        client.signal_entity(EntityInstanceId("counter", "one"), "op"),
        client.schedule_new_orchestration("o", start_at=later),
        standin.stub.GetWorkItems(pb.GetWorkItemsRequest(workItemFilters=filters)).read(),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        assert code(error) == grpc.StatusCode.UNIMPLEMENTED


async def test_when_an_orchestrator_asks_for_what_is_not_served_then_it_fails_and_says_so(standin: Standin) -> None:
    worker = Worker(standin.stub)
    again = pb.CompleteOrchestrationAction(orchestrationStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW)
    for instance_id, action in (
        ("createSubOrchestration", pb.OrchestratorAction(id=1, createSubOrchestration={"name": "child"})),
        ("continueAsNew", pb.OrchestratorAction(id=1, completeOrchestration=again)),
    ):
        await standin.start(instance_id)
        await worker.ask(await worker.take(), call_activity(7), action)
        state = await standin.until_finished(instance_id)
        assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
        assert instance_id in state.failureDetails.errorMessage
    assert standin.control.counts["activity a"] == 0
