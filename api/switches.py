"""``PUT /api/switches/{scope}``: stop the platform or one assistant, or let it go again."""

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from api.body import read_body
from api.caller import caller_of
from api.problems import answering_problems, json_response
from governance.access import Role, require
from governance.audit import AuditEvent, Reference, announce
from governance.switches import PLATFORM, SWITCH_ID, assistant_scope, set_switch
from routing.assistants import AssistantUnknown
from services.clock import utc_now, uuid7
from services.documents import Document
from services.platform import Platform, platform

bp = df.Blueprint()

REASON_CHARACTERS = 1000


class Position(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stopped: bool
    reason: str = Field(min_length=1, max_length=REASON_CHARACTERS)


@bp.route("switches/{scope}", methods=["PUT"])
@answering_problems
async def put_switch(req: func.HttpRequest) -> func.HttpResponse:
    """``scope`` is ``platform`` or ``assistant:<id>``. When this answers, no call that the stop forbids can start."""
    services = await platform()
    caller = await caller_of(req, services.settings)
    await require(services.store.config, caller, Role.IT_OPERATIONS)
    scope = await _known_scope(services, req.route_params["scope"])
    position = read_body(req, Position, REASON_CHARACTERS)
    now = utc_now()
    event = AuditEvent(
        TimeGenerated=now,
        EventTime=now,
        EventId=uuid7(),
        EventType="switch.set",
        Outcome="done",
        Reason=position.reason,
        Actor=caller.oid,
        Target=scope,
        Before=_position(await services.store.control.read(SWITCH_ID, scope)),
        After=position.model_dump(),
    )
    await set_switch(
        services.store.control, scope, stopped=position.stopped, reason=position.reason, actor=caller.oid, event=event
    )
    await announce(services.bus, Reference(container="control", partition=scope, id=event.EventId), event.EventId)
    return json_response({"scope": scope, **position.model_dump()})


async def _known_scope(services: Platform, scope: str) -> str:
    if scope == PLATFORM:
        return scope
    kind, _, assistant_id = scope.partition(":")
    if kind != "assistant" or not assistant_id or await services.store.config.read(assistant_id, "assistant") is None:
        raise AssistantUnknown
    return assistant_scope(assistant_id)


def _position(switch: Document | None) -> dict[str, object]:
    return {} if switch is None else {"stopped": switch["stopped"], "reason": switch["reason"]}
