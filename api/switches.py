"""``PUT /api/switches/{scope}``: stop the platform or one assistant, or let it go again."""

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from governance.access import Role
from governance.switches import PLATFORM, assistant_scope, set_switch
from routing.assistants import AssistantUnknown
from routing.publishing import find_managed

bp = df.Blueprint()

PULLERS = (Role.GOVERNOR, Role.IT_OPS)


class Position(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stopped: bool
    reason: str = Field(min_length=1, max_length=1000)


class Switch(Position):
    scope: str


@operation(bp, "PUT", "switches/{scope}", body=Position, answers={200: Switch}, roles=PULLERS)
async def put_switch(call: Call[Position]) -> Reply:
    """Pull or release the kill switch of ``platform`` or of ``assistant:<id>``.

    When this answers, no call that the stop forbids can start.
    """
    scope = await _known_scope(call, call.path("scope"))
    position = call.body()
    await set_switch(call.journal, scope, stopped=position.stopped, reason=position.reason, actor=call.caller.oid)
    return Reply(Switch(scope=scope, stopped=position.stopped, reason=position.reason))


async def _known_scope(call: Call[Position], scope: str) -> str:
    """The scope, if there is one that the caller's roles reach."""
    if scope == PLATFORM:
        call.access.require(*PULLERS, team=None)
        return scope
    kind, _, assistant_id = scope.partition(":")
    if kind != "assistant" or not assistant_id:
        raise AssistantUnknown
    await find_managed(call.services.store.config, assistant_id, call.access.scope(*PULLERS))
    return assistant_scope(assistant_id)
