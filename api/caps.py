"""Cost caps: what each team may spend, what it has spent, and the governors' hands on it (claim C1)."""

from datetime import datetime

import azure.durable_functions as df
from pydantic import BaseModel

from api.operation import Call, Reply, operation
from api.reason import Reason
from api.teams import known_form
from governance import caps
from governance.access import Role
from governance.caps import Cap, CapSettings, CapUnknown, Counter, read_cap
from services.clock import Timestamp, utc_now
from services.documents import Items

bp = df.Blueprint()

GOVERNORS = (Role.GOVERNOR,)
READERS = (Role.GOVERNOR, Role.AUDITOR, Role.IT_OPS)


class NewCap(CapSettings, Reason):
    """What a team may spend from now on."""


class Spent(BaseModel):
    """The period under way, in micro-units of the cap's currency."""

    period: str
    begins_at: Timestamp
    ends_at: Timestamp
    spent_micro: int
    reserved_micro: int
    """For calls that have not ended."""
    left_micro: int
    overrun_micro: int
    """Of what is spent, how much endpoints charged beyond what they may."""
    forgiven_micro: int
    """What was spent before a governor reset it."""
    stopped: bool
    """Nothing may be spent: after an overrun, or since nothing is left."""


class CapSeen(CapSettings):
    """A cap, and where the team stands."""

    team: str
    now: Spent
    etag: str


class CapsSeen(BaseModel):
    caps: list[CapSeen]


@operation(bp, "GET", "caps", answers={200: CapsSeen}, roles=READERS)
async def list_caps(call: Call[None]) -> Reply:
    """The caps of the teams that the caller's roles reach."""
    budgets, now = call.services.store.budgets, utc_now()
    found = [each async for each in caps.list_caps(budgets, call.access.scope(*READERS))]
    seen = [await _seen(budgets, cap, etag, now) for cap, etag in found]
    return Reply(CapsSeen(caps=sorted(seen, key=lambda each: each.team)))


@operation(bp, "GET", "caps/{team_id}", answers={200: CapSeen}, roles=READERS)
async def get_cap(call: Call[None]) -> Reply:
    """A team's cap and what it has spent; the ETag is what a change must name."""
    team = known_form(call.path("team_id"))
    call.access.require(*READERS, team=team)
    return await _reply(call.services.store.budgets, team)


@operation(bp, "PUT", "caps/{team_id}", body=NewCap, answers={200: CapSeen}, roles=GOVERNORS, tagged=True)
async def put_cap(call: Call[NewCap]) -> Reply:
    """Set a team's cap, or raise or lower it: it holds at once, also for what is spent in the period under way."""
    asked, etag = await call.body(), call.etag()
    team = known_form(call.path("team_id"))
    call.access.require(*GOVERNORS, team=team)
    settings = CapSettings.model_validate(asked.model_dump(exclude={"reason"}))
    actor = call.caller.oid
    await caps.set_cap(call.journal, team, settings, etag=etag, actor=actor, reason=asked.reason, now=utc_now())
    return await _reply(call.services.store.budgets, team)


@operation(bp, "POST", "caps/{team_id}/reset", body=Reason, answers={200: CapSeen}, roles=GOVERNORS)
async def reset_cap(call: Call[Reason]) -> Reply:
    """Let the team spend its cap anew in the period under way, also after an overrun."""
    reason = (await call.body()).reason
    team = known_form(call.path("team_id"))
    call.access.require(*GOVERNORS, team=team)
    await caps.reset_cap(call.journal, team, actor=call.caller.oid, reason=reason, now=utc_now())
    return await _reply(call.services.store.budgets, team)


async def _reply(budgets: Items, team: str) -> Reply:
    found = await read_cap(budgets, team)
    if found is None:
        raise CapUnknown
    seen = await _seen(budgets, *found, utc_now())
    return Reply(seen, 200, {"ETag": seen.etag})


async def _seen(budgets: Items, cap: Cap, etag: str, now: datetime) -> CapSeen:
    counter = await caps.current_counter(budgets, cap, now)
    return CapSeen(**cap.model_dump(exclude={"revision"}), now=_spent(counter), etag=etag)


def _spent(counter: Counter) -> Spent:
    left = max(0, counter.limit_micro - counter.spent_micro - counter.reserved_micro)
    return Spent(
        **counter.model_dump(include=Spent.model_fields.keys() - {"left_micro", "stopped"}),
        left_micro=left,
        stopped=counter.stopped or counter.spent_micro >= counter.limit_micro,
    )
