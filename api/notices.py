"""Notices that platform admins publish; ``/api/me`` and the answers to questions carry those in force (claim P4)."""

import azure.durable_functions as df
from pydantic import AwareDatetime, BaseModel, Field

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance import notices
from governance.access import Notice, NoticeSeverity, Role

bp = df.Blueprint()

ADMINS = (Role.PLATFORM_ADMIN,)
READERS = (Role.PLATFORM_ADMIN, Role.AUDITOR, Role.IT_OPS)


class NewNotice(Reason):
    text: str = Field(min_length=1, max_length=1000)
    severity: NoticeSeverity
    begins_at: AwareDatetime | None = None
    """At once, if it is not said or has passed."""
    ends_at: AwareDatetime


class Notices(BaseModel):
    notices: list[Notice]


@operation(bp, "GET", "notices", answers={200: Notices}, roles=READERS)
async def list_notices(call: Call[None]) -> Reply:
    """Every notice there ever was, those that end last first."""
    call.access.require(*READERS, team=None)
    return Reply(Notices(notices=await notices.list_notices(call.services.store.config)))


@operation(bp, "POST", "notices", body=NewNotice, answers={201: Notice}, roles=ADMINS)
async def publish_notice(call: Call[NewNotice]) -> Reply:
    """Tell everybody who has a team or a role here something, until a time within 90 days."""
    asked = await call.body()
    notice = await notices.publish_notice(
        call.journal,
        text=asked.text,
        severity=asked.severity,
        begins_at=asked.begins_at,
        ends_at=asked.ends_at,
        actor=call.caller.oid,
        reason=asked.reason,
    )
    return Reply(notice, 201)


@operation(bp, "POST", "notices/{notice_id}/withdraw", body=Reason, answers={200: Notice}, roles=ADMINS)
async def withdraw_notice(call: Call[Reason]) -> Reply:
    """End a notice at once."""
    reason = (await call.body()).reason
    return Reply(
        await notices.withdraw_notice(call.journal, call.path("notice_id"), actor=call.caller.oid, reason=reason)
    )
