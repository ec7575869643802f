"""What the caller is and may ask: ``/api/me``, ``/api/assistants``."""

import azure.durable_functions as df
from pydantic import BaseModel

from api.operation import Call, Reply, operation
from governance.access import Notice, Role
from routing.assistants import Assistant, find_assistant
from routing.assistants import list_assistants as assistants_of
from services.clock import Timestamp

bp = df.Blueprint()


class Card(BaseModel):
    """What somebody who may ask an assistant is told of it."""

    id: str
    version: int
    name: str
    description: str


class Cards(BaseModel):
    assistants: list[Card]


class MyTeam(BaseModel):
    id: str
    name: str


class MyRole(BaseModel):
    role: Role
    teams: list[str] | None
    """What it is limited to; null for every team and the platform."""


class MyGrant(BaseModel):
    id: str
    until: Timestamp


class Me(BaseModel):
    oid: str
    teams: list[MyTeam]
    roles: list[MyRole]
    assistants: list[Card]
    support: MyGrant | None
    """The open support grant that the caller holds: it opens what support may read, and closes everything else."""
    notices: list[Notice]
    """Those in force, the latest first."""


def _card(assistant: Assistant) -> Card:
    return Card(id=assistant.id, version=assistant.version, name=assistant.name, description=assistant.description)


@operation(bp, "GET", "assistants", answers={200: Cards})
async def list_assistants(call: Call[None]) -> Reply:
    """The assistants that the caller may ask."""
    usable = await assistants_of(call.services.store.config, call.caller.groups)
    return Reply(Cards(assistants=[_card(each) for each in usable]))


@operation(bp, "GET", "assistants/{assistant_id}", answers={200: Card})
async def get_assistant(call: Call[None]) -> Reply:
    """One assistant that the caller may ask."""
    return Reply(_card(await find_assistant(call.services.store.config, call.path("assistant_id"), call.caller.groups)))


@operation(bp, "GET", "me", answers={200: Me}, support=True)
async def get_me(call: Call[None]) -> Reply:
    """Who the caller is here: their teams, roles and assistants, or their support grant; and the notices in force."""
    access = call.access
    if access.grant is not None:
        grant = MyGrant(id=access.grant.id, until=access.grant.until)
        return Reply(Me(oid=access.caller.oid, teams=[], roles=[], assistants=[], support=grant, notices=[]))
    usable = await assistants_of(call.services.store.config, call.caller.groups)
    return Reply(
        Me(
            oid=access.caller.oid,
            teams=[MyTeam(id=team.id, name=team.name) for team in access.teams],
            roles=[
                MyRole(role=role, teams=None if scope.teams is None else sorted(scope.teams))
                for role, scope in sorted(access.roles.items())
            ],
            assistants=[_card(each) for each in usable],
            support=None,
            notices=access.notices,
        )
    )
