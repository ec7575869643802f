"""The audit trail: what one event says, and how it is kept until Log Analytics has it.

An event is written as *pending* in the same Cosmos operation as the change that it tells of (an outbox: in the
document itself, or beside it in the same logical partition). Then a message that names the document goes to the
``audit`` queue, ``write_audit`` uploads the event and marks it *written*. The sweep sends again what stays pending.
Uploading is at least once: an event is identified by ``EventId``, and a reader takes one row of each, the one with the
highest ``Revision``.
"""

import hashlib
import types
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from services.bus import AUDIT, Bus
from services.clock import Timestamp, uuid7
from services.documents import ItemExists, Items, Patch, Store, put

ANNOUNCED_FOR = timedelta(minutes=10)
COLUMN_BYTES = 60_000
"""Of UTF-8, for one text: Log Analytics cuts a column at 64 KB."""
TEXT = "text"
"""The type of the rows that go on with the prompt and answer of an event."""


class AuditEvent(BaseModel):
    """One row of ``AuditEvents_CL``. Text in it is as the guardrails left it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    TimeGenerated: Timestamp
    """Log Analytics puts its own time here for an event that reaches it more than two days late."""
    EventTime: Timestamp
    """When it happened."""
    EventId: str
    """A request's is the request's own id; of anything else it is made once, with what it tells of."""
    SchemaVersion: Literal[1] = 1
    """Of these columns. A version adds columns; none is removed, and none changes its meaning."""
    Revision: int = 1
    """Should an event have more than one row, the highest revision is what holds."""
    Part: int = 1
    """An event whose prompt or answer is too long for a column has more rows, numbered, of the type ``text``."""
    Parts: int = 1
    EventType: str
    """``request``; what an administrator did: ``switch.set``, ``team.set``, ``assistant.publish``, ...; what support
    did: ``support.read``, ``support.refuse``; who was not let in: ``refusal``. All of them: docs/audit-events.md."""
    Outcome: str
    """How it ended: answered, refused, cancelled, stopped, failed, abandoned, withheld (answered, and not handed over);
    for administrative events done."""
    Reason: str = ""
    """The problem type of anything but an answer; for what an administrator did, the reason that they gave."""
    Actor: str
    """Object id in the directory."""
    Team: str = ""
    Assistant: str = ""
    AssistantVersion: int | None = None
    RequestId: str = ""
    Conversation: str = ""
    """In which it was asked: the id of its first request."""
    TraceId: str = ""
    Prompt: str = ""
    """As much of it as the policy lets the trail keep."""
    PromptCharacters: int | None = None
    PromptSha256: str = ""
    """Of the whole text as the guardrails left it, in UTF-8."""
    Answer: str = ""
    AnswerCharacters: int | None = None
    AnswerSha256: str = ""
    Verdicts: dict[str, Any] = {}
    """By stage: the action, and the findings without their text."""
    Stages: dict[str, Any] = {}
    """By stage: when it started, and how many milliseconds it took."""
    Sources: list[Any] = []
    Attempts: list[Any] = []
    """At a model, in their order: the endpoint, its model, what became of it, and what it cost."""
    Endpoint: str = ""
    Provider: str = ""
    Model: str = ""
    Region: str = ""
    Residency: str = ""
    InputTokens: int | None = None
    CachedInputTokens: int | None = None
    """Of these, the ones that the provider had in its cache."""
    OutputTokens: int | None = None
    CostMicro: int | None = None
    """Millionths of ``Currency``."""
    Currency: str = ""
    Count: int = 1
    """How many there were, of refusals that are told together."""
    Target: str = ""
    """What an administrative event changed."""
    Before: dict[str, Any] = {}
    After: dict[str, Any] = {}
    Grant: str = ""
    """Under which support grant it was done."""


def measured(text: str | None) -> tuple[int | None, str]:
    """How many characters a text has, and its SHA-256."""
    if text is None:
        return None, ""
    return len(text), hashlib.sha256(text.encode()).hexdigest()


def rows_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """An event as Log Analytics takes it: one row, and one more of the type ``text`` for each further column's worth of
    its prompt or answer. What identifies the event is in each."""
    prompts, answers = pieces(event["Prompt"]), pieces(event["Answer"])
    parts = max(len(prompts), len(answers))
    texts = zip_longest(prompts, answers, fillvalue="")
    first = {**event, "Parts": parts}
    further = {**{name: event[name] for name in _IDENTIFYING}, "EventType": TEXT, "Parts": parts}
    return [
        {**(further if part > 1 else first), "Part": part, "Prompt": prompt, "Answer": answer}
        for part, (prompt, answer) in enumerate(texts, start=1)
    ]


_IDENTIFYING = (
    "TimeGenerated", "EventTime", "EventId", "Revision", "Outcome", "Actor", "Team", "Assistant", "RequestId",
)  # fmt: skip


def pieces(text: str) -> list[str]:
    """The text in pieces of at most COLUMN_BYTES, no character cut in two; one piece if it is empty."""
    found = []
    rest = text.encode()
    while len(rest) > COLUMN_BYTES:
        piece = rest[:COLUMN_BYTES].decode(errors="ignore")
        found.append(piece)
        rest = rest[len(piece.encode()) :]
    return [*found, rest.decode()]


_KQL_TYPES: dict[Any, str] = {str: "string", int: "long", datetime: "datetime", dict: "dynamic", list: "dynamic"}


def audit_columns() -> dict[str, str]:
    """The table's columns and their KQL types, for whatever creates the table."""
    columns = {}
    for name, field in AuditEvent.model_fields.items():
        kind: Any = field.annotation
        if name in ("TimeGenerated", "EventTime"):
            kind = datetime
        elif get_origin(kind) is types.UnionType:
            kind = get_args(kind)[0]
        elif get_origin(kind) is Literal:
            kind = type(get_args(kind)[0])
        columns[name] = _KQL_TYPES[get_origin(kind) or kind]
    return columns


type Outbox = Literal["control", "config", "budgets", "chunks", "feedback", "escalations"]
"""The containers in which an event is kept beside the change that it tells of."""
type Container = Literal["requests"] | Outbox

PARTITION_KEYS: dict[Outbox, str] = {
    "control": "scope",
    "config": "kind",
    "budgets": "team",
    "chunks": "collection",
    "feedback": "assistant",
    "escalations": "team",
}

CONTAINERS: tuple[Container, ...] = ("requests", *PARTITION_KEYS)
"""Wherever an event may be pending."""

NOTES = "notes"
"""The partition of ``config`` of the events that the product writes of its own accord, beside no change."""

KEPT_SECONDS = 30 * 86_400
"""How long an outbox document stays once its event is written: longer than ``reconcile_audit`` looks back."""


def items_of(store: Store, container: Container) -> Items:
    match container:
        case "requests":
            return store.requests
        case "control":
            return store.control
        case "config":
            return store.config
        case "budgets":
            return store.budgets
        case "chunks":
            return store.chunks
        case "feedback":
            return store.feedback
        case "escalations":
            return store.escalations


class Reference(BaseModel):
    """An audit message: which document holds the event, or the events."""

    v: Literal[1] = 1
    container: Container
    partition: str
    id: str


def reference_to_request(request_id: str) -> Reference:
    """A request's event is in the request's own document."""
    return Reference(container="requests", partition=request_id, id=request_id)


def pending(event: AuditEvent) -> dict[str, Any]:
    """The ``audit`` property of a document that tells of a change."""
    return {"status": "pending", "revision": event.Revision, "event": event.model_dump(mode="json")}


def outbox_document(event: AuditEvent, container: Outbox, partition: str) -> dict[str, Any]:
    """A document that keeps an event in the partition of the change that it is written with."""
    return {PARTITION_KEYS[container]: partition, "id": event.EventId, "type": "audit", "v": 1, "audit": pending(event)}


def outbox_document_of(events: Sequence[AuditEvent], container: Outbox, partition: str) -> dict[str, Any]:
    """As :func:`outbox_document`, of events that are written, uploaded and marked together."""
    if len(events) == 1:
        return outbox_document(events[0], container, partition)
    kept = [each.model_dump(mode="json") for each in events]
    audit = {
        **{"status": "pending", "revision": 1, "since": kept[0]["EventTime"]},
        **{"ids": [each["EventId"] for each in kept], "events": kept},
    }
    return {PARTITION_KEYS[container]: partition, "id": uuid7(), "type": "audit", "v": 2, "audit": audit}


def events_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that a document keeps."""
    audit = document["audit"]
    return audit["events"] if "events" in audit else [audit["event"]]


def happened(condition: str) -> str:
    """In a query: whether what a document keeps happened at such a time, ``< @before``."""
    return f"(c.audit.event.EventTime {condition} OR c.audit.since {condition})"


async def announce(bus: Bus, reference: Reference) -> None:
    """Tell the audit writer. Raises :class:`services.bus.BusUnavailable`."""
    await bus.send(AUDIT, reference.model_dump(), message_id=reference.id)


async def note_started(store: Store, bus: Bus, event: AuditEvent) -> None:
    """An event that must be kept before something leaves. Does nothing more the second time.

    Raises :class:`services.documents.StoreError`, :class:`services.bus.BusUnavailable`.
    """
    with suppress(ItemExists):
        await store.config.create(outbox_document(event, "config", NOTES))
    await announce(bus, Reference(container="config", partition=NOTES, id=event.EventId))


async def announce_again(bus: Bus, reference: Reference) -> None:
    """As :func:`announce`, under an id of its own, so that duplicate detection does not swallow it.

    The message is gone when the next one is due many times over: they must not pile up while nobody takes them.
    """
    await bus.send(AUDIT, reference.model_dump(), message_id=uuid7(), time_to_live=ANNOUNCED_FOR)


def marked(reference: Reference, revision: int, status: Literal["written", "rejected"]) -> Patch:
    """From pending to what became of the event, if it is still the one that was uploaded; else it is uploaded again.

    An outbox document has no other purpose than its event, so it expires once that is written; one that Log Analytics
    does not take stays.
    """
    change = [put("/audit/status", status)]
    if reference.container != "requests" and status == "written":
        change.append(put("/ttl", KEPT_SECONDS))
    return Patch(reference.id, change, f"from c where c.audit.revision = {revision}")
