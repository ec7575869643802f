"""The kill switches: stop the platform or one assistant, let it go again, see where they are (claims K1-K3)."""

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from governance import switches
from governance.access import Role
from governance.switches import PLATFORM, assistant_scope, position_of, set_switch
from routing.publishing import find_managed, list_managed

bp = df.Blueprint()

PULLERS = (Role.GOVERNOR, Role.IT_OPS)
READERS = (*PULLERS, Role.AUDITOR)


class NewPosition(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stopped: bool
    reason: str = Field(min_length=1, max_length=1000)


class Switch(switches.Position):
    """A switch, and where it is; without anybody who set it, it never was."""

    scope: str
    """``platform``, or the id of an assistant."""


class Switches(BaseModel):
    switches: list[Switch]


@operation(bp, "GET", "switches", answers={200: Switches}, roles=READERS)
async def list_switches(call: Call[None]) -> Reply:
    """The platform's switch, and those that were ever set of the assistants that the caller's roles reach."""
    store = call.services.store
    assistants = await list_managed(store.config, call.access.scope(*READERS))
    scopes = {assistant_scope(each.id): each.id for each in assistants}
    found = await switches.list_positions(store.control, scopes)
    platform = Switch(scope=PLATFORM, **(await position_of(store.control, PLATFORM)).model_dump())
    listed = [Switch(scope=scopes[scope], **position.model_dump()) for scope, position in sorted(found.items())]
    return Reply(Switches(switches=[platform, *listed]))


@operation(bp, "GET", "switches/{scope}", answers={200: Switch}, roles=READERS)
async def get_switch(call: Call[None]) -> Reply:
    """Where a switch is. Everybody who holds one of the roles may see the platform's."""
    scope = call.path("scope")
    if scope != PLATFORM:
        await find_managed(call.services.store.config, scope, call.access.scope(*READERS))
    position = await position_of(call.services.store.control, _kept_under(scope))
    return Reply(Switch(scope=scope, **position.model_dump()))


@operation(bp, "PUT", "switches/{scope}", body=NewPosition, answers={200: Switch}, roles=PULLERS)
async def put_switch(call: Call[NewPosition]) -> Reply:
    """Pull or release the kill switch of `platform` or of an assistant, by its id.

    When this answers, no call that the stop forbids can start.
    """
    scope = call.path("scope")
    if scope == PLATFORM:
        call.access.require(*PULLERS, team=None)
    else:
        await find_managed(call.services.store.config, scope, call.access.scope(*PULLERS))
    position = await call.body()
    kept, actor = _kept_under(scope), call.caller.oid
    now = await set_switch(call.journal, kept, stopped=position.stopped, reason=position.reason, actor=actor)
    return Reply(Switch(scope=scope, **now.model_dump()))


def _kept_under(scope: str) -> str:
    return PLATFORM if scope == PLATFORM else assistant_scope(scope)
