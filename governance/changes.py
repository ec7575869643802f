"""Administrative changes: each is written together with its audit event, so that neither exists without the other.

The event is an outbox document in the same logical partition, in the same transactional batch. Then the audit queue is
told; should that fail, or the process die, the sweep tells it (claim A3).
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from governance.audit import (
    PARTITION_KEYS,
    AuditEvent,
    Outbox,
    Reference,
    announce,
    items_of,
    outbox_document,
    outbox_document_of,
)
from governance.problems import Problem, ProblemError
from services.bus import Bus, BusUnavailable
from services.clock import utc_now, uuid7
from services.documents import BatchRefused, Document, ItemExists, Store

log = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 3.0
"""How long an administrator waits for the audit queue to be told: the event is kept, and the sweep tells it."""


class Outdated(ProblemError):
    """What was to be changed is not any more as the client saw it (RFC 9110, section 13.1.1)."""

    type = "outdated"
    detail = "It was changed since you read it, or it is not there. Read it again, then change it."


class Conflict(ProblemError):
    """The change does not fit what there is. The message says why, in plain words."""

    type = "conflict"

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=str(self))


def as_seen(document: Document | None, etag: str | None) -> None:
    """Raises :class:`Outdated` unless the document is the one with the client's ETag; None stands for none of each."""
    if (None if document is None else document["_etag"]) != etag:
        raise Outdated


def change_event(event_type: str, *, actor: str, target: str, reason: str, **columns: Any) -> AuditEvent:
    """The event of something that was done; ``columns`` are further ones of :class:`governance.audit.AuditEvent`."""
    now = utc_now()
    return AuditEvent(
        TimeGenerated=now,
        EventTime=now,
        EventId=uuid7(),
        EventType=event_type,
        Outcome=columns.pop("Outcome", "done"),
        Reason=reason,
        Actor=actor,
        Target=target,
        **columns,
    )


@dataclass(frozen=True)
class Journal:
    """Writes changes with their events."""

    store: Store
    bus: Bus

    async def create(
        self, container: Outbox, document: Document, event: AuditEvent, also: Sequence[Document] = ()
    ) -> str:
        """A new document, and ``also`` others of its partition. Returns its ETag.

        Raises :class:`Outdated` if there is one of its id.
        """
        return await self.commit(container, document, [("create", (each,)) for each in (document, *also)], event)

    async def create_all(
        self, container: Outbox, documents: Sequence[Document], events: Sequence[AuditEvent], also: Sequence[Document]
    ) -> None:
        """New documents of one partition with their events, and ``also`` others, 99 in all: each of them or none.

        Raises :class:`Outdated` if there is one of the id of any.
        """
        writes = [("create", (document,)) for document in (*documents, *also)]
        await self.commit(container, documents[0], writes, *events)

    async def replace(
        self, container: Outbox, before: Document, document: Document, event: AuditEvent, also: Sequence[Document] = ()
    ) -> str:
        """The document in place of the one that was read, and ``also`` new ones of the same partition.

        Returns the new ETag. Raises :class:`Outdated` if ``before`` is not what there is any more.
        """
        replace = ("replace", (before["id"], document), {"if_match_etag": before["_etag"]})
        return await self.commit(container, document, [replace, *(("create", (each,)) for each in also)], event)

    async def remove(self, container: Outbox, before: Document, event: AuditEvent) -> None:
        """Raises :class:`Outdated` as :meth:`replace` does."""
        delete = ("delete", (before["id"],), {"if_match_etag": before["_etag"]})
        await self.commit(container, before, [delete], event)

    async def note(self, container: Outbox, partition: str, event: AuditEvent) -> None:
        """An event that comes without a change: something was read, or refused."""
        with suppress(ItemExists):  # its id is new: the SDK repeated a write that had been carried out
            await items_of(self.store, container).create(outbox_document(event, container, partition))
        await self._announce(container, partition, event.EventId)

    async def commit(
        self, container: Outbox, document: Document, writes: Sequence[tuple[Any, ...]], *events: AuditEvent
    ) -> str:
        """Any operations of the document's partition, the first on the document itself. Returns its ETag.

        Raises :class:`Outdated` if one of them can't be carried out.
        """
        items, partition = items_of(self.store, container), document[PARTITION_KEYS[container]]
        outbox = outbox_document_of(events, container, partition)
        try:
            etag = (await items.batch(partition, [*writes, ("create", (outbox,))]))[0]
        except BatchRefused as refused:
            if refused.status not in (404, 409, 412):
                raise
            if await items.read(outbox["id"], partition) is None:
                raise Outdated from None
            # The SDK repeated a batch that had been carried out. If somebody has changed the document since, their ETag
            # would let the caller change what they never saw: they get one that is outdated.
            now = await items.read(document["id"], partition) or {}
            etag = now["_etag"] if _content(now) == _content(document) else f'"{outbox["id"]}"'
        await self._announce(container, partition, outbox["id"])
        return etag

    async def _announce(self, container: Outbox, partition: str, outbox_id: str) -> None:
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await announce(self.bus, Reference(container=container, partition=partition, id=outbox_id))
        except (BusUnavailable, TimeoutError) as error:
            log.warning("event %s is left to the sweep: %s", outbox_id, type(error).__name__)


def _content(document: Document) -> Document:
    """What the product wrote, without the properties that Cosmos DB adds."""
    return {name: value for name, value in document.items() if not name.startswith("_")}
