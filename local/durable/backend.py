"""The task hub: the instances, what they wait for, and who waits for them.

Its methods take and return the protocol's messages. It belongs to one event loop, and no method that changes something
awaits, so that it needs no locks.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc

from local.durable.dispatch import Dispatcher, Work
from local.durable.instance import FINISHED, Instance, history_event
from local.durable.store import Store
from local.durable.work import Activity, Turn
from local.standin import Control

log = logging.getLogger(__name__)


class Refused(Exception):
    """A call that is answered with an error; ``code`` is its ``grpc.StatusCode``."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Backend:
    """Everything that is stored in ``store`` (None: nothing is) goes on when the backend is made."""

    def __init__(self, control: Control, store: Store | None = None) -> None:
        self.dispatcher = Dispatcher(control)
        self.instances: dict[str, Instance] = {}
        self._control = control
        self._store = store
        self._turns: set[Instance] = set()
        """Whose turn is due or under way: an instance has one at a time."""
        self._timers: defaultdict[Instance, dict[int, asyncio.TimerHandle]] = defaultdict(dict)
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        for instance in store.load() if store else ():
            self.instances[instance.id] = instance
            if not instance.finished:
                self._go_on(instance, [*instance.open_activities().values(), *instance.open_timers().values()])

    # What clients ask for

    def start(self, request: pb.CreateInstanceRequest) -> pb.CreateInstanceResponse:
        if request.HasField("scheduledStartTimestamp"):
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "the local stack does not serve scheduled starts")
        replaceable = list(FINISHED)
        if request.HasField("orchestrationIdReusePolicy"):
            replaceable = list(request.orchestrationIdReusePolicy.replaceableStatus)
            if not set(replaceable) <= {*FINISHED, pb.ORCHESTRATION_STATUS_CANCELED}:
                raise Refused(grpc.StatusCode.UNIMPLEMENTED, "the local stack replaces finished instances only")
        existing = self.instances.get(request.instanceId)
        if existing is not None:
            if existing.state.orchestrationStatus not in replaceable:
                raise Refused(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"an orchestration instance with the id {existing.id} exists and is {existing.status}",
                )
            self._forget(existing)
        instance = Instance.create(request)
        self.instances[instance.id] = instance
        self._changed(instance)
        return pb.CreateInstanceResponse(instanceId=instance.id)

    def get(self, request: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
        instance = self.instances.get(request.instanceId)
        if instance is None:
            return pb.GetInstanceResponse(exists=False)
        return pb.GetInstanceResponse(
            exists=True, orchestrationState=_reported(instance, payloads=request.getInputsAndOutputs)
        )

    async def wait(self, request: pb.GetInstanceRequest, reached: Callable[[Instance], bool]) -> pb.GetInstanceResponse:
        """Wait, as long as the caller does, until there is such an instance and it has reached something."""
        while (instance := self.instances.get(request.instanceId)) is None or not reached(instance):
            waiter = asyncio.get_running_loop().create_future()
            waiters = self._waiters[request.instanceId]
            waiters.add(waiter)
            try:
                await waiter
            finally:
                waiters.discard(waiter)
                if not waiters:
                    self._waiters.pop(request.instanceId, None)
        return self.get(request)

    def raise_event(self, request: pb.RaiseEventRequest) -> pb.RaiseEventResponse:
        raised = pb.EventRaisedEvent(name=request.name)
        if request.HasField("input"):
            raised.input.CopyFrom(request.input)
        self._deliver(self._unfinished(request.instanceId), history_event(eventRaised=raised))
        return pb.RaiseEventResponse()

    def terminate(self, request: pb.TerminateRequest) -> pb.TerminateResponse:
        terminated = pb.ExecutionTerminatedEvent()
        if request.HasField("output"):
            terminated.input.CopyFrom(request.output)
        self._deliver(self._unfinished(request.instanceId), history_event(executionTerminated=terminated))
        return pb.TerminateResponse()

    def suspend(self, request: pb.SuspendRequest) -> pb.SuspendResponse:
        suspended = pb.ExecutionSuspendedEvent()
        if request.HasField("reason"):
            suspended.input.CopyFrom(request.reason)
        self._deliver(self._unfinished(request.instanceId), history_event(executionSuspended=suspended))
        return pb.SuspendResponse()

    def resume(self, request: pb.ResumeRequest) -> pb.ResumeResponse:
        resumed = pb.ExecutionResumedEvent()
        if request.HasField("reason"):
            resumed.input.CopyFrom(request.reason)
        self._deliver(self._unfinished(request.instanceId), history_event(executionResumed=resumed))
        return pb.ResumeResponse()

    def purge(self, request: pb.PurgeInstancesRequest) -> pb.PurgeInstancesResponse:
        match request.WhichOneof("request"):
            case "instanceId":
                found = [self.instances[request.instanceId]] if request.instanceId in self.instances else []
            case "purgeInstanceFilter":
                found = list(self._matching(request.purgeInstanceFilter))
            case other:
                raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"the local stack does not purge by {other}")
        purged = [instance for instance in found if instance.finished]
        for instance in purged:
            self._forget(instance)
        return pb.PurgeInstancesResponse(deletedInstanceCount=len(purged), isComplete={"value": True})

    def query(self, request: pb.QueryInstancesRequest) -> pb.QueryInstancesResponse:
        query = request.query
        if query.taskHubNames:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "the local stack has one task hub")
        prefix = query.instanceIdPrefix.value
        found = [instance for instance in self._matching(query) if instance.id.startswith(prefix)]
        first = int(query.continuationToken.value or 0)
        after = first + (query.maxInstanceCount or len(found))
        response = pb.QueryInstancesResponse(
            orchestrationState=[_reported(i, payloads=query.fetchInputsAndOutputs) for i in found[first:after]]
        )
        if after < len(found):
            response.continuationToken.value = str(after)
        return response

    # What workers hand in

    def complete_turn(self, response: pb.OrchestratorResponse) -> pb.CompleteTaskResponse:
        if response.isPartial or response.requiresHistory:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "the local stack serves whole orchestrator responses only")
        turn = self._completed(response.completionToken, Turn)
        instance = turn.instance
        self._turns.discard(instance)
        before = len(instance.history)
        asked = instance.advance(turn.events, response)
        self._control.count("history-event", len(instance.history) - before)
        if instance.finished:
            self._disarm(instance)
        self._changed(instance, asked)
        return pb.CompleteTaskResponse()

    def complete_activity(self, response: pb.ActivityResponse) -> pb.CompleteTaskResponse:
        activity = self._completed(response.completionToken, Activity)
        if activity.instance.finished:
            return pb.CompleteTaskResponse()  # it was scheduled, and nobody is left to read its result
        task_id = activity.scheduled.eventId
        if response.HasField("failureDetails"):
            failed = pb.TaskFailedEvent(taskScheduledId=task_id, failureDetails=response.failureDetails)
            self._deliver(activity.instance, history_event(taskFailed=failed))
        else:
            completed = pb.TaskCompletedEvent(taskScheduledId=task_id)
            if response.HasField("result"):
                completed.result.CopyFrom(response.result)
            self._deliver(activity.instance, history_event(taskCompleted=completed))
        return pb.CompleteTaskResponse()

    def abandon(self, token: str) -> None:
        if not self.dispatcher.abandon(token):
            raise self._late(token)

    def _completed[T: Work](self, token: str, kind: type[T]) -> T:
        work = self.dispatcher.complete(token, kind)
        if work is None or not work.wanted:
            raise self._late(token)
        return work

    def _late(self, token: str) -> Refused:
        self._control.count("late-completion")
        return Refused(grpc.StatusCode.NOT_FOUND, f"no work item is held under {token}: another worker has it, or had")

    # What follows from a change

    def _deliver(self, instance: Instance, event: pb.HistoryEvent) -> None:
        instance.receive(event)
        self._changed(instance)

    def _changed(self, instance: Instance, asked: list[pb.HistoryEvent] | None = None) -> None:
        if self._store:
            self._store.save(instance)
        for waiter in self._waiters.pop(instance.id, ()):
            if not waiter.done():
                waiter.set_result(None)
        self._go_on(instance, asked or [])

    def _go_on(self, instance: Instance, asked: list[pb.HistoryEvent]) -> None:
        """Do what was asked for (``taskScheduled`` and ``timerCreated`` events); queue its turn if one is due."""
        for event in asked:
            if event.HasField("taskScheduled"):
                self.dispatcher.put(Activity(instance, event))
            elif not instance.finished:
                self._arm(instance, event)
        if instance.ready and instance not in self._turns:
            self._turns.add(instance)
            self.dispatcher.put(Turn(instance))

    def _arm(self, instance: Instance, created: pb.HistoryEvent) -> None:
        fire_at = created.timerCreated.fireAt
        left = (fire_at.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        if left > 0:
            handle = asyncio.get_running_loop().call_later(left, self._arm, instance, created)
            self._timers[instance][created.eventId] = handle
            return
        self._timers[instance].pop(created.eventId, None)
        self._deliver(instance, history_event(timerFired={"timerId": created.eventId, "fireAt": fire_at}))

    def _disarm(self, instance: Instance) -> None:
        for handle in self._timers.pop(instance, {}).values():
            handle.cancel()

    def _forget(self, instance: Instance) -> None:
        instance.gone = True
        self._turns.discard(instance)
        self._disarm(instance)
        del self.instances[instance.id]
        if self._store:
            self._store.delete(instance.id)

    def _unfinished(self, instance_id: str) -> Instance:
        instance = self.instances.get(instance_id)
        if instance is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"there is no orchestration instance {instance_id}")
        if instance.finished:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"instance {instance_id} is {instance.status}")
        return instance

    def _matching(self, wanted: pb.InstanceQuery | pb.PurgeInstanceFilter) -> Iterator[Instance]:
        """By status and by time of creation, oldest first."""
        for instance in list(self.instances.values()):
            created = instance.state.createdTimestamp.ToNanoseconds()
            if wanted.runtimeStatus and instance.state.orchestrationStatus not in wanted.runtimeStatus:
                continue
            if wanted.HasField("createdTimeFrom") and created < wanted.createdTimeFrom.ToNanoseconds():
                continue
            if wanted.HasField("createdTimeTo") and created >= wanted.createdTimeTo.ToNanoseconds():
                continue
            yield instance


def _reported(instance: Instance, *, payloads: bool) -> pb.OrchestrationState:
    state = pb.OrchestrationState()
    state.CopyFrom(instance.state)
    if not payloads:
        for payload in ("input", "output"):
            state.ClearField(payload)
    return state
