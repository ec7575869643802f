"""One orchestration instance: its state, its history, and what follows from them.

The history is the truth: which activities and timers are open is read off it, so that an instance that was stored and
loaded goes on where it was.
"""

import logging
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask.internal.helpers import new_timestamp

log = logging.getLogger(__name__)

FINISHED = (
    pb.ORCHESTRATION_STATUS_COMPLETED,
    pb.ORCHESTRATION_STATUS_FAILED,
    pb.ORCHESTRATION_STATUS_TERMINATED,
)
_SERVED_ACTIONS = ("scheduleTask", "createTimer", "completeOrchestration")


def history_event(event_id: int = -1, **kind: Any) -> pb.HistoryEvent:
    """An event of now; ``kind`` is the one field of its ``eventType``."""
    return pb.HistoryEvent(eventId=event_id, timestamp=new_timestamp(datetime.now(UTC)), **kind)


@dataclass(eq=False)
class Instance:
    state: pb.OrchestrationState
    history: list[pb.HistoryEvent] = field(default_factory=list)
    inbox: list[pb.HistoryEvent] = field(default_factory=list)
    """Events that no orchestrator turn has processed yet."""
    gone: bool = False
    """Whether it was replaced or purged: nothing that was asked for in its name counts any more."""

    @classmethod
    def create(cls, request: pb.CreateInstanceRequest) -> "Instance":
        now = new_timestamp(datetime.now(UTC))
        instance = cls(
            pb.OrchestrationState(
                instanceId=request.instanceId or uuid.uuid4().hex,
                executionId={"value": uuid.uuid4().hex},
                name=request.name,
                orchestrationStatus=pb.ORCHESTRATION_STATUS_PENDING,
                createdTimestamp=now,
                lastUpdatedTimestamp=now,
                tags=dict(request.tags),
            )
        )
        started = pb.ExecutionStartedEvent(
            name=request.name, orchestrationInstance=instance.reference, tags=dict(request.tags)
        )
        for part in ("version", "input"):
            if request.HasField(part):
                getattr(instance.state, part).CopyFrom(getattr(request, part))
                getattr(started, part).CopyFrom(getattr(request, part))
        if request.HasField("parentTraceContext"):
            started.parentTraceContext.CopyFrom(request.parentTraceContext)
        instance.inbox.append(history_event(executionStarted=started))
        return instance

    @property
    def id(self) -> str:
        return self.state.instanceId

    @property
    def reference(self) -> pb.OrchestrationInstance:
        return pb.OrchestrationInstance(instanceId=self.id, executionId=self.state.executionId)

    @property
    def status(self) -> str:
        name: str = pb.OrchestrationStatus.Name(self.state.orchestrationStatus)
        return name.removeprefix("ORCHESTRATION_STATUS_")

    @property
    def finished(self) -> bool:
        return self.state.orchestrationStatus in FINISHED

    @property
    def ready(self) -> bool:
        """Whether a turn is due. What reaches a suspended instance waits: it would have to be buffered in the worker,
        which then would ask for the same activities again."""
        if self.state.orchestrationStatus == pb.ORCHESTRATION_STATUS_SUSPENDED:
            return any(e.HasField("executionResumed") or e.HasField("executionTerminated") for e in self.inbox)
        return bool(self.inbox)

    def open_activities(self) -> dict[int, pb.HistoryEvent]:
        """By task id, the ``taskScheduled`` events without a result. (A retry schedules the same task id again.)"""
        tasks: dict[int, pb.HistoryEvent] = {}
        for event in (*self.history, *self.inbox):
            match event.WhichOneof("eventType"):
                case "taskScheduled":
                    tasks[event.eventId] = event
                case "taskCompleted":
                    tasks.pop(event.taskCompleted.taskScheduledId, None)
                case "taskFailed":
                    tasks.pop(event.taskFailed.taskScheduledId, None)
        return tasks

    def open_timers(self) -> dict[int, pb.HistoryEvent]:
        """By timer id, the ``timerCreated`` events that have not fired."""
        events = (*self.history, *self.inbox)
        fired = {e.timerFired.timerId for e in events if e.HasField("timerFired")}
        return {e.eventId: e for e in events if e.HasField("timerCreated") and e.eventId not in fired}

    def receive(self, event: pb.HistoryEvent) -> None:
        self.inbox.append(event)
        self._touch()

    def advance(self, turn: list[pb.HistoryEvent], response: pb.OrchestratorResponse) -> list[pb.HistoryEvent]:
        """Write a turn to the history: the events that it processed (``orchestratorStarted`` and the head of the
        inbox), then what the orchestrator asked for. Returns the ``taskScheduled`` and ``timerCreated`` events that
        are new."""
        del self.inbox[: len(turn) - 1]
        self.history += turn
        self.state.orchestrationStatus = pb.ORCHESTRATION_STATUS_RUNNING
        for event in turn:
            if event.HasField("executionSuspended"):
                self.state.orchestrationStatus = pb.ORCHESTRATION_STATUS_SUSPENDED
            elif event.HasField("executionResumed"):
                self.state.orchestrationStatus = pb.ORCHESTRATION_STATUS_RUNNING
        if response.HasField("customStatus"):
            self.state.customStatus.CopyFrom(response.customStatus)
        asked = []
        open_activities = self.open_activities()
        actions = self._served(response)
        for action in actions:
            if action.HasField("createTimer"):
                asked.append(history_event(action.id, timerCreated={"fireAt": action.createTimer.fireAt}))
            elif action.HasField("scheduleTask") and action.id not in open_activities:
                asked.append(history_event(action.id, taskScheduled=_task_scheduled(action.scheduleTask)))
        self.history += asked
        for action in actions:
            if action.HasField("completeOrchestration"):
                self._complete(action)
        self.history.append(history_event(orchestratorCompleted={}))
        self._touch()
        return asked

    def _served(self, response: pb.OrchestratorResponse) -> list[pb.OrchestratorAction]:
        """The response's actions, or one that fails the instance if the local stack can't do them all."""
        actions = list(response.actions)
        refused = {name for name in map(_kind, actions) if name not in _SERVED_ACTIONS}
        if not refused:
            return actions
        message = f"the local stack does not serve {', '.join(sorted(refused))}"
        log.error("orchestration %s of %s fails: %s", self.id, self.state.name, message)
        failure = pb.TaskFailureDetails(errorType="NotSupported", errorMessage=message, isNonRetriable=True)
        failed = pb.CompleteOrchestrationAction(
            orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=failure
        )
        return [pb.OrchestratorAction(id=-1, completeOrchestration=failed)]

    def _complete(self, action: pb.OrchestratorAction) -> None:
        complete = action.completeOrchestration
        completed = pb.ExecutionCompletedEvent(orchestrationStatus=complete.orchestrationStatus)
        if complete.HasField("result"):
            completed.result.CopyFrom(complete.result)
            self.state.output.CopyFrom(complete.result)
        if complete.HasField("failureDetails"):
            completed.failureDetails.CopyFrom(complete.failureDetails)
            self.state.failureDetails.CopyFrom(complete.failureDetails)
        self.state.orchestrationStatus = complete.orchestrationStatus
        self.state.completedTimestamp.CopyFrom(new_timestamp(datetime.now(UTC)))
        self.history.append(history_event(action.id, executionCompleted=completed))
        self.inbox.clear()  # nothing will process it

    def _touch(self) -> None:
        self.state.lastUpdatedTimestamp.CopyFrom(new_timestamp(datetime.now(UTC)))


def _kind(action: pb.OrchestratorAction) -> str:
    if (
        action.HasField("completeOrchestration")
        and action.completeOrchestration.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
    ):
        return "continueAsNew"
    return str(action.WhichOneof("orchestratorActionType"))


def _task_scheduled(task: pb.ScheduleTaskAction) -> pb.TaskScheduledEvent:
    event = pb.TaskScheduledEvent(name=task.name, tags=dict(task.tags))
    for part in ("version", "input", "parentTraceContext"):
        if task.HasField(part):
            getattr(event, part).CopyFrom(getattr(task, part))
    return event
