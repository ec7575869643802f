"""Durable functions: takes work items from the backend's stream, runs them, reports what came out.

The backend speaks ``TaskHubSidecarService`` (durabletask's orchestrator_service.proto). An orchestrator gets its work
item as it came off the wire, in base64, and returns its response the same way; the SDK in the app does the replaying.
What this process took and could not report, because it died or the backend was away, the backend hands out again.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub
from google.protobuf import empty_pb2  # type: ignore[import-untyped]

from local.host import hostjson
from local.host.protos import TypedData
from local.host.worker import Function, FunctionFailed, Worker

log = logging.getLogger("local.host")

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_BACKOFF = 0.2
"""Seconds between attempts to open the stream."""


def client_configuration(backend: str, hub: str) -> str:
    """What a Durable client input is given, in the form that the Durable extension gives it.

    The HTTP management API that ``baseUrl`` promises is not served here.
    """
    base_url = "http://127.0.0.1/runtime/webhooks/durabletask"
    return json.dumps(
        {
            "taskHubName": hub,
            "connectionName": "",
            "rpcBaseUrl": backend,
            "baseUrl": base_url,
            "httpBaseUrl": base_url,
            "requiredQueryStringParameters": "",
            "creationUrls": {},
            "managementUrls": {},
            "maxGrpcMessageSizeInBytes": 2**31 - 1,
            "grpcHttpClientTimeout": "00:01:40",
        }
    )


class WorkItems:
    """Serves orchestrators and activities."""

    def __init__(
        self, worker: Worker, functions: Sequence[Function], backend: str, settings: hostjson.DurableTask
    ) -> None:
        self._worker = worker
        self._backend = backend
        self._settings = settings
        self._orchestrators = _named(functions, "orchestrationTrigger", "orchestration")
        self._activities = _named(functions, "activityTrigger", "activity")
        self._orchestrator_slots = asyncio.Semaphore(settings.max_concurrent_orchestrator_functions)
        self._activity_slots = asyncio.Semaphore(settings.max_concurrent_activity_functions)
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.opened = asyncio.Event()
        """Set when the backend was reached for the first time."""

    async def run(self, grace: float) -> None:
        """Work until cancelled; then what is running may finish, for ``grace`` seconds at most.

        The stream stays open until then: when it ends, the backend takes back what was taken from it and not reported.
        """
        async with grpc.aio.insecure_channel(self._backend, _OPTIONS) as channel:
            backend = TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call]
            reading = asyncio.create_task(self._read(backend))
            try:
                await asyncio.wait({reading})
                reading.result()
            finally:
                self._stopping = True
                if self._running:
                    await asyncio.wait(self._running, timeout=grace)
                for task in (*self._running, reading):
                    task.cancel()

    async def _read(self, backend: Any) -> None:
        request = pb.GetWorkItemsRequest(
            maxConcurrentOrchestrationWorkItems=self._settings.max_concurrent_orchestrator_functions,
            maxConcurrentActivityWorkItems=self._settings.max_concurrent_activity_functions,
        )
        while True:
            try:
                await backend.Hello(empty_pb2.Empty(), wait_for_ready=True)
                stream = backend.GetWorkItems(request)
                self.opened.set()
                async for item in stream:
                    if not self._stopping:
                        self._take(backend, item)
            except grpc.aio.AioRpcError as error:
                log.warning("the Durable backend is away (%s)", error.code().name)
            await asyncio.sleep(_BACKOFF)

    def _take(self, backend: Any, item: pb.WorkItem) -> None:
        match item.WhichOneof("request"):
            case "orchestratorRequest":
                work = self._orchestrate(backend, item)
            case "activityRequest":
                work = self._act(backend, item)
            case "healthPing":
                return
            case kind:
                log.error("refused: a work item of kind %s", kind)
                return
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _orchestrate(self, backend: Any, item: pb.WorkItem) -> None:
        request = item.orchestratorRequest
        name = _orchestration(request)
        function = self._orchestrators.get(name)
        response = pb.OrchestratorResponse()
        async with self._orchestrator_slots:
            if function is None:
                response = _ended(request, _unknown("orchestrator", name))
            else:
                try:
                    payload = base64.b64encode(request.SerializeToString()).decode()
                    returned = await self._worker.invoke(function, TypedData(string=payload))
                    response.ParseFromString(base64.b64decode(_text(returned)))
                except FunctionFailed as failure:
                    response = _ended(request, _details(failure))
        response.completionToken = item.completionToken
        await _report(backend.CompleteOrchestratorTask, response)

    async def _act(self, backend: Any, item: pb.WorkItem) -> None:
        request = item.activityRequest
        function = self._activities.get(request.name)
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=item.completionToken,
        )
        async with self._activity_slots:
            if function is None:
                response.failureDetails.CopyFrom(_unknown("activity", request.name))
            else:
                try:
                    data = TypedData(json=request.input.value if request.HasField("input") else "null")
                    traceparent = request.parentTraceContext.traceParent or None
                    response.result.value = _text(await self._worker.invoke(function, data, traceparent=traceparent))
                except FunctionFailed as failure:
                    response.failureDetails.CopyFrom(_details(failure))
        await _report(backend.CompleteActivityTask, response)


def _named(functions: Sequence[Function], kind: str, attribute: str) -> dict[str, Function]:
    """The functions of this kind, by the name under which they are scheduled."""
    return {
        function.trigger.get(attribute) or function.name: function
        for function in functions
        if function.trigger["type"] == kind
    }


def _orchestration(request: pb.OrchestratorRequest) -> str:
    """The orchestration's name; the last start counts, as in the SDK: "continue as new" begins again."""
    events = [*request.pastEvents, *request.newEvents]
    return next((e.executionStarted.name for e in reversed(events) if e.HasField("executionStarted")), "")


def _text(returned: TypedData | None) -> str:
    if returned is None:
        return "null"
    return str(getattr(returned, returned.WhichOneof("data") or "json"))


def _details(failure: FunctionFailed) -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(
        errorType=failure.kind, errorMessage=failure.text, stackTrace={"value": failure.stack_trace}
    )


def _unknown(kind: str, name: str) -> pb.TaskFailureDetails:
    log.error("the app has no %s %s", kind, name)
    return pb.TaskFailureDetails(
        errorType="FunctionNotFound", errorMessage=f"The app has no {kind} {name}.", isNonRetriable=True
    )


def _ended(request: pb.OrchestratorRequest, failure: pb.TaskFailureDetails) -> pb.OrchestratorResponse:
    """The orchestration has failed outside its own code."""
    completion = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=failure
    )
    return pb.OrchestratorResponse(
        instanceId=request.instanceId,
        actions=[pb.OrchestratorAction(id=-1, completeOrchestration=completion)],
    )


async def _report(
    complete: Callable[[Any], Awaitable[Any]], response: pb.OrchestratorResponse | pb.ActivityResponse
) -> None:
    """Hand a result in, again while the backend is away. It refuses what it has given to another one meanwhile."""
    while True:
        try:
            await complete(response)
        except grpc.aio.AioRpcError as error:
            log.warning("%s: a result was not taken (%s)", response.instanceId, error.code().name)
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                await asyncio.sleep(_BACKOFF)
                continue
        return
