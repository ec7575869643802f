"""``PUT /api/switches/{scope}``: stop the platform or one assistant, or let it go again."""

import logging

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from api.body import read_body
from api.caller import caller_of
from api.problems import answering_problems, json_response
from governance.access import Role, require
from governance.audit import Reference, announce
from governance.switches import PLATFORM, assistant_scope, set_switch
from routing.assistants import AssistantUnknown
from services.bus import BusUnavailable
from services.platform import Platform, platform

log = logging.getLogger(__name__)

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
    event_id = await set_switch(
        services.store.control, scope, stopped=position.stopped, reason=position.reason, actor=caller.oid
    )
    try:
        await announce(services.bus, Reference(container="control", partition=scope, id=event_id), event_id)
    except BusUnavailable as error:
        # The switch is set and its event kept: the sweep announces it.
        log.warning("switch %s: %s", scope, error)
    return json_response({"scope": scope, **position.model_dump()})


async def _known_scope(services: Platform, scope: str) -> str:
    if scope == PLATFORM:
        return scope
    kind, _, assistant_id = scope.partition(":")
    if kind != "assistant" or not assistant_id or await services.store.config.read(assistant_id, "assistant") is None:
        raise AssistantUnknown
    return assistant_scope(assistant_id)
