"""Reading the audit trail: everybody their own events, auditors those of their teams (claim A6)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import azure.durable_functions as df
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_snake

from api.operation import Call, Reply, operation
from api.problems import Csv, JsonLines, Streamed, media_type
from api.tables import csv_line
from governance.access import ACCESS, GroupId, Role, Scope, TeamId
from governance.changes import change_event
from governance.trail import Name, Page, TrailEvent, Wanted, complete_until, export_trail, read_trail
from services.clock import in_utc, utc_now, utc_text

bp = df.Blueprint()

AUDITORS = (Role.AUDITOR,)


type Moment = Annotated[datetime, AfterValidator(in_utc)]


class Own(BaseModel):
    """Which of the caller's own events. Times are UTC, unless they say otherwise; by default the last 30 days."""

    model_config = ConfigDict(extra="forbid")

    begin: Moment = Field(alias="from", default_factory=lambda: utc_now() - timedelta(days=30))
    end: Moment = Field(alias="to", default_factory=utc_now)
    assistant: Name | None = None
    type: Name | None = None
    outcome: Name | None = None
    model: Name | None = None

    def wanted(self, actor: str | None, team: str | None = None) -> Wanted:
        conditions = self.model_dump(include={"begin", "end", "assistant", "type", "outcome", "model"})
        return Wanted(**conditions, actor=actor, team=team)


class Theirs(Own):
    """Which events of the teams that the auditor's role reaches."""

    person: GroupId | None = None
    """Object id in the directory."""
    team: TeamId | None = None


class Paged(BaseModel):
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=150)


class OwnPage(Own, Paged):
    pass


class TheirPage(Theirs, Paged):
    pass


@operation(bp, "GET", "me/audit", query=OwnPage, answers={200: Page})
async def get_own_trail(call: Call[None]) -> Reply:
    """What the trail says of what the caller did, the latest first."""
    asked = call.query(OwnPage)
    return await _page(call, asked.wanted(call.caller.oid), None, asked)


@operation(bp, "GET", "audit", query=TheirPage, answers={200: Page}, roles=AUDITORS)
async def get_trail(call: Call[None]) -> Reply:
    """What the trail says of the teams that the auditor's role reaches, the latest first."""
    asked = call.query(TheirPage)
    return await _page(call, asked.wanted(asked.person, asked.team), call.access.scope(*AUDITORS), asked)


@operation(bp, "GET", "me/audit.csv", query=Own, answers={200: Csv})
async def export_own_table(call: Call[None]) -> Reply:
    """All of what the trail says of what the caller did, as a table; `Complete-Until` says up to when."""
    return await _export(call, call.query(Own).wanted(call.caller.oid), None, Csv)


@operation(bp, "GET", "me/audit.jsonl", query=Own, answers={200: JsonLines})
async def export_own_lines(call: Call[None]) -> Reply:
    """The same with a JSON object on each line."""
    return await _export(call, call.query(Own).wanted(call.caller.oid), None, JsonLines)


@operation(bp, "GET", "audit.csv", query=Theirs, answers={200: Csv}, roles=AUDITORS)
async def export_table(call: Call[None]) -> Reply:
    """All of what the trail says of the teams that the auditor's role reaches; `Complete-Until` says up to when."""
    asked = call.query(Theirs)
    return await _export(call, asked.wanted(asked.person, asked.team), call.access.scope(*AUDITORS), Csv)


@operation(bp, "GET", "audit.jsonl", query=Theirs, answers={200: JsonLines}, roles=AUDITORS)
async def export_lines(call: Call[None]) -> Reply:
    """The same with a JSON object on each line."""
    asked = call.query(Theirs)
    return await _export(call, asked.wanted(asked.person, asked.team), call.access.scope(*AUDITORS), JsonLines)


async def _page(call: Call[None], wanted: Wanted, scope: Scope | None, page: Paged) -> Reply:
    complete = await _complete_until(call)
    events, cursor = await read_trail(call.services.audit_log, wanted, scope, limit=page.limit, cursor=page.cursor)
    await _note(call, wanted, scope, events=len(events))
    return Reply(Page(events=events, cursor=cursor, complete_until=complete))


async def _export(call: Call[None], wanted: Wanted, scope: Scope | None, shape: type[Csv | JsonLines]) -> Reply:
    complete = await _complete_until(call)
    events = export_trail(call.services.audit_log, wanted, scope)
    first = await anext(events, None)  # what can't be read is said before anything is sent
    await _note(call, wanted, scope, export=media_type(shape))
    headers = {"Complete-Until": utc_text(complete), "Content-Disposition": "attachment"}
    return Reply(Streamed(shape, _lines(first, events, shape)), 200, headers)


async def _lines(
    first: TrailEvent | None, others: AsyncIterator[TrailEvent], shape: type[Csv | JsonLines]
) -> AsyncIterator[str]:
    names = [to_snake(name) for name in TrailEvent.model_fields]
    if shape is Csv:
        yield csv_line(names)
    event = first
    while event is not None:
        if shape is Csv:
            members = event.model_dump(mode="json")
            yield csv_line(members[name] for name in names)
        else:
            yield event.model_dump_json() + "\n"
        event = await anext(others, None)


async def _complete_until(call: Call[None]) -> datetime:
    late = timedelta(seconds=call.services.settings.reconcile_after_seconds)
    return await complete_until(call.services.store, utc_now() - late)


async def _note(call: Call[None], wanted: Wanted, scope: Scope | None, **more: Any) -> None:
    """Reading the trail is an event in it, before anything of it is shown."""
    what = "audit:own" if scope is None else "audit"
    read = {**wanted.model_dump(mode="json", exclude_none=True), **more}
    event = change_event("audit.read", actor=call.caller.oid, target=what, reason="", After=read)
    await call.journal.note("config", ACCESS, event)
