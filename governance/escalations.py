"""Escalations: what people report of an answer, on its way through IT Operations (claims F2, F3).

::

    open --acknowledge--> acknowledged --resolve--> resolved
      +----------------------resolve------------------^

An escalation is a document of the team that owns the assistant: the inbox. It is written with its event and with all
that is due for it: the message for the queue ``escalations``, the stop of the assistant, the alerts to the webhook.
What is due is done at once, and by the sweep if whoever began died, so inbox and queue say the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from governance.access import Scope, in_scope
from governance.audit import AuditEvent
from governance.changes import Conflict, Journal, change_event
from governance.escalation_rules import EscalationRules, Kind, Severity
from governance.problems import ProblemError
from governance.switches import assistant_scope, set_switch
from governance.telling import PENDING, tell
from services.bus import ALERTS, ESCALATIONS, Bus
from services.clock import Timestamp, utc_now, utc_text, uuid7
from services.documents import ConditionFailed, Document, Items, put

type EscalationState = Literal["open", "acknowledged", "resolved"]
type Outcome = Literal["fixed", "harmless", "duplicate", "accepted-risk", "other"]

URGENT_STOP = "An urgent report stopped it, as the escalation rules say."


class EscalationUnknown(ProblemError):
    """There is no such escalation, or it is of a team that the caller's role does not reach."""

    type = "not-found"
    detail = "There is no such escalation."


class Comment(BaseModel):
    by: str
    at: Timestamp
    text: str


class Incident(BaseModel):
    """An incident that was opened in the customer's own system, through the webhook."""

    id: str
    by: str
    at: Timestamp
    title: str


class Alert(BaseModel):
    """Something that the webhook is to be told, and what became of that."""

    id: str
    what: Literal["urgent", "incident"]
    status: Literal["pending", "sent", "given-up"] = "pending"
    attempts: int = 0
    next_at: Timestamp
    error: str = ""
    """Why the last attempt failed, without content."""


class Escalation(BaseModel):
    """A report, or what the guardrails saw too often, as IT Operations has it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    """Of a report ``<request id>:<kind>``: the same thing is reported once."""
    team: str
    """That owns the assistant."""
    assistant: str
    assistant_version: int | None = None
    request: str | None = None
    reporter: str
    """Object id; of whoever was blocked, if nobody reported it."""
    unnamed: bool = False
    """Whether the owner team is not to know who reported it."""
    kind: Kind
    severity: Severity
    words: str = ""
    """As the guardrails left them."""
    urgent: bool = False
    why_urgent: str = ""
    state: EscalationState = "open"
    assigned_to: str | None = None
    comments: list[Comment] = []
    incident: Incident | None = None
    stop: Literal["none", "pending", "done"] = "none"
    """Whether its assistant is stopped for it."""
    alerts: list[Alert] = []
    outcome: Outcome | None = None
    created_at: Timestamp
    changed_at: Timestamp
    acknowledged_at: Timestamp | None = None
    resolved_at: Timestamp | None = None
    etag: str = Field(default="", validation_alias="_etag", exclude=True)


async def open_escalation(journal: Journal, escalation: Escalation, rules: EscalationRules) -> Escalation:
    """A new one, in the inbox with its event; then its message, its stop and its alert are seen to.

    The same report again is the one that there is. Raises :class:`services.documents.StoreError`: then it may not be
    kept, and is to be reported again.
    """
    items = journal.store.escalations
    if (there := await items.read(escalation.id, escalation.team)) is not None:
        return Escalation.model_validate(there)
    why = await _why_urgent(items, escalation, rules)
    now = utc_now()
    opened = escalation.model_copy(
        update={
            "urgent": bool(why),
            "why_urgent": why,
            "stop": PENDING if why and rules.stops_assistant else "none",
            "alerts": [Alert(id=uuid7(), what="urgent", next_at=now)] if why and rules.webhook else [],
        }
    )
    document = _document(opened)
    await journal.create(
        "escalations", document, _event("escalation.open", opened, actor=opened.reporter, reason=opened.words)
    )
    await tell(items, journal.bus, opened.team, document)
    return opened


async def _why_urgent(items: Items, escalation: Escalation, rules: EscalationRules) -> str:
    """In a word or two; empty if it is not."""
    if escalation.kind in rules.urgent_kinds:
        return "kind"
    if escalation.severity.reaches(rules.urgent_severity):
        return "severity"
    if rules.reporters is not None:
        since = escalation.created_at - timedelta(minutes=rules.reporters.minutes)
        query = """SELECT c.reporter FROM c WHERE c.type = 'escalation' AND c.assistant = @assistant
            AND c.created_at >= @since"""
        parameters = {"@assistant": escalation.assistant, "@since": utc_text(since)}
        found = [each["reporter"] async for each in items.query(query, parameters, partition=escalation.team)]
        if len({*found, escalation.reporter}) >= rules.reporters.count:
            return "reporters"
    return ""


async def stop_if_due(journal: Journal, escalation: Escalation) -> None:
    """Stops the assistant if the escalation says that it is due, which it then does not any more.

    Takes as long as a stop takes to be acknowledged. Raises what :func:`governance.switches.set_switch` raises.
    """
    if escalation.stop != PENDING:
        return
    scope, reason = assistant_scope(escalation.assistant), f"{URGENT_STOP} Escalation {escalation.id}."
    await set_switch(journal, scope, stopped=True, reason=reason, actor="")
    await journal.store.escalations.patch(escalation.id, escalation.team, [put("/stop", "done")])


async def list_escalations(items: Items, scope: Scope, states: Sequence[str]) -> list[Escalation]:
    """Of the teams in scope: the urgent ones first, then the oldest."""
    query = "SELECT * FROM c WHERE c.type = 'escalation' AND ARRAY_CONTAINS(@states, c.state)"
    found = in_scope(items, scope, query, {"@states": list(states)})
    listed = [Escalation.model_validate(each) async for each in found]
    return sorted(listed, key=lambda each: (not each.urgent, each.created_at))


async def find_escalation(items: Items, escalation_id: str, scope: Scope) -> Document:
    """Raises :class:`EscalationUnknown`."""
    query = "SELECT * FROM c WHERE c.type = 'escalation' AND c.id = @id"
    async for document in in_scope(items, scope, query, {"@id": escalation_id}):
        return document
    raise EscalationUnknown


async def reports_on(items: Items, team: str, assistant: str, since: datetime) -> list[Escalation]:
    """What people reported of an assistant, the latest first."""
    query = """SELECT * FROM c WHERE c.type = 'escalation' AND c.assistant = @assistant AND c.created_at >= @since
        AND c.kind != 'blocked'"""
    found = items.query(query, {"@assistant": assistant, "@since": utc_text(since)}, partition=team)
    listed = [Escalation.model_validate(each) async for each in found]
    return sorted(listed, key=lambda each: each.created_at, reverse=True)


# What IT Operations does. Each change names the ETag that was read, says why, and is in the trail.


async def acknowledge(journal: Journal, before: Document, by: str, reason: str) -> Escalation:
    """Somebody looks at it. Raises :class:`governance.changes.Conflict` if somebody does already."""
    now = Escalation.model_validate(before)
    if now.state != "open":
        raise Conflict(f"It is {now.state} already.")
    moment = utc_now()
    changes = {"state": "acknowledged", "acknowledged_at": moment, "assigned_to": now.assigned_to or by}
    return await _changed(journal, before, "escalation.acknowledge", changes, by, reason)


async def assign(journal: Journal, before: Document, to: str, by: str, reason: str) -> Escalation:
    _require_unresolved(before)
    return await _changed(journal, before, "escalation.assign", {"assigned_to": to}, by, reason)


async def comment(journal: Journal, before: Document, text: str, by: str) -> Escalation:
    """Also on one that is resolved."""
    comments = [*Escalation.model_validate(before).comments, Comment(by=by, at=utc_now(), text=text)]
    return await _changed(journal, before, "escalation.comment", {"comments": comments}, by, text)


async def note_stop(journal: Journal, before: Document, by: str, reason: str) -> Escalation:
    """That its assistant is stopped, which was done before."""
    return await _changed(journal, before, "escalation.stop", {"stop": "done"}, by, reason)


async def begin_incident(journal: Journal, before: Document, title: str, by: str, reason: str) -> Escalation:
    """The webhook is to be told. Raises :class:`governance.changes.Conflict` if it has been."""
    now = _require_unresolved(before)
    if now.incident is not None:
        raise Conflict("An incident has been opened for it already.")
    moment = utc_now()
    incident = Incident(id=uuid7(), by=by, at=moment, title=title)
    alerts = [*now.alerts, Alert(id=incident.id, what="incident", next_at=moment)]
    return await _changed(journal, before, "escalation.incident", {"incident": incident, "alerts": alerts}, by, reason)


async def resolve(journal: Journal, before: Document, outcome: Outcome, by: str, reason: str) -> Escalation:
    """The end of it; the switch stays where it is. Raises :class:`governance.changes.Conflict` the second time."""
    now, moment = _require_unresolved(before), utc_now()
    ended = {"state": "resolved", "outcome": outcome, "resolved_at": moment}
    return await _changed(
        journal, before, "escalation.resolve", {**ended, "acknowledged_at": now.acknowledged_at or moment}, by, reason
    )


def _require_unresolved(before: Document) -> Escalation:
    now = Escalation.model_validate(before)
    if now.state == "resolved":
        raise Conflict("It is resolved already.")
    return now


async def _changed(
    journal: Journal, before: Document, what: str, changes: dict[str, Any], by: str, reason: str
) -> Escalation:
    was = Escalation.model_validate(before)
    now = was.model_copy(update={**changes, "changed_at": utc_now()})
    document = {**_document(now), "tell": before["tell"]}  # the queue hears of a new one, once
    event = _event(what, now, actor=by, reason=reason, before=was)
    etag = await journal.replace("escalations", before, document, event)
    return now.model_copy(update={"etag": etag})


_TOLD = {"state", "kind", "severity", "urgent", "why_urgent", "assigned_to", "stop", "outcome", "incident", "unnamed"}


def _event(what: str, now: Escalation, *, actor: str, reason: str, before: Escalation | None = None) -> AuditEvent:
    def told(each: Escalation) -> dict[str, Any]:
        return each.model_dump(mode="json", include=_TOLD, exclude_none=True)

    return change_event(
        what,
        actor=actor,
        target=f"escalation:{now.id}",
        reason=reason,
        Team=now.team,
        Assistant=now.assistant,
        AssistantVersion=now.assistant_version,
        RequestId=now.request or "",
        Before={} if before is None else told(before),
        After=told(now),
    )


def message_body(escalation: Escalation) -> dict[str, Any]:
    """What the queue and the webhook are told (docs/escalations.md): the one who reported is named, for it goes to IT
    Operations."""
    return {"v": 1, **escalation.model_dump(mode="json", include=_MESSAGE, exclude_none=True)}


_MESSAGE = {
    *("id", "team", "assistant", "assistant_version", "request", "reporter", "kind", "severity", "words"),
    *("urgent", "why_urgent", "created_at"),
}


def _document(escalation: Escalation) -> Document:
    """With its message."""
    kept = escalation.model_dump(mode="json", exclude_none=True)
    message = {
        "queue": ESCALATIONS,
        "id": escalation.id,
        "session": escalation.assistant,
        "body": message_body(escalation),
        "properties": {name: kept[name] for name in ("kind", "severity", "team", "assistant", "urgent")},
    }
    return {**kept, "type": "escalation", "v": 1, "tell": PENDING, "message": message}


# The alerts to the webhook.


async def announce_alerts(bus: Bus, escalation: Escalation) -> int:
    """Has the webhook told of what is due now. Raises :class:`services.bus.BusUnavailable`."""
    due = [each for each in escalation.alerts if each.status == PENDING and each.next_at <= utc_now()]
    for alert in due:
        named = {"v": 1, "team": escalation.team, "escalation": escalation.id, "alert": alert.id}
        await bus.send(ALERTS, named, message_id=uuid7())
    return len(due)


async def note_attempt(
    items: Items, escalation: Escalation, alert: Alert, *, error: str, next_at: datetime | None
) -> bool:
    """An attempt was made: it is sent (no ``error``), due again at a time, or given up (no time).

    False if somebody else has noted an attempt since.
    """
    index = next(index for index, each in enumerate(escalation.alerts) if each.id == alert.id)
    status = "sent" if not error else ("pending" if next_at else "given-up")
    changed = alert.model_copy(
        update={
            "status": status,
            "attempts": alert.attempts + 1,
            "error": error,
            "next_at": next_at or alert.next_at,
        }
    )
    where = f"from c where c.alerts[{index}].attempts = {alert.attempts}"
    try:
        await items.patch(
            escalation.id, escalation.team, [put(f"/alerts/{index}", changed.model_dump(mode="json"))], where=where
        )
    except ConditionFailed:
        return False
    return True
