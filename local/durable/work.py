"""The two kinds of work items: an orchestrator's turn and an activity."""

from dataclasses import dataclass, field

import durabletask.internal.orchestrator_service_pb2 as pb

from local.durable.dispatch import Kind
from local.durable.instance import Instance, history_event


@dataclass(eq=False)
class Turn:
    """A run of an orchestrator over its history and the events that it has not processed."""

    instance: Instance
    events: list[pb.HistoryEvent] = field(default_factory=list)
    """What the worker was last given as new."""
    kind: Kind = "orchestration"
    operation: str = "orchestrator-turn"

    @property
    def wanted(self) -> bool:
        return not self.instance.gone

    def item(self, token: str) -> pb.WorkItem:
        self.events = [history_event(orchestratorStarted={}), *self.instance.inbox]
        request = pb.OrchestratorRequest(
            instanceId=self.instance.id,
            executionId=self.instance.state.executionId,
            pastEvents=self.instance.history,
            newEvents=self.events,
        )
        return pb.WorkItem(orchestratorRequest=request, completionToken=token)


@dataclass(eq=False)
class Activity:
    """An activity that an orchestrator scheduled."""

    instance: Instance
    scheduled: pb.HistoryEvent
    kind: Kind = "activity"

    @property
    def operation(self) -> str:
        return f"activity {self.scheduled.taskScheduled.name}"

    @property
    def wanted(self) -> bool:
        return not self.instance.gone

    def item(self, token: str) -> pb.WorkItem:
        task = self.scheduled.taskScheduled
        request = pb.ActivityRequest(
            name=task.name,
            taskId=self.scheduled.eventId,
            orchestrationInstance=self.instance.reference,
            tags=dict(task.tags),
        )
        for part in ("version", "input", "parentTraceContext"):
            if task.HasField(part):
                getattr(request, part).CopyFrom(getattr(task, part))
        return pb.WorkItem(activityRequest=request, completionToken=token)
