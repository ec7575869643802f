"""The gRPC face: ``TaskHubSidecarService`` over a :class:`~local.durable.backend.Backend`."""
# ruff: noqa: N802 (the protocol names its calls)

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import durabletask.internal.orchestrator_service_pb2_grpc as stubs
import grpc

from local.durable.backend import Backend, Refused
from local.durable.instance import Instance
from local.standin import Control

log = logging.getLogger(__name__)

PING_SECONDS = 30.0
"""How long a worker's stream may be silent: SDK workers reconnect after two minutes without a message."""
_HISTORY_CHUNK = 100
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    # A worker that is frozen, not dead, keeps its connection: it is found out by unanswered pings.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 15_000),
]


class TaskHubService:
    """A call that is not defined here is answered UNIMPLEMENTED."""

    def __init__(self, backend: Backend, control: Control) -> None:
        self._backend = backend
        self._control = control

    def __getattr__(self, name: str) -> Callable[[Any, grpc.aio.ServicerContext], Awaitable[None]]:
        if name not in stubs.TaskHubSidecarServiceServicer.__dict__:
            raise AttributeError(name)

        async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
            log.error("%s was called: the local stack does not serve it", name)
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the local stack does not serve {name}")

        return refuse

    async def Hello(self, request: Any, _: grpc.aio.ServicerContext) -> Any:
        return request  # both are google.protobuf.Empty

    async def StartInstance(
        self, request: pb.CreateInstanceRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateInstanceResponse:
        return await self._answer("start", self._backend.start, request, context)

    async def GetInstance(
        self, request: pb.GetInstanceRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetInstanceResponse:
        return await self._answer("get", self._backend.get, request, context)

    async def WaitForInstanceStart(
        self, request: pb.GetInstanceRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetInstanceResponse:
        def started(instance: Instance) -> bool:
            return instance.state.orchestrationStatus != pb.ORCHESTRATION_STATUS_PENDING

        await self._enter("wait", context)
        return await self._backend.wait(request, started)

    async def WaitForInstanceCompletion(
        self, request: pb.GetInstanceRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetInstanceResponse:
        await self._enter("wait", context)
        return await self._backend.wait(request, lambda instance: instance.finished)

    async def RaiseEvent(
        self, request: pb.RaiseEventRequest, context: grpc.aio.ServicerContext
    ) -> pb.RaiseEventResponse:
        return await self._answer("raise-event", self._backend.raise_event, request, context)

    async def TerminateInstance(
        self, request: pb.TerminateRequest, context: grpc.aio.ServicerContext
    ) -> pb.TerminateResponse:
        return await self._answer("terminate", self._backend.terminate, request, context)

    async def SuspendInstance(
        self, request: pb.SuspendRequest, context: grpc.aio.ServicerContext
    ) -> pb.SuspendResponse:
        return await self._answer("suspend", self._backend.suspend, request, context)

    async def ResumeInstance(self, request: pb.ResumeRequest, context: grpc.aio.ServicerContext) -> pb.ResumeResponse:
        return await self._answer("resume", self._backend.resume, request, context)

    async def PurgeInstances(
        self, request: pb.PurgeInstancesRequest, context: grpc.aio.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        return await self._answer("purge", self._backend.purge, request, context)

    async def QueryInstances(
        self, request: pb.QueryInstancesRequest, context: grpc.aio.ServicerContext
    ) -> pb.QueryInstancesResponse:
        return await self._answer("query", self._backend.query, request, context)

    async def StreamInstanceHistory(
        self, request: pb.StreamInstanceHistoryRequest, context: grpc.aio.ServicerContext
    ) -> None:
        await self._enter("history", context)
        instance = self._backend.instances.get(request.instanceId)
        if instance is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no orchestration instance {request.instanceId}")
            raise AssertionError  # abort raises
        events = list(instance.history)
        for first in range(0, len(events), _HISTORY_CHUNK):
            await context.write(pb.HistoryChunk(events=events[first : first + _HISTORY_CHUNK]))

    async def GetWorkItems(self, request: pb.GetWorkItemsRequest, context: grpc.aio.ServicerContext) -> None:
        if request.HasField("workItemFilters"):
            log.error("a worker asked for work item filters")
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "the local stack does not serve work item filters")
        self._control.count("stream")
        stream = self._backend.dispatcher.connect(
            {
                "orchestration": request.maxConcurrentOrchestrationWorkItems,
                "activity": request.maxConcurrentActivityWorkItems,
            }
        )
        try:
            while True:
                try:
                    item = await asyncio.wait_for(stream.items.get(), PING_SECONDS)
                except TimeoutError:
                    item = pb.WorkItem(healthPing=pb.HealthPing())
                if item is None:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut by a fault")
                await context.write(item)
        finally:  # however the stream ends, also when the client vanishes and this call is cancelled
            self._backend.dispatcher.disconnect(stream)

    async def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.aio.ServicerContext
    ) -> pb.CompleteTaskResponse:
        return await self._answer("complete-turn", self._backend.complete_turn, request, context)

    async def CompleteActivityTask(
        self, request: pb.ActivityResponse, context: grpc.aio.ServicerContext
    ) -> pb.CompleteTaskResponse:
        return await self._answer("complete-activity", self._backend.complete_activity, request, context)

    async def AbandonTaskOrchestratorWorkItem(
        self, request: pb.AbandonOrchestrationTaskRequest, context: grpc.aio.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        await self._answer("abandon", self._backend.abandon, request.completionToken, context)
        return pb.AbandonOrchestrationTaskResponse()

    async def AbandonTaskActivityWorkItem(
        self, request: pb.AbandonActivityTaskRequest, context: grpc.aio.ServicerContext
    ) -> pb.AbandonActivityTaskResponse:
        await self._answer("abandon", self._backend.abandon, request.completionToken, context)
        return pb.AbandonActivityTaskResponse()

    async def _answer[Q, A](
        self, operation: str, call: Callable[[Q], A], request: Q, context: grpc.aio.ServicerContext
    ) -> A:
        await self._enter(operation, context)
        try:
            return call(request)
        except Refused as refused:
            log.warning("%s is refused: %s", operation, refused)
            await context.abort(refused.code, str(refused))
            raise  # abort raises; this is for the type checker

    async def _enter(self, operation: str, context: grpc.aio.ServicerContext) -> None:
        """Count a call and let its fault happen."""
        self._control.count(operation)
        fault = self._control.fault(operation)
        if fault is None:
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        else:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{operation} fails, as was asked for")


@asynccontextmanager
async def serving_grpc(backend: Backend, control: Control, port: int) -> AsyncIterator[str]:
    """Serve on loopback; yields ``127.0.0.1:PORT``."""
    server = grpc.aio.server(options=_OPTIONS)
    stubs.add_TaskHubSidecarServiceServicer_to_server(  # type: ignore[no-untyped-call]
        TaskHubService(backend, control), server
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(None)
