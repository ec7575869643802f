"""Support grants, which platform admins open and close, and what their holders (and IT Operations) may read."""

import importlib.metadata
import platform as python
from datetime import timedelta
from typing import Self

import azure.durable_functions as df
from pydantic import AwareDatetime, BaseModel, model_validator

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance import support
from governance.access import Grant, GroupId, Role
from routing.overview import Configuration, overview
from services.version import VERSION

bp = df.Blueprint()

ADMINS = (Role.PLATFORM_ADMIN,)
READERS = (Role.PLATFORM_ADMIN, Role.AUDITOR)
OBSERVERS = (Role.PLATFORM_ADMIN, Role.IT_OPS)
"""Who may read what support may read, without a grant."""

PACKAGES = (
    "anthropic", "azure-cosmos", "azure-functions", "azure-functions-durable", "azure-identity",
    "azure-monitor-ingestion", "azure-monitor-query", "azure-servicebus", "numpy", "openai", "phonenumbers", "pydantic",
)  # fmt: skip
ERRORS_OVER = timedelta(days=1)


class NewGrant(Reason):
    group: GroupId | None = None
    person: GroupId | None = None
    """Object id of one person; exactly one of the two is given."""
    until: AwareDatetime

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if (self.group is None) == (self.person is None):
            raise ValueError("name either a group or a person")
        return self


class Grants(BaseModel):
    grants: list[Grant]


class Installed(BaseModel):
    product: str
    python: str
    packages: dict[str, str]


class Outcomes(BaseModel):
    """How many requests ended so."""

    outcome: str
    problem: str
    """Its type; empty for an answer."""
    requests: int


class Errors(BaseModel):
    hours: int
    outcomes: list[Outcomes]


@operation(bp, "GET", "support-grants", answers={200: Grants}, roles=READERS)
async def list_grants(call: Call[None]) -> Reply:
    """Every support grant there ever was, the latest first."""
    call.access.require(*READERS, team=None)
    return Reply(Grants(grants=await support.list_grants(call.services.store.config)))


@operation(bp, "POST", "support-grants", body=NewGrant, answers={201: Grant}, roles=ADMINS)
async def open_grant(call: Call[NewGrant]) -> Reply:
    """Open support for a group or a person, for at most 72 hours."""
    asked = await call.body()
    grant = await support.open_grant(
        call.journal,
        group=asked.group,
        person=asked.person,
        until=asked.until,
        by=call.caller,
        reason=asked.reason,
        first_admins=call.services.settings.platform_admin_group,
    )
    return Reply(grant, 201)


@operation(bp, "POST", "support-grants/{grant_id}/close", body=Reason, answers={200: Grant}, roles=ADMINS)
async def close_grant(call: Call[Reason]) -> Reply:
    """Close support at once."""
    reason = (await call.body()).reason
    grant = await support.close_grant(call.journal, call.path("grant_id"), actor=call.caller.oid, reason=reason)
    return Reply(grant)


@operation(bp, "GET", "support/versions", answers={200: Installed}, roles=OBSERVERS, support=True)
async def get_versions(call: Call[None]) -> Reply:
    """What is installed."""
    require_observer(call)
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return Reply(Installed(product=VERSION, python=python.python_version(), packages=packages))


@operation(bp, "GET", "support/configuration", answers={200: Configuration}, roles=OBSERVERS, support=True)
async def get_configuration(call: Call[None]) -> Reply:
    """What is configured, without prompts, patterns, addresses and secrets."""
    require_observer(call)
    return Reply(await overview(call.services.store.config, call.services.settings.platform_admin_group))


@operation(bp, "GET", "support/errors", answers={200: Errors}, roles=OBSERVERS, support=True)
async def get_errors(call: Call[None]) -> Reply:
    """How the requests of the last day ended, counted; nothing of what they said."""
    require_observer(call)
    kql = (
        "AuditEvents_CL | where EventType == 'request'"
        " | summarize arg_max(Revision, Outcome, Reason) by EventId"
        " | summarize Requests = count() by Outcome, Reason"
    )
    rows = await call.services.audit_log.query(kql, ERRORS_OVER)
    outcomes = [Outcomes(outcome=row["Outcome"], problem=row["Reason"], requests=row["Requests"]) for row in rows]
    return Reply(
        Errors(
            hours=round(ERRORS_OVER.total_seconds() / 3600),
            outcomes=sorted(outcomes, key=lambda each: (each.outcome, each.problem)),
        )
    )


def require_observer(call: Call[None]) -> None:
    """Raises :class:`governance.access.RoleMissing`; the holder of a grant has passed the gate."""
    if call.access.grant is None:
        call.access.require(*OBSERVERS, team=None)
