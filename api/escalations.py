"""What IT Operations does with reports: the inbox, and every step from open to resolved (claims F2, F3)."""

import statistics
from contextlib import suppress
from typing import Any, Literal

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance import escalation_rules, escalations, requests
from governance.access import GroupId, Role
from governance.changes import change_event
from governance.escalation_rules import EscalationRules, Kind, Severity
from governance.escalations import (
    Comment,
    Escalation,
    EscalationState,
    EscalationUnknown,
    Incident,
    Outcome,
    announce_alerts,
    find_escalation,
)
from governance.request import Request, Source
from governance.switches import assistant_scope, set_switch
from services.bus import BusUnavailable
from services.clock import Timestamp
from services.documents import Document

bp = df.Blueprint()

IT_OPS = (Role.IT_OPS,)
GOVERNORS = (Role.GOVERNOR,)
ERASED = "The question as it was typed is not kept: this is what the guardrails left of it."


class Asked(BaseModel):
    """The request that was reported, as the guardrails left it."""

    request_id: str
    raw: str = ERASED
    at: Timestamp
    outcome: str | None
    problem: str | None
    prompt: str | None
    answer: str | None
    """None also of an answer that was withheld."""
    verdicts: dict[str, dict[str, Any]]
    sources: list[Source]
    model: str | None
    endpoint: str | None
    region: str | None
    assistant_version: int


class AlertShown(BaseModel):
    """Something that the webhook is told."""

    what: Literal["urgent", "incident"]
    status: Literal["pending", "sent", "given-up"]
    attempts: int
    error: str


class EscalationShown(BaseModel):
    """A report, as IT Operations has it."""

    id: str
    team: str
    assistant: str
    assistant_version: int | None
    request: str | None
    reporter: str
    unnamed: bool
    kind: Kind
    severity: Severity
    words: str
    urgent: bool
    why_urgent: str
    state: EscalationState
    assigned_to: str | None
    comments: list[Comment]
    incident: Incident | None
    stop: Literal["none", "pending", "done"]
    alerts: list[AlertShown]
    outcome: Outcome | None
    created_at: Timestamp
    acknowledged_at: Timestamp | None
    resolved_at: Timestamp | None


class EscalationWhole(EscalationShown):
    asked: Asked | None
    """None when the request is not kept any more."""


class Inbox(BaseModel):
    escalations: list[EscalationShown]
    """The urgent ones first, then the oldest."""
    seconds_to_acknowledge: float | None
    """The median, of those listed."""
    seconds_to_resolve: float | None


class InStates(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: list[EscalationState] = Field(default=["open", "acknowledged"])
    """Separated by commas."""

    @field_validator("state", mode="before")
    @classmethod
    def _separated(cls, state: object) -> object:
        return state.split(",") if isinstance(state, str) else state


class Assignment(Reason):
    to: GroupId
    """Object id of a person."""


class NewComment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4_000)


class NewIncident(Reason):
    title: str = Field(min_length=1, max_length=200)


class Resolution(Reason):
    outcome: Outcome


class NewEscalationRules(Reason):
    rules: EscalationRules


class EscalationRulesKept(BaseModel):
    rules: EscalationRules


@operation(bp, "GET", "escalations", query=InStates, answers={200: Inbox}, roles=IT_OPS)
async def list_escalations(call: Call[None]) -> Reply:
    """The inbox: what is reported of the assistants of the teams that the role reaches."""
    items, scope = call.services.store.escalations, call.access.scope(*IT_OPS)
    found = await escalations.list_escalations(items, scope, call.query(InStates).state)
    acknowledged = [_seconds(each.created_at, each.acknowledged_at) for each in found if each.acknowledged_at]
    resolved = [_seconds(each.created_at, each.resolved_at) for each in found if each.resolved_at]
    return Reply(
        Inbox(
            escalations=[_shown(each) for each in found],
            seconds_to_acknowledge=statistics.median(acknowledged) if acknowledged else None,
            seconds_to_resolve=statistics.median(resolved) if resolved else None,
        )
    )


@operation(
    bp, "GET", "escalations/{escalation_id}", answers={200: EscalationWhole}, roles=IT_OPS, outside=EscalationUnknown
)
async def get_escalation(call: Call[None]) -> Reply:
    """A report with the request that it is about, as the guardrails left that; reading it is in the trail."""
    document = await _found(call)
    now = Escalation.model_validate(document)
    request = None
    if now.request is not None:
        request = await requests.load(call.services.store.requests, now.request)
    event = change_event(
        "escalation.read",
        actor=call.caller.oid,
        target=f"escalation:{now.id}",
        reason="",
        Team=now.team,
        Assistant=now.assistant,
        RequestId=now.request or "",
    )
    await call.journal.note("escalations", now.team, event)
    whole = EscalationWhole(**_shown(now).model_dump(), asked=None if request is None else _asked(request))
    return Reply(whole, 200, {"ETag": document["_etag"]})


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/acknowledge",
    body=Reason,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def acknowledge_escalation(call: Call[Reason]) -> Reply:
    """Say that somebody looks at it: whoever says so, unless it is assigned."""
    document, asked = await _seen(call), await call.body()
    return _changed(await escalations.acknowledge(call.journal, document, call.caller.oid, asked.reason))


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/assign",
    body=Assignment,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def assign_escalation(call: Call[Assignment]) -> Reply:
    """Give it to somebody."""
    document, asked = await _seen(call), await call.body()
    return _changed(await escalations.assign(call.journal, document, asked.to, call.caller.oid, asked.reason))


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/comment",
    body=NewComment,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def comment_escalation(call: Call[NewComment]) -> Reply:
    """Write something down with it."""
    document, asked = await _seen(call), await call.body()
    return _changed(await escalations.comment(call.journal, document, asked.text, call.caller.oid))


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/stop",
    body=Reason,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def stop_escalated(call: Call[Reason]) -> Reply:
    """Pull the kill switch of its assistant: when this answers, no call that the stop forbids can start.

    The switch is released where switches are.
    """
    document, asked = await _seen(call), await call.body()
    scope = assistant_scope(document["assistant"])
    await set_switch(call.journal, scope, stopped=True, reason=asked.reason, actor=call.caller.oid)
    return _changed(await escalations.note_stop(call.journal, document, call.caller.oid, asked.reason))


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/incident",
    body=NewIncident,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def open_incident(call: Call[NewIncident]) -> Reply:
    """Open an incident in the customer's own system: the webhook is told, and told again until it has taken it."""
    document, asked = await _seen(call), await call.body()
    opened = await escalations.begin_incident(call.journal, document, asked.title, call.caller.oid, asked.reason)
    with suppress(BusUnavailable):  # it is due: the sweep sees to it
        await announce_alerts(call.services.bus, opened)
    return _changed(opened)


@operation(
    bp,
    "POST",
    "escalations/{escalation_id}/resolve",
    body=Resolution,
    answers={200: EscalationShown},
    roles=IT_OPS,
    outside=EscalationUnknown,
    tagged=True,
)
async def resolve_escalation(call: Call[Resolution]) -> Reply:
    """End it, with what came of it. A switch stays where it is."""
    document, asked = await _seen(call), await call.body()
    return _changed(await escalations.resolve(call.journal, document, asked.outcome, call.caller.oid, asked.reason))


@operation(bp, "GET", "escalation-rules", answers={200: EscalationRulesKept}, roles=(*GOVERNORS, *IT_OPS))
async def get_escalation_rules(call: Call[None]) -> Reply:
    """What makes a report urgent, and what an urgent one does; the ETag is what a change must name."""
    rules, etag = await escalation_rules.read_rules(call.services.store.config)
    return Reply(EscalationRulesKept(rules=rules), 200, {"ETag": etag} if etag else {})


@operation(
    bp,
    "PUT",
    "escalation-rules",
    body=NewEscalationRules,
    answers={200: EscalationRulesKept},
    roles=GOVERNORS,
    tagged=True,
)
async def put_escalation_rules(call: Call[NewEscalationRules]) -> Reply:
    """Change them, for the whole platform."""
    call.access.require(*GOVERNORS, team=None)
    asked = await call.body()
    actor = call.caller.oid
    etag = await escalation_rules.save_rules(
        call.journal, asked.rules, etag=call.etag(), actor=actor, reason=asked.reason
    )
    return Reply(EscalationRulesKept(rules=asked.rules), 200, {"ETag": etag})


async def _found[Body: BaseModel | None](call: Call[Body]) -> Document:
    items, scope = call.services.store.escalations, call.access.scope(*IT_OPS)
    return await find_escalation(items, call.path("escalation_id"), scope)


async def _seen[Body: BaseModel](call: Call[Body]) -> Document:
    """The one that the caller has seen as it is. Raises :class:`governance.changes.Outdated`."""
    document = await _found(call)
    call.require_etag(document)
    return document


def _changed(now: Escalation) -> Reply:
    return Reply(_shown(now), 200, {"ETag": now.etag})


def _shown(escalation: Escalation) -> EscalationShown:
    shown = escalation.model_dump(include=set(EscalationShown.model_fields) - {"alerts"})
    alerts = [AlertShown(**each.model_dump(include=set(AlertShown.model_fields))) for each in escalation.alerts]
    return EscalationShown(**shown, alerts=alerts)


def _asked(request: Request) -> Asked:
    model = request.model
    return Asked(
        request_id=request.id,
        at=request.created_at,
        outcome=request.outcome,
        problem=request.problem.type if request.problem else None,
        prompt=request.checked_prompt,
        answer=request.answer,
        verdicts={name: stage.verdict for name, stage in request.stages.items() if stage.verdict is not None},
        sources=request.sources,
        model=model.model if model else None,
        endpoint=model.endpoint if model else None,
        region=model.region if model else None,
        assistant_version=request.assistant_version,
    )


def _seconds(since: Timestamp, until: Timestamp) -> float:
    return round((until - since).total_seconds(), 1)
