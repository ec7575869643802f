"""Support grants: the vendor has no access but one that a platform admin opens, for a reason, until a time (claim T2).

While a grant is open its holder may read what support may read. That it ends needs nobody: it is compared with the
clock at every call. Everything that its holder calls is in the customer's trail with the grant's id.
"""

from datetime import timedelta

from governance.access import ACCESS, Access, Grant, grant_document, grant_in, own_groups
from governance.changes import Conflict, Journal, Outdated, change_event
from governance.identity import Caller
from governance.problems import ProblemError
from services.clock import Timestamp, utc_now, uuid7
from services.documents import Items

LONGEST = timedelta(hours=72)


class SupportOnly(ProblemError):
    """The caller holds an open support grant, which opens nothing but what support may read."""

    type = "support-only"
    detail = "Your support grant lets you read health, versions, configuration, queues and errors, and nothing else."


class GrantUnknown(ProblemError):
    """There is no such support grant."""

    type = "not-found"
    detail = "There is no such support grant."


async def list_grants(config: Items) -> list[Grant]:
    """All there ever were, the latest first."""
    query = "SELECT * FROM c WHERE c.type = 'grant'"
    grants = [grant_in(document) async for document in config.query(query, partition=ACCESS)]
    return sorted(grants, key=lambda grant: grant.opened_at, reverse=True)


async def open_grant(
    journal: Journal,
    *,
    group: str | None,
    person: str | None,
    until: Timestamp,
    by: Caller,
    reason: str,
    first_admins: str,
) -> Grant:
    """For a group or for a person, for at most 72 hours.

    Raises :class:`governance.changes.Conflict` if the time is over or too long, if the group is a team's, an audience
    or holds a role, or if whoever opens it would hold it: holding a grant, one can do nothing else, not even close it,
    and the customer's own people must not be shut out by mistake.
    """
    now = utc_now()
    if not now < until <= now + LONGEST:
        raise Conflict("A support grant ends in the future, and within 72 hours.")
    if group in await own_groups(journal.store.config, first_admins):
        raise Conflict("The group is a team's, an audience or holds a role; support needs a group of its own.")
    grant = Grant(id=uuid7(), group=group, person=person, reason=reason, opened_by=by.oid, opened_at=now, until=until)
    if grant.is_for(by):
        raise Conflict("You would hold this grant yourself: you could do nothing but read then, and not close it.")
    event = change_event(
        "support.open",
        actor=by.oid,
        target=f"grant:{grant.id}",
        reason=reason,
        After=grant.model_dump(mode="json", exclude_none=True),
        Grant=grant.id,
    )
    await journal.create("config", grant_document(grant), event)
    return grant


async def close_grant(journal: Journal, grant_id: str, *, actor: str, reason: str) -> Grant:
    """At once. A grant that is closed already is returned as it is. Raises :class:`GrantUnknown`."""
    while True:
        document = await journal.store.config.read(f"grant:{grant_id}", ACCESS)
        if document is None:
            raise GrantUnknown
        grant = grant_in(document)
        if grant.closed_at is not None:
            return grant
        closed = grant.model_copy(update={"closed_at": utc_now(), "closed_by": actor})
        event = change_event(
            "support.close",
            actor=actor,
            target=document["id"],
            reason=reason,
            Before=grant.model_dump(mode="json", exclude_none=True),
            After=closed.model_dump(mode="json", exclude_none=True),
            Grant=grant.id,
        )
        try:
            await journal.replace("config", document, grant_document(closed), event)
        except Outdated:
            continue  # closed by somebody else meanwhile
        return closed


async def note_support(journal: Journal, access: Access, what: str, *, allowed: bool) -> None:
    """Record what the holder of a grant calls, before anything is answered. ``what`` names the function."""
    assert access.grant is not None
    event = change_event(
        "support.read" if allowed else "support.refuse",
        actor=access.caller.oid,
        target=what,
        reason=access.grant.reason,
        Outcome="done" if allowed else "refused",
        Grant=access.grant.id,
    )
    await journal.note("config", ACCESS, event)
