"""Reading the audit trail: everybody their own events, auditors those of their teams (claim A6)."""

from datetime import datetime, timedelta
from typing import Annotated

import azure.durable_functions as df
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from governance.access import ACCESS, GroupId, Role, Scope, TeamId
from governance.changes import change_event
from governance.trail import Name, Page, Wanted, complete_until, read_trail
from services.clock import in_utc, utc_now

bp = df.Blueprint()

AUDITORS = (Role.AUDITOR,)


type Moment = Annotated[datetime, AfterValidator(in_utc)]


class OwnAsked(BaseModel):
    """Times are UTC, unless they say otherwise; by default the last 30 days."""

    model_config = ConfigDict(extra="forbid")

    begin: Moment = Field(alias="from", default_factory=lambda: utc_now() - timedelta(days=30))
    end: Moment = Field(alias="to", default_factory=utc_now)
    assistant: Name | None = None
    type: Name | None = None
    outcome: Name | None = None
    model: Name | None = None
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=150)


class Asked(OwnAsked):
    person: GroupId | None = None
    """Object id in the directory."""
    team: TeamId | None = None


@operation(bp, "GET", "me/audit", query=OwnAsked, answers={200: Page})
async def get_own_trail(call: Call[None]) -> Reply:
    """What the trail says of what the caller did, the latest first."""
    asked = call.query(OwnAsked)
    return await _page(call, asked, actor=call.caller.oid, team=None, scope=None)


@operation(bp, "GET", "audit", query=Asked, answers={200: Page}, roles=AUDITORS)
async def get_trail(call: Call[None]) -> Reply:
    """What the trail says of the teams that the auditor's role reaches, the latest first."""
    asked = call.query(Asked)
    return await _page(call, asked, actor=asked.person, team=asked.team, scope=call.access.scope(*AUDITORS))


async def _page(
    call: Call[None], asked: OwnAsked, *, actor: str | None, team: str | None, scope: Scope | None
) -> Reply:
    """A page of the trail, which has an event of its being read, before anything of it is shown."""
    services = call.services
    conditions = asked.model_dump(include={"begin", "end", "assistant", "type", "outcome", "model"})
    wanted = Wanted(**conditions, actor=actor, team=team)
    complete = utc_now() - timedelta(seconds=services.settings.reconcile_after_seconds)
    events, cursor = await read_trail(services.audit_log, wanted, scope, limit=asked.limit, cursor=asked.cursor)
    until = await complete_until(services.store, complete)
    what = "audit:own" if scope is None else "audit"
    read = {**wanted.model_dump(mode="json", exclude_none=True), "events": len(events)}
    event = change_event("audit.read", actor=call.caller.oid, target=what, reason="", After=read)
    await call.journal.note("config", ACCESS, event)
    return Reply(Page(events=events, cursor=cursor, complete_until=until))
