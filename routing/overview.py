"""What is configured, for people who may not see what is said: no prompt, no pattern, no address, no secret.

Each shape lists what may be seen; what it does not list is not shown, also when configuration grows.
"""

from typing import Any

from pydantic import BaseModel

from governance.access import EVERYWHERE, Binding, Role, Team
from governance.policies import list_policies
from governance.prices import Price
from governance.roles import read_role
from governance.teams import list_teams
from routing.assistants import Audience
from routing.endpoints import Terms
from services.documents import Items


class AssistantSeen(BaseModel):
    id: str
    state: str
    version: int | None
    name: str
    owner_team: str
    audience: Audience
    route: str
    residency: str
    policies: list[str]
    collections: list[str]
    temperature: float
    max_output_tokens: int


class RouteSeen(BaseModel):
    id: str
    endpoints: list[str]


class EndpointSeen(BaseModel):
    id: str
    provider: str
    model: str
    region: str
    residency: str
    contract: Terms
    prices: list[Price] = []


class PolicySeen(BaseModel):
    id: str
    version: int
    pii: dict[str, str]
    """Action by category."""
    rules: list[str]
    """Ids of the acceptable-use rules."""


class RoleSeen(BaseModel):
    role: Role
    bindings: list[Binding]


class Configuration(BaseModel):
    teams: list[Team]
    roles: list[RoleSeen]
    assistants: list[AssistantSeen]
    routes: list[RouteSeen]
    endpoints: list[EndpointSeen]
    policies: list[PolicySeen]


async def overview(config: Items, first_admins: str) -> Configuration:
    """Everything that is configured, as far as it may be seen."""
    return Configuration(
        teams=[team async for team, _ in list_teams(config, EVERYWHERE)],
        roles=[RoleSeen(role=role, bindings=(await read_role(config, role, first_admins))[0]) for role in Role],
        assistants=[
            AssistantSeen.model_validate(
                {**(each.get("published") or each["draft"]), "version": None, **_only(each, "id", "state", "version")}
            )
            async for each in config.query("SELECT * FROM c WHERE c.type = 'assistant'", partition="assistant")
        ],
        routes=[RouteSeen.model_validate(each) async for each in _all(config, "route")],
        endpoints=[EndpointSeen.model_validate(each) async for each in _all(config, "endpoint")],
        policies=[
            PolicySeen(
                id=policy.id,
                version=policy.version,
                pii=policy.rules["pii"],
                rules=[rule["id"] for rule in policy.rules["acceptable_use"]],
            )
            for policy, _ in await list_policies(config)
        ],
    )


def _all(config: Items, kind: str) -> Any:
    return config.query("SELECT * FROM c WHERE NOT IS_DEFINED(c.audit)", partition=kind)


def _only(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}
