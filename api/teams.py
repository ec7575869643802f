"""Teams and role bindings: who is who, by directory group."""

import azure.durable_functions as df
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance import roles, teams
from governance.access import Binding, GroupId, Role, Team, TeamId
from governance.problems import ProblemError

bp = df.Blueprint()

ADMINS = (Role.PLATFORM_ADMIN,)
READERS = (Role.PLATFORM_ADMIN, Role.AUDITOR)

_team_id = TypeAdapter[str](TeamId)


class TeamUnknown(ProblemError):
    """There can't be such a team."""

    type = "not-found"
    detail = "There is no such team: an id has small letters, digits and hyphens."


class RoleUnknown(ProblemError):
    """There is no such role."""

    type = "not-found"
    detail = f"There is no such role: there are {', '.join(Role)}."


class TeamSettings(Reason):
    name: str = Field(min_length=1, max_length=100)
    group: GroupId


class TaggedTeam(Team):
    etag: str


class Teams(BaseModel):
    teams: list[TaggedTeam]


class Bindings(Reason):
    bindings: list[Binding] = Field(max_length=100)


class RoleBindings(BaseModel):
    role: Role
    bindings: list[Binding]
    etag: str | None
    """None until somebody binds the role: the first binding is made with ``If-None-Match: *``."""


class Roles(BaseModel):
    roles: list[RoleBindings]


class Removed(BaseModel):
    """It is not there any more."""

    id: str


@operation(bp, "GET", "teams", answers={200: Teams}, roles=tuple(Role))
async def list_teams(call: Call[None]) -> Reply:
    """The teams that the caller's roles reach."""
    found = teams.list_teams(call.services.store.config, call.access.scope(*Role))
    listed = [TaggedTeam(**team.model_dump(), etag=etag) async for team, etag in found]
    return Reply(Teams(teams=sorted(listed, key=lambda team: team.id)))


@operation(bp, "PUT", "teams/{team_id}", body=TeamSettings, answers={200: TaggedTeam}, roles=ADMINS, tagged=True)
async def put_team(call: Call[TeamSettings]) -> Reply:
    """Make a team, or change it."""
    settings, etag = await call.body(), call.etag()
    team = Team(id=known_form(call.path("team_id")), name=settings.name, group=settings.group)
    etag = await teams.set_team(call.journal, team, etag=etag, actor=call.caller.oid, reason=settings.reason)
    return Reply(TaggedTeam(**team.model_dump(), etag=etag), 200, {"ETag": etag})


@operation(bp, "POST", "teams/{team_id}/remove", body=Reason, answers={200: Removed}, roles=ADMINS, tagged=True)
async def remove_team(call: Call[Reason]) -> Reply:
    """Nobody is in the team any more; its ledger and its trail stay."""
    team_id, reason, etag = known_form(call.path("team_id")), (await call.body()).reason, call.etag()
    await teams.remove_team(call.journal, team_id, etag=etag, actor=call.caller.oid, reason=reason)
    return Reply(Removed(id=team_id))


@operation(bp, "GET", "roles", answers={200: Roles}, roles=READERS)
async def list_roles(call: Call[None]) -> Reply:
    """Every role, with the groups that hold it."""
    call.access.require(*READERS, team=None)
    return Reply(Roles(roles=[await _bindings(call, role) for role in Role]))


@operation(bp, "PUT", "roles/{role}", body=Bindings, answers={200: RoleBindings}, roles=ADMINS, tagged=True)
async def put_role(call: Call[Bindings]) -> Reply:
    """Bind a role to these groups, and to no others."""
    try:
        role = Role(call.path("role"))
    except ValueError:
        raise RoleUnknown from None
    asked = await call.body()
    etag = await roles.set_role(
        call.journal,
        role,
        asked.bindings,
        etag=call.etag(),
        by=call.caller,
        first_admins=call.services.settings.platform_admin_group,
        reason=asked.reason,
    )
    return Reply(RoleBindings(role=role, bindings=asked.bindings, etag=etag), 200, {"ETag": etag})


async def _bindings(call: Call[None], role: Role) -> RoleBindings:
    first_admins = call.services.settings.platform_admin_group
    bindings, etag = await roles.read_role(call.services.store.config, role, first_admins)
    return RoleBindings(role=role, bindings=bindings, etag=etag)


def known_form(team_id: str) -> str:
    """The id of a team that there can be. Raises :class:`TeamUnknown`."""
    try:
        return _team_id.validate_python(team_id)
    except ValidationError:
        raise TeamUnknown from None
