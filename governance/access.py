"""What a caller may do: teams, roles and support grants, all bound to directory groups (claims I3, I5, T2).

They live in one partition of ``config``, which one query reads at every call: nothing here is cached. A role may be
limited to teams; a role that is not covers every team and the platform. A caller who holds an open support grant may
read what support may read, and nothing else, whatever other groups they are in.

The notices in force come with the same query, so that every answer can carry them at no operation more (claim P4).
They open and close nothing.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from governance.identity import Caller
from governance.problems import Problem, ProblemError
from services.clock import Timestamp, utc_text
from services.documents import Document, Items

ACCESS = "access"
"""The partition."""
MOST_GROUPS = 2_000
"""Of several callers in one query: 80 KB of the 512 that a query may have."""

type GroupId = Annotated[
    str, StringConstraints(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True)
]
"""Object id of a directory group (or person), in lower case."""
type TeamId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class TeamAmbiguous(ProblemError):
    """The caller is in several teams and named none of them; ``teams`` lists them."""

    type = "team-ambiguous"

    def __init__(self, teams: list[str]) -> None:
        super().__init__("name one of your teams")
        self.teams = teams

    def problem(self) -> Problem:
        return Problem(type=self.type, detail="Say which team this is for: set team.", extra={"teams": self.teams})


class NoTeam(ProblemError):
    """The caller is in no team (or not in the one that they named): nobody would pay for the request."""

    type = "no-team"
    detail = "None of your groups is a team's, or not the team's that you named."


class RoleMissing(ProblemError):
    """The caller's groups do not carry the role, or not for this team."""

    type = "role-missing"
    detail = "None of your groups is bound to the role that this needs, or the role is limited to other teams."


class Role(StrEnum):
    PUBLISHER = "publisher"
    """Writes, publishes and retires assistants."""
    AUDITOR = "auditor"
    """Reads the audit trail, and who may do what."""
    GOVERNOR = "governor"
    """Switches, caps, policies, model routes."""
    IT_OPS = "it_ops"
    """Switches, escalations, health."""
    PLATFORM_ADMIN = "platform_admin"
    """Binds roles and teams to groups, opens and closes support."""


class Team(BaseModel):
    id: TeamId
    name: str
    group: GroupId
    """Whose members are the team."""


class Binding(BaseModel):
    """One group that holds a role."""

    group: GroupId
    teams: list[TeamId] | None = None
    """What the role is limited to; none for every team and the platform itself."""


class Grant(BaseModel):
    """A support grant: for a group or for a person, until a time."""

    id: str
    group: GroupId | None = None
    person: GroupId | None = None
    reason: str
    opened_by: str
    opened_at: Timestamp
    until: Timestamp
    closed_at: Timestamp | None = None
    closed_by: str | None = None

    def is_for(self, caller: Caller) -> bool:
        return self.person == caller.oid or self.group in caller.groups

    def is_open(self, now: datetime) -> bool:
        return self.closed_at is None and now < self.until


class NoticeSeverity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Notice(BaseModel):
    """What platform admins tell everybody here, from a time until another: an incident upstream, a planned stop."""

    id: str
    text: str
    severity: NoticeSeverity
    begins_at: Timestamp
    ends_at: Timestamp


@dataclass(frozen=True)
class Scope:
    """The teams that a role reaches; None for all of them and the platform."""

    teams: frozenset[str] | None

    def covers(self, team: str | None) -> bool:
        """``team`` None asks for the platform."""
        return self.teams is None or team in self.teams

    def __or__(self, other: "Scope") -> "Scope":
        if self.teams is None or other.teams is None:
            return EVERYWHERE
        return Scope(self.teams | other.teams)


EVERYWHERE = Scope(None)
NOWHERE = Scope(frozenset())


async def in_scope(
    items: Items, scope: Scope, query: str, parameters: Mapping[str, Any] | None = None
) -> AsyncIterator[Document]:
    """What a query finds in the partitions of the teams in scope, in a container that is partitioned by team."""
    partitions = [None] if scope.teams is None else sorted(scope.teams)
    for partition in partitions:
        async for document in items.query(query, parameters, partition=partition):
            yield document


@dataclass(frozen=True)
class Access:
    """What one caller may do, as it was read at this call."""

    caller: Caller
    teams: list[Team]
    roles: dict[Role, Scope]
    grant: Grant | None
    """The open support grant that the caller holds."""
    notices: list[Notice]
    """Those in force, the latest first; none for somebody who has neither team nor role here, or holds a grant."""

    def scope(self, *roles: Role) -> Scope:
        """What these roles reach together."""
        scope = NOWHERE
        for role in roles:
            scope |= self.roles.get(role, NOWHERE)
        return scope

    def require(self, *roles: Role, team: str | None) -> None:
        """Raises :class:`RoleMissing` unless one of the roles covers the team, or the platform if None."""
        if not self.scope(*roles).covers(team):
            raise RoleMissing

    def team_for(self, named: str | None) -> Team:
        """The team that a request is on account of. Raises :class:`NoTeam`, :class:`TeamAmbiguous`."""
        mine = [team for team in self.teams if named in (None, team.id)]
        if not mine:
            raise NoTeam
        if len(mine) > 1:
            raise TeamAmbiguous(sorted(team.id for team in mine))
        return mine[0]


_MINE = """
    SELECT * FROM c WHERE c.type = 'role'
    OR (c.type = 'team' AND ARRAY_CONTAINS(@groups, c["group"]))
    OR (c.type = 'grant' AND c.until > @now AND NOT IS_DEFINED(c.closed_at))
    OR (c.type = 'notice' AND c.begins_at <= @now AND c.ends_at > @now)
"""


async def access_of(config: Items, caller: Caller, first_admins: str, now: datetime) -> Access:
    """Reads what the caller may do now.

    ``first_admins`` is the group whose members are platform administrators as long as nobody has bound that role.
    """
    [access] = await access_of_each(config, [caller], first_admins, now)
    return access


async def access_of_each(
    config: Items, callers: Sequence[Caller], first_admins: str, now: datetime
) -> Sequence[Access]:
    """What each of several callers may do now, in their order, by one reading that begins now.

    It is more than one where they are in more groups than a query can name.
    """
    if len(callers) > 1 and sum(len(each.groups) for each in callers) > MOST_GROUPS:
        half = len(callers) // 2
        some, others = callers[:half], callers[half:]
        return [
            *await access_of_each(config, some, first_admins, now),
            *await access_of_each(config, others, first_admins, now),
        ]
    parameters = {"@groups": sorted(frozenset().union(*(each.groups for each in callers))), "@now": utc_text(now)}
    found = _Found([], {Role.PLATFORM_ADMIN: [Binding(group=first_admins)]}, [], [])
    async for document in config.query(_MINE, parameters, partition=ACCESS):
        match document["type"]:
            case "team":
                found.teams.append(team_in(document))
            case "role":
                found.roles[Role(document["role"])] = bindings_in(document)
            case "grant":
                found.grants.append(grant_in(document))
            case "notice":
                found.notices.append(notice_in(document))
    return [found.access_of(caller, now) for caller in callers]


@dataclass(frozen=True)
class _Found:
    """What a reading found: the teams of somebody's among those who are asked for, and all else for everybody."""

    teams: list[Team]
    roles: dict[Role, list[Binding]]
    grants: list[Grant]
    notices: list[Notice]

    def access_of(self, caller: Caller, now: datetime) -> Access:
        scopes = {role: _scope_in(bindings, caller) for role, bindings in self.roles.items()}
        if scopes[Role.PLATFORM_ADMIN] != EVERYWHERE:
            del scopes[Role.PLATFORM_ADMIN]  # it is the platform's: limited to teams, which no route allows, it is none
        held = {role: scope for role, scope in scopes.items() if scope != NOWHERE}
        teams = [team for team in self.teams if team.group in caller.groups]
        grant = next((each for each in self.grants if each.is_for(caller) and each.is_open(now)), None)
        of_the_house = grant is None and (teams or held)
        return Access(
            caller=caller,
            teams=sorted(teams, key=lambda team: team.name),
            roles=held,
            grant=grant,
            notices=sorted(self.notices, key=lambda notice: notice.begins_at, reverse=True) if of_the_house else [],
        )


def _scope_in(bindings: list[Binding], caller: Caller) -> Scope:
    scope = NOWHERE
    for binding in bindings:
        if binding.group in caller.groups:
            scope |= EVERYWHERE if binding.teams is None else Scope(frozenset(binding.teams))
    return scope


async def groups_in_use(config: Items, first_admins: str) -> set[str]:
    """Every directory group that the configuration names: all that a caller's groups are ever compared with."""
    granted = config.query("SELECT * FROM c WHERE c.type = 'grant' AND IS_DEFINED(c[\"group\"])", partition=ACCESS)
    return {document["group"] async for document in granted} | await own_groups(config, first_admins)


async def own_groups(config: Items, first_admins: str) -> set[str]:
    """The groups of the customer's own people: teams, holders of roles, audiences."""
    groups = {first_admins}
    async for document in config.query("SELECT * FROM c WHERE c.type IN ('team', 'role')", partition=ACCESS):
        if document["type"] == "team":
            groups.add(document["group"])
        else:
            groups |= {binding.group for binding in bindings_in(document)}
    for partition, query in _AUDIENCES.items():
        async for document in config.query(query, partition=partition):
            if document["audience"] != "everyone":
                groups |= set(document["audience"])
    return groups


_AUDIENCES = {
    "assistant": "SELECT c.published.audience FROM c WHERE c.type = 'assistant' AND c.state = 'published'",
    "collection": "SELECT c.audience FROM c WHERE NOT IS_DEFINED(c.audit)",
}
"""By the partition of ``config``."""


# The documents. Their ids tell them apart in the partition that they share.


def team_document(team: Team) -> dict[str, Any]:
    return {"kind": ACCESS, "type": "team", "v": 1, **team.model_dump(), "id": f"team:{team.id}"}


def team_in(document: dict[str, Any]) -> Team:
    return Team.model_validate({**document, "id": document["id"].removeprefix("team:")})


def role_document(role: Role, bindings: list[Binding]) -> dict[str, Any]:
    bound = [binding.model_dump() for binding in bindings]
    return {"kind": ACCESS, "type": "role", "v": 1, "id": f"role:{role}", "role": role, "bindings": bound}


def bindings_in(document: dict[str, Any]) -> list[Binding]:
    return [Binding.model_validate(binding) for binding in document["bindings"]]


def grant_document(grant: Grant) -> dict[str, Any]:
    kept = grant.model_dump(mode="json", exclude_none=True)
    return {"kind": ACCESS, "type": "grant", "v": 1, **kept, "id": f"grant:{grant.id}"}


def grant_in(document: dict[str, Any]) -> Grant:
    return Grant.model_validate({**document, "id": document["id"].removeprefix("grant:")})


def notice_document(notice: Notice) -> dict[str, Any]:
    return {
        **{"kind": ACCESS, "type": "notice", "v": 1},
        **notice.model_dump(mode="json"),
        "id": f"notice:{notice.id}",
    }


def notice_in(document: dict[str, Any]) -> Notice:
    return Notice.model_validate({**document, "id": document["id"].removeprefix("notice:")})
