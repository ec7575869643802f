"""The library: the documents of the collections, and which version of each is in use.

A document and its chunks are in its collection's partition. A search finds the chunks of the version that the document
names at that moment: so a new version, or a deletion, takes effect with one write to the document, and nothing is ever
half in the index. What is left behind is cleared away afterwards.

::

    uploading --> queued --> extracting --> embedding --> ready     (the version that came in is the one in use)
        |            +------------+-------------+-------> failed    (the one in use, if any, stays)
        +--> gone, or as it was before                    removed   (found no more, until all of it is cleared away)
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from governance.access import GroupId
from governance.audit import AuditEvent
from governance.changes import Conflict, Journal, Outdated, change_event
from governance.problems import ProblemError
from routing import chunk_index
from routing.chunk_index import VersionGone
from services.blobs import Blobs
from services.bus import DOCUMENTS, Bus
from services.clock import Timestamp, utc_now, utc_text, uuid7
from services.documents import BatchRefused, ConditionFailed, Document, ItemMissing, Items, put

type DocumentState = Literal["uploading", "queued", "extracting", "embedding", "ready", "failed", "removed"]

UNDER_WAY: tuple[DocumentState, ...] = ("queued", "extracting", "embedding")

MOST_DOCUMENTS = 2_000
"""In a collection: a search names the versions that it may find."""
TRIES = 5
"""Of a change, when somebody else changes the document at the same moment."""


class DocumentUnknown(ProblemError):
    """The collection has no such document."""

    type = "not-found"
    detail = "The collection has no such document."


class LibraryDocument(BaseModel):
    """A document of a collection."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    collection: str
    name: str
    """Its title, as it is cited."""
    link: str | None = None
    """Where a reader finds it."""
    audience: list[GroupId] | None = None
    """To which groups it is narrowed, of those that may read the collection; None for all of them."""
    state: DocumentState
    reason: str | None = None
    """Why it failed, in words for whoever uploaded it."""
    version: str | None = None
    """The one in use."""
    model: str | None = None
    """What made the vectors of the one in use: vectors of two models are never compared."""
    chunks: int = 0
    """Of the one in use."""
    orders: int = 0
    """Its chunks in which the guardrails found orders to a model."""
    incoming: str | None = None
    """The version that came last: it is on its way in, in use, or it failed."""
    incoming_chunks: int = 0
    incoming_done: int = 0
    incoming_orders: int = 0
    stored: list[str] = []
    """Every version of which there may be a file or chunks."""
    bytes: int = 0
    uploaded_by: str
    uploaded_at: Timestamp
    changed_at: Timestamp
    etag: str | None = Field(default=None, validation_alias="_etag", exclude=True)

    def changed(self, **changes: Any) -> "LibraryDocument":
        return self.model_copy(update={"changed_at": utc_now(), **changes})


type Told = Callable[[LibraryDocument, LibraryDocument], AuditEvent]
"""The event of a change: of the document as it was and as it will be."""
type Change = Callable[[LibraryDocument], LibraryDocument]


def as_item(document: LibraryDocument) -> Document:
    return {"type": "document", "v": 1, **document.model_dump(mode="json", exclude_none=True)}


async def find(chunks: Items, collection: str, document_id: str) -> LibraryDocument:
    """Raises :class:`DocumentUnknown`, also of one that is deleted."""
    document = await _read(chunks, collection, document_id)
    if document is None or document.state == "removed":
        raise DocumentUnknown
    return document


async def list_documents(chunks: Items, collection: str) -> list[LibraryDocument]:
    """By name."""
    query = "SELECT * FROM c WHERE c.type = 'document' AND c.state != 'removed'"
    listed = [LibraryDocument.model_validate(each) async for each in chunks.query(query, partition=collection)]
    return sorted(listed, key=lambda each: (each.name.casefold(), each.id))


async def expect(chunks: Items, collection: str, document_id: str | None, name: str, by: str) -> LibraryDocument:
    """A file is about to come: of a new document (``document_id`` None), or the next version of one.

    Raises :class:`DocumentUnknown`, and :class:`governance.changes.Conflict` if the collection is full.
    """
    now, version = utc_now(), uuid7()
    if document_id is not None:
        before = await find(chunks, collection, document_id)
        return await _write(chunks, before, lambda each: each.changed(**_coming(each, version)))
    query = "SELECT VALUE c.id FROM c WHERE c.type = 'document'"
    if len([each async for each in chunks.query(query, partition=collection)]) >= MOST_DOCUMENTS:
        raise Conflict(f"The collection has {MOST_DOCUMENTS:,} documents: begin another one.")
    document = LibraryDocument(
        id=uuid7(),
        collection=collection,
        name=name,
        state="uploading",
        incoming=version,
        stored=[version],
        uploaded_by=by,
        uploaded_at=now,
        changed_at=now,
    )
    await chunks.create(as_item(document))
    return document


def _coming(document: LibraryDocument, version: str) -> dict[str, Any]:
    if document.state == "removed":
        raise DocumentUnknown
    return {"state": "uploading", "incoming": version, "stored": [*document.stored, version]}


async def drop_upload(chunks: Items, blobs: Blobs, document: LibraryDocument) -> None:
    """The file did not come: the document is as it was before, or gone if it was new. Does nothing the second time."""

    def dropped(now: LibraryDocument) -> LibraryDocument:
        if now.state != "uploading" or now.incoming != document.incoming:
            raise VersionGone(document.incoming)
        former = [each for each in now.stored if each != now.incoming]
        if not former:
            return now.changed(state="removed", incoming=None)
        return now.changed(state="failed" if now.reason else "ready", incoming=former[-1])

    with suppress(VersionGone, DocumentUnknown):
        await _write(chunks, document, dropped)
    await clear_away(chunks, blobs, document.collection, document.id)


async def queue(journal: Journal, document: LibraryDocument, by: str, event: Told, **about: Any) -> LibraryDocument:
    """The file is there: whatever is said ``about`` the document holds from now on, and the version is to be indexed.

    Raises :class:`VersionGone` if another upload came meanwhile, or the document is deleted.
    """

    def queued(now: LibraryDocument) -> LibraryDocument:
        _require(now, document.incoming, "uploading")
        came = {"state": "queued", "reason": None, "incoming_chunks": 0, "incoming_done": 0, "incoming_orders": 0}
        return now.changed(uploaded_by=by, uploaded_at=utc_now(), **came, **about)

    return await _change(journal, document, queued, event)


async def advance(chunks: Items, collection: str, document_id: str, version: str, **changes: Any) -> None:
    """Notes how far a version has come. Raises :class:`VersionGone`."""
    noted = {**changes, "changed_at": utc_text(utc_now())}
    under_way = ", ".join(f"'{each}'" for each in UNDER_WAY)
    where = f"from c where c.incoming = '{version}' and c.state IN ({under_way})"
    try:
        await chunks.patch(
            document_id, collection, [put(f"/{name}", value) for name, value in noted.items()], where=where
        )
    except (ConditionFailed, ItemMissing):
        raise VersionGone(version) from None


async def count_done(chunks: Items, collection: str, document_id: str, version: str, done: int) -> None:
    """So many of its chunks have vectors. Batches come in any order: the number only grows."""
    where = f"from c where c.incoming = '{version}' and c.state = 'embedding' and c.incoming_done < {done}"
    changes = [put("/incoming_done", done), put("/changed_at", utc_text(utc_now()))]
    with suppress(ConditionFailed, ItemMissing):
        await chunks.patch(document_id, collection, changes, where=where)


async def fail(journal: Journal, document: LibraryDocument, version: str, reason: str, event: Told) -> None:
    """The version will not be used, for a reason that whoever uploaded it understands; the one in use stays.

    Its file stays, too, so that it can be indexed again. Does nothing more the second time. Raises
    :class:`VersionGone`.
    """

    def failed(now: LibraryDocument) -> LibraryDocument:
        _require(now, version, *UNDER_WAY)
        return now.changed(state="failed", reason=reason)

    if not (document.state == "failed" and document.incoming == version):
        await _change(journal, document, failed, event)
    await chunk_index.clear(journal.store.chunks, document.collection, version)


async def swap_in(journal: Journal, document: LibraryDocument, version: str, model: str, event: Told) -> None:
    """From now on a search finds this version and no other. Does nothing the second time. Raises
    :class:`VersionGone`."""

    def swapped(now: LibraryDocument) -> LibraryDocument:
        _require(now, version, *UNDER_WAY)
        count = now.incoming_chunks
        used = {"version": version, "model": model, "chunks": count, "orders": now.incoming_orders}
        return now.changed(state="ready", reason=None, incoming_done=count, **used)

    if document.version != version:
        await _change(journal, document, swapped, event)


async def delete(journal: Journal, document: LibraryDocument, event: Told) -> None:
    """The document is found no more. What is left of it is for :func:`clear_away`. Raises :class:`DocumentUnknown`."""

    def deleted(now: LibraryDocument) -> LibraryDocument:
        if now.state == "removed":
            raise DocumentUnknown
        return now.changed(state="removed", version=None, incoming=None)

    await _change(journal, document, deleted, event)


async def clear_away(chunks: Items, blobs: Blobs, collection: str, document_id: str) -> None:
    """The chunks and the file go of every version that is neither in use nor the last one; and then the document, if it
    is deleted. Does nothing the second time."""
    document = await _read(chunks, collection, document_id)
    if document is None:
        return
    kept = [each for each in document.stored if each in (document.version, document.incoming)]
    for version in document.stored:
        if version not in kept:
            await chunk_index.clear(chunks, collection, version)
            await blobs.delete(file_of(document, version))
    if document.state == "removed":
        with suppress(BatchRefused):
            await chunks.batch(collection, [("delete", (document_id,), {"if_match_etag": document.etag})])
    elif kept != document.stored:
        with suppress(Outdated, DocumentUnknown):
            await _write_once(chunks, document, document.model_copy(update={"stored": kept}))


async def announce_version(bus: Bus, document: LibraryDocument) -> None:
    """Tell whoever indexes that a version is queued. Raises :class:`services.bus.BusUnavailable`."""
    version = {"collection": document.collection, "document": document.id, "version": document.incoming}
    await bus.send(DOCUMENTS, {"v": 1, **version}, message_id=uuid7())


def file_of(document: LibraryDocument, version: str) -> str:
    """The name of the blob that holds a version as it was uploaded."""
    return f"{document.collection}/{document.id}/{version}"


def told(kind: str, *, actor: str, team: str, reason: str = "", outcome: str = "done", **columns: Any) -> Told:
    """The event of a change of a document; ``columns`` are further ones of :class:`governance.audit.AuditEvent`."""

    def event(before: LibraryDocument, after: LibraryDocument) -> AuditEvent:
        return change_event(
            kind,
            actor=actor,
            target=f"document:{after.collection}/{after.id}",
            reason=reason,
            Team=team,
            Outcome=outcome,
            Before=before.model_dump(mode="json", include=_TOLD, exclude_none=True),
            After=after.model_dump(mode="json", include=_TOLD, exclude_none=True),
            **columns,
        )

    return event


_TOLD = {"name", "link", "audience", "state", "version", "incoming", "model", "chunks", "bytes", "orders"}


def _require(now: LibraryDocument, version: str | None, *states: DocumentState) -> None:
    if now.incoming != version or now.state not in states:
        raise VersionGone(version)


async def _change(journal: Journal, document: LibraryDocument, change: Change, event: Told) -> LibraryDocument:
    """With its event. Raises :class:`DocumentUnknown`, :class:`governance.changes.Outdated`."""
    for _ in range(TRIES):
        before = await _there(journal.store.chunks, document)
        after = change(before)
        with suppress(Outdated):
            seen = {**as_item(before), "_etag": before.etag}
            etag = await journal.replace("chunks", seen, as_item(after), event(before, after))
            return after.model_copy(update={"etag": etag})
    raise Outdated


async def _write(chunks: Items, document: LibraryDocument, change: Change) -> LibraryDocument:
    """Without an event: nothing has changed yet for whoever asks."""
    for _ in range(TRIES):
        before = await _there(chunks, document)
        with suppress(Outdated):
            return await _write_once(chunks, before, change(before))
    raise Outdated


async def _write_once(chunks: Items, before: LibraryDocument, after: LibraryDocument) -> LibraryDocument:
    replace = ("replace", (before.id, as_item(after)), {"if_match_etag": before.etag})
    try:
        (etag,) = await chunks.batch(before.collection, [replace])
    except BatchRefused as refused:
        if refused.status not in (404, 412):
            raise
        raise Outdated from None
    return after.model_copy(update={"etag": etag})


async def _there(chunks: Items, document: LibraryDocument) -> LibraryDocument:
    found = await _read(chunks, document.collection, document.id)
    if found is None:
        raise DocumentUnknown
    return found


async def _read(chunks: Items, collection: str, document_id: str) -> LibraryDocument | None:
    document = await chunks.read(document_id, collection)
    if document is None or document["type"] != "document":
        return None
    return LibraryDocument.model_validate(document)
