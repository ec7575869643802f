"""What the tests of the Durable Task backend stand-in share: the stand-in, scripted and real workers, processes."""

import asyncio
import inspect
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import durabletask.internal.orchestrator_service_pb2 as pb
import durabletask.internal.orchestrator_service_pb2_grpc as stubs
import grpc
import pytest
from durabletask.worker import TaskHubGrpcWorker

from local.durable.__main__ import service
from local.standin import Control, serving

SECONDS = 10.0
"""How long anything here may take before the test fails."""


class Standin:
    """The stand-in in this process."""

    def __init__(self, url: str, control: Control, control_url: str, stub: Any) -> None:
        self.url = url
        self.control = control
        self.control_url = control_url
        self.stub = stub

    async def inspect(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.control_url + path) as response:
            return await response.json()

    async def history(self, instance_id: str) -> list[str]:
        return [event["kind"] for event in await self.inspect(f"/control/history/{instance_id}")]

    async def start(self, instance_id: str, name: str = "o", payload: str = "1") -> None:
        await self.stub.StartInstance(
            pb.CreateInstanceRequest(instanceId=instance_id, name=name, input={"value": payload})
        )

    async def until_finished(self, instance_id: str) -> pb.OrchestrationState:
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        response: pb.GetInstanceResponse = await self.stub.WaitForInstanceCompletion(request, timeout=SECONDS)
        return response.orchestrationState


class Worker:
    """A worker that does what the test says: a ``GetWorkItems`` stream and the answers to what comes out of it."""

    def __init__(self, stub: Any, turns: int = 0, activities: int = 0) -> None:
        self._stub = stub
        self.call = stub.GetWorkItems(
            pb.GetWorkItemsRequest(maxConcurrentOrchestrationWorkItems=turns, maxConcurrentActivityWorkItems=activities)
        )

    async def take(self) -> pb.WorkItem:
        async with asyncio.timeout(SECONDS):
            item = await self.call.read()
        assert isinstance(item, pb.WorkItem)
        return item

    async def ask(self, turn: pb.WorkItem, *actions: pb.OrchestratorAction) -> None:
        assert turn.HasField("orchestratorRequest")
        await self._stub.CompleteOrchestratorTask(
            pb.OrchestratorResponse(
                instanceId=turn.orchestratorRequest.instanceId, actions=actions, completionToken=turn.completionToken
            )
        )

    async def finish(self, activity: pb.WorkItem, result: str) -> None:
        assert activity.HasField("activityRequest")
        await self._stub.CompleteActivityTask(
            pb.ActivityResponse(
                instanceId=activity.activityRequest.orchestrationInstance.instanceId,
                taskId=activity.activityRequest.taskId,
                result={"value": result},
                completionToken=activity.completionToken,
            )
        )


def call_activity(task_id: int, name: str = "a") -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=task_id, scheduleTask={"name": name, "input": {"value": "2"}})


def complete(result: str = "3") -> pb.OrchestratorAction:
    action = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_COMPLETED, result={"value": result}
    )
    return pb.OrchestratorAction(id=99, completeOrchestration=action)


def code(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> grpc.StatusCode:
    return error.value.code()


def binding(url: str) -> str:
    """What the Functions host gives a durable client binding."""
    return json.dumps({"taskHubName": "hub", "rpcBaseUrl": url, "baseUrl": "", "requiredQueryStringParameters": ""})


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(url) as channel:
        yield stubs.TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def running_standin() -> AsyncIterator[Standin]:
    control = Control()
    async with (
        service(Namespace(port=0, data=None), control) as ready,
        serving(control.app()) as control_url,
        connected(ready["url"]) as stub,
    ):
        yield Standin(ready["url"], control, control_url, stub)


@contextmanager
def sdk_worker(url: str, *functions: Any) -> Iterator[None]:
    """Durabletask's own worker: generators are orchestrators, the others activities."""
    worker = TaskHubGrpcWorker(host_address=url)
    for function in functions:
        add = worker.add_orchestrator if inspect.isgeneratorfunction(function) else worker.add_activity
        add(function)
    worker.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        worker.stop()  # type: ignore[no-untyped-call]


@contextmanager
def process(*command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and its first line."""
    running = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    try:
        yield running, running.stdout.readline()
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
