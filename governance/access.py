"""What a caller may use: teams and roles, both bound to directory groups (claims I3, I5).

Both live in ``config`` and are read at every request.
"""

from enum import StrEnum

from pydantic import BaseModel

from governance.identity import Caller
from governance.problems import Problem, ProblemError
from services.documents import Items


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
    """The caller's groups do not carry the role."""

    type = "role-missing"
    detail = "None of your groups is bound to the role that this needs."


class Team(BaseModel):
    id: str
    name: str
    group: str
    """Object id of the directory group whose members are the team."""


class Role(StrEnum):
    IT_OPERATIONS = "it-operations"
    """Pulls and releases the kill switches."""


async def team_of(config: Items, caller: Caller, named: str | None) -> Team:
    """The team that a request of this caller is on account of. Raises :class:`NoTeam`, :class:`TeamAmbiguous`."""
    query = "SELECT * FROM c WHERE c.kind = 'team'"
    teams = [Team.model_validate(document) async for document in config.query(query, partition="team")]
    mine = [team for team in teams if team.group in caller.groups and named in (None, team.id)]
    if not mine:
        raise NoTeam
    if len(mine) > 1:
        raise TeamAmbiguous(sorted(team.id for team in mine))
    return mine[0]


async def require(config: Items, caller: Caller, role: Role) -> None:
    """Raises :class:`RoleMissing` unless one of the caller's groups is bound to the role."""
    binding = await config.read(role, "role")
    if binding is None or caller.groups.isdisjoint(binding["groups"]):
        raise RoleMissing(role)
