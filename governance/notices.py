"""Notices: what platform admins tell the people here, such as an incident upstream or a planned stop (claim P4).

A notice is information: it opens and closes nothing. It is in force from a time until another, by the clock, and is
shown with every answer meanwhile (:attr:`governance.access.Access.notices`). To change one, withdraw it and publish
another: what people were told stays in the trail as it was.
"""

from datetime import datetime, timedelta

from governance.access import ACCESS, Notice, NoticeSeverity, notice_document, notice_in
from governance.changes import Conflict, Journal, Outdated, change_event
from governance.problems import ProblemError
from services.clock import utc_now, uuid7
from services.documents import Items

LONGEST = timedelta(days=90)
"""From its publication to its end."""


class NoticeUnknown(ProblemError):
    """There is no such notice."""

    type = "not-found"
    detail = "There is no such notice."


async def list_notices(config: Items) -> list[Notice]:
    """All there ever were, those that end last first."""
    query = "SELECT * FROM c WHERE c.type = 'notice'"
    notices = [notice_in(document) async for document in config.query(query, partition=ACCESS)]
    return sorted(notices, key=lambda notice: notice.ends_at, reverse=True)


async def publish_notice(
    journal: Journal,
    *,
    text: str,
    severity: NoticeSeverity,
    begins_at: datetime | None,
    ends_at: datetime,
    actor: str,
    reason: str,
) -> Notice:
    """In force from ``begins_at``, or at once. Raises :class:`governance.changes.Conflict` for a time that can't be."""
    now = utc_now()
    begins_at = max(begins_at or now, now)
    if not begins_at < ends_at <= now + LONGEST:
        raise Conflict(f"A notice ends in the future, after its beginning, and within {LONGEST.days} days.")
    notice = Notice(id=uuid7(), text=text, severity=severity, begins_at=begins_at, ends_at=ends_at)
    event = change_event(
        "notice.publish",
        actor=actor,
        target=f"notice:{notice.id}",
        reason=reason,
        After=notice.model_dump(mode="json"),
    )
    await journal.create("config", notice_document(notice), event)
    return notice


async def withdraw_notice(journal: Journal, notice_id: str, *, actor: str, reason: str) -> Notice:
    """Ends a notice at once. One that has ended is returned as it is. Raises :class:`NoticeUnknown`."""
    while True:
        document = await journal.store.config.read(f"notice:{notice_id}", ACCESS)
        if document is None:
            raise NoticeUnknown
        notice, now = notice_in(document), utc_now()
        if notice.ends_at <= now:
            return notice
        withdrawn = notice.model_copy(update={"ends_at": now})
        event = change_event(
            "notice.withdraw",
            actor=actor,
            target=document["id"],
            reason=reason,
            Before=notice.model_dump(mode="json"),
            After=withdrawn.model_dump(mode="json"),
        )
        try:
            await journal.replace("config", document, notice_document(withdrawn), event)
        except Outdated:
            continue  # withdrawn by somebody else meanwhile
        return withdrawn
