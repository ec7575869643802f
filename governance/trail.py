"""Reading the audit trail: one's own part of it, or that of the teams that an auditor's role reaches (claim A6).

A query is made of values that can only be names, ids and times (:class:`Wanted`), so nothing that is asked for can
become a part of the query's language. Of an event that has several rows the one with the highest revision counts.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator
from pydantic.alias_generators import to_snake

from governance.access import GroupId, Scope, TeamId
from governance.audit import CONTAINERS, TEXT, AuditEvent, audit_columns, events_in, happened, items_of
from governance.problems import ProblemError
from services.clock import Timestamp, utc_now, utc_text
from services.documents import Store
from services.logs import AuditLog, LogsBusy

LATE = timedelta(days=2)
"""How much later than it happened an event may have reached Log Analytics, to be looked for."""

EXPORT_PAGE = 200
"""Events a query: with their texts they stay far below the 100 MB that Log Analytics answers."""
EXPORT_PAUSE_SECONDS = 5.0

type Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+ -]{0,99}$")]


class TooManyQueries(ProblemError):
    """Others are reading the trail; Log Analytics answers an identity's queries five at a time."""

    type = "too-many-queries"
    detail = "The audit trail is being read by too many at once. Try again in some seconds."


class CursorUnknown(ProblemError):
    """It is none that a page gave."""

    type = "malformed"
    detail = "cursor: this is none that a page of the trail gave."


class Wanted(BaseModel):
    """Which events: all that meet every condition."""

    model_config = ConfigDict(extra="forbid")

    begin: datetime
    end: datetime
    actor: GroupId | None = None
    team: TeamId | None = None
    assistant: Name | None = None
    type: Name | None = None
    outcome: Name | None = None
    model: Name | None = None


class TrailEvent(AuditEvent):
    """An event as the trail has it."""

    model_config = ConfigDict(
        alias_generator=to_snake, validate_by_name=True, validate_by_alias=False, serialize_by_alias=True,
        extra="ignore", hide_input_in_errors=True,
    )  # fmt: skip

    @field_validator(*(name for name, kind in audit_columns().items() if kind == "dynamic"), mode="before")
    @classmethod
    def _dynamic(cls, value: Any) -> Any:
        """Log Analytics gives its dynamic columns as JSON text."""
        return json.loads(value) if isinstance(value, str) else value


class Page(BaseModel):
    events: list[TrailEvent]
    """The latest first."""
    cursor: str | None
    """Of the next page, with the same conditions; none on the last."""
    complete_until: Timestamp
    """What happened before is in; of what happened since, some may not have reached Log Analytics yet."""


class _Cursor(BaseModel):
    """The last event of a page."""

    time: datetime
    id: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]{1,100}$")]


async def read_trail(
    audit_log: AuditLog, wanted: Wanted, scope: Scope | None, *, limit: int, cursor: str | None
) -> tuple[list[TrailEvent], str | None]:
    """The latest events that are wanted, and the cursor of those before. ``scope`` None is for somebody's own.

    Raises :class:`CursorUnknown`, :class:`TooManyQueries`, :class:`services.logs.LogsUnavailable`.
    """
    kql = " | ".join([*_query(wanted, scope, _parsed(cursor)), f"take {limit + 1}"])
    try:
        rows = await audit_log.query(kql, utc_now() - wanted.begin + LATE)
    except LogsBusy:
        raise TooManyQueries from None
    events = [
        TrailEvent.model_validate({name: value for name, value in row.items() if value is not None}) for row in rows
    ]
    last = events[limit - 1] if len(events) > limit else None
    events = await _whole(audit_log, events[:limit], utc_now() - wanted.begin + LATE)
    return events, None if last is None else f"{utc_text(last.EventTime)}_{last.EventId}"


async def export_trail(audit_log: AuditLog, wanted: Wanted, scope: Scope | None) -> AsyncIterator[TrailEvent]:
    """Every event that is wanted, the latest first, read a page at a time; when others are reading, it waits for them.

    Raises what :func:`read_trail` raises, :class:`TooManyQueries` only before the first event.
    """
    cursor = None
    while True:
        try:
            events, cursor = await read_trail(audit_log, wanted, scope, limit=EXPORT_PAGE, cursor=cursor)
        except TooManyQueries:
            if cursor is None:
                raise
            await asyncio.sleep(EXPORT_PAUSE_SECONDS)
            continue
        for event in events:
            yield event
        if cursor is None:
            return


async def _whole(audit_log: AuditLog, events: list[TrailEvent], over: timedelta) -> list[TrailEvent]:
    """The events with the rest of their texts."""
    long = {event.EventId: event for event in events if event.Parts > 1}
    if not long:
        return events
    of_these = f"EventType == {_text(TEXT)} and EventId in ({', '.join(map(_text, long))})"
    one_each = "summarize arg_max(TimeGenerated, *) by EventId, Revision, Part"
    kql = f"AuditEvents_CL | where {of_these} | {one_each} | order by EventId asc, Part asc"
    for row in await audit_log.query(kql, over):
        event = long[row["EventId"]]
        if row["Revision"] == event.Revision:
            event.Prompt += row["Prompt"] or ""
            event.Answer += row["Answer"] or ""
    return events


async def complete_until(store: Store, ingested_before: datetime) -> datetime:
    """When the oldest event happened that Log Analytics was not given yet; at most that time."""
    oldest = ingested_before
    query = f"SELECT * FROM c WHERE c.audit.status = 'pending' AND {happened('< @before')}"  # noqa: S608 - of ours
    for container in CONTAINERS:
        async for document in items_of(store, container).query(query, {"@before": utc_text(ingested_before)}):
            times = [datetime.fromisoformat(each["EventTime"]) for each in events_in(document)]
            oldest = min(oldest, *times)
    return oldest


def _parsed(cursor: str | None) -> _Cursor | None:
    if cursor is None:
        return None
    time, _, id_ = cursor.partition("_")
    try:
        return _Cursor.model_validate({"time": time, "id": id_})
    except ValidationError:
        raise CursorUnknown from None


def _query(wanted: Wanted, scope: Scope | None, after: _Cursor | None) -> Iterator[str]:
    yield "AuditEvents_CL"
    yield f"where EventTime >= {_time(wanted.begin)} and EventTime < {_time(wanted.end)}"
    if scope is not None and scope.teams is not None:
        yield f"where Team in ({', '.join(map(_text, sorted(scope.teams))) or _text('')}) and Team != ''"
    columns = {"Actor": wanted.actor, "Team": wanted.team, "Assistant": wanted.assistant, "EventType": wanted.type}
    yield from (f"where {column} == {_text(value)}" for column, value in columns.items() if value is not None)
    yield f"where EventType != {_text(TEXT)}"
    yield "summarize arg_max(Revision, *) by EventId"
    later = {"Outcome": wanted.outcome, "Model": wanted.model}  # which another revision may have changed
    yield from (f"where {column} == {_text(value)}" for column, value in later.items() if value is not None)
    if after is not None:
        time, id_ = _time(after.time), _text(after.id)
        yield f"where EventTime < {time} or (EventTime == {time} and EventId < {id_})"
    yield "order by EventTime desc, EventId desc"


def _text(value: str) -> str:
    """A literal. Only for what was checked to be a name or an id."""
    assert "'" not in value
    assert "\\" not in value
    return f"'{value}'"


def _time(moment: datetime) -> str:
    return f"datetime({utc_text(moment)})"
