"""The library: documents of the collections, cut into chunks, with a vector for each, in an index of the customer's.

A document and its chunks are in its collection's partition. Chunks belong to one version of it, and a search finds
those of the version that the document names at that moment: so a new upload, or a deletion, takes effect with one write
to the document, and nothing is ever half in the index. What is left behind is cleared away afterwards.

::

    queued --> extracting --> embedding --> ready        (the version that came in is the one in use)
       +-----------+--------------+-------> failed       (the one in use, if any, stays)
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from governance.access import GroupId
from governance.changes import Conflict
from governance.problems import ProblemError
from governance.requests import put
from services.clock import Timestamp, uuid7
from services.documents import BatchRefused, ConditionFailed, ItemMissing, Items, Operations

type State = Literal["queued", "extracting", "embedding", "ready", "failed"]

MOST_DOCUMENTS = 2_000
"""In a collection: a search names the versions that it may find."""
BATCH = 50
"""Chunks written at once: with a vector each, well under the 2 MB of a transactional batch."""


class DocumentUnknown(ProblemError):
    """The collection has no such document."""

    type = "not-found"
    detail = "The collection has no such document."


class VersionGone(Exception):
    """Another upload has taken the place of this one, or the document is deleted: nothing is left to do for it."""


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
    """To which of the collection's groups it is narrowed; None for all of them."""
    state: State
    reason: str | None = None
    """Why it failed, in words for whoever uploaded it."""
    version: str | None = None
    """The one in use."""
    model: str | None = None
    """What made the vectors of the one in use: vectors of two models are never compared."""
    chunks: int = 0
    """Of the one in use."""
    incoming: str | None = None
    """The version that is being read, or was when it failed."""
    incoming_chunks: int = 0
    incoming_done: int = 0
    bytes: int
    uploaded_by: str
    uploaded_at: Timestamp


class Piece(BaseModel):
    """A chunk of a document, to be kept."""

    text: str
    headings: list[str] = []
    page: int | None = None
    last_page: int | None = None


class Passage(BaseModel):
    """A chunk that was found."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    collection: str
    document: str
    version: str
    text: str
    headings: list[str]
    page: int | None = None
    last_page: int | None = None
    score: float
    """Cosine similarity to what was searched for: 1 is the same."""


async def upload(
    chunks: Items, collection: str, document_id: str | None, *, version: str, **about: Any
) -> LibraryDocument:
    """A new document (``document_id`` None) or the next version of one, queued; ``about`` are its other members, of
    which a version changes those that it is given.

    Raises :class:`DocumentUnknown`, :class:`governance.changes.Conflict` if the collection is full.
    """
    given = {name: value for name, value in about.items() if value is not None}
    came = {"state": "queued", "reason": None, "incoming": version, "incoming_chunks": 0, "incoming_done": 0, **given}
    if document_id is not None:
        await find(chunks, collection, document_id)
        changes = [put(f"/{name}", value) for name, value in came.items()]
        try:
            return LibraryDocument.model_validate(await chunks.patch(document_id, collection, changes))
        except ItemMissing:
            raise DocumentUnknown from None
    ids = [each async for each in chunks.query("SELECT c.id FROM c WHERE c.type = 'document'", partition=collection)]
    if len(ids) >= MOST_DOCUMENTS:
        raise Conflict(f"The collection has {MOST_DOCUMENTS:,} documents: begin another one.")
    document = LibraryDocument.model_validate({"id": uuid7(), "collection": collection, **came})
    kept = document.model_dump(mode="json", exclude_none=True)
    await chunks.create({**kept, "type": "document", "v": 1})
    return document


async def find(chunks: Items, collection: str, document_id: str) -> LibraryDocument:
    """Raises :class:`DocumentUnknown`."""
    document = await chunks.read(document_id, collection)
    if document is None or document["type"] != "document":
        raise DocumentUnknown
    return LibraryDocument.model_validate(document)


async def list_documents(chunks: Items, collection: str) -> list[LibraryDocument]:
    """By name."""
    found = chunks.query("SELECT * FROM c WHERE c.type = 'document'", partition=collection)
    listed = [LibraryDocument.model_validate(each) async for each in found]
    return sorted(listed, key=lambda each: (each.name.casefold(), each.id))


async def advance(chunks: Items, collection: str, document_id: str, version: str, **changes: Any) -> None:
    """Notes how far a version has come. Raises :class:`VersionGone`."""
    operations = [put(f"/{name}", value) for name, value in changes.items()]
    await _patch(chunks, collection, document_id, version, operations)


async def fail(chunks: Items, collection: str, document_id: str, version: str, reason: str) -> None:
    """The version will not be used, and nothing of it stays. The one in use does. Raises :class:`VersionGone`."""
    await _patch(chunks, collection, document_id, version, [put("/state", "failed"), put("/reason", reason)])
    await clear(chunks, collection, version)


async def keep_pieces(chunks: Items, document: LibraryDocument, version: str, pieces: Sequence[Piece]) -> None:
    """The pieces of a version, without vectors: nothing finds them yet. The same the second time."""
    kept = [
        {
            "id": chunk_id(version, position),
            "collection": document.collection,
            "type": "chunk",
            "v": 1,
            "document": document.id,
            "version": version,
            "position": position,
            **piece.model_dump(exclude_none=True),
        }
        for position, piece in enumerate(pieces)
    ]
    for start in range(0, len(kept), BATCH):
        batch = kept[start : start + BATCH]
        await chunks.batch(document.collection, [("upsert", (each,)) for each in batch])


async def texts_of(chunks: Items, collection: str, version: str, start: int, end: int) -> list[str]:
    """The texts of a version's chunks, from one position to before another."""
    query = """SELECT c.position, c.text FROM c WHERE c.type = 'chunk' AND c.version = @version
        AND c.position >= @start AND c.position < @end"""
    parameters = {"@version": version, "@start": start, "@end": end}
    found = [each async for each in chunks.query(query, parameters, partition=collection)]
    return [str(each["text"]) for each in sorted(found, key=lambda each: int(each["position"]))]


async def set_vectors(
    chunks: Items, collection: str, version: str, start: int, vectors: Sequence[Sequence[float]]
) -> None:
    """The vectors of the chunks from a position on. Raises :class:`VersionGone` if there are no such chunks."""
    writes = [
        ("patch", (chunk_id(version, start + index), [put("/vector", list(vector))]))
        for index, vector in enumerate(vectors)
    ]
    try:
        for begin in range(0, len(writes), BATCH):
            await chunks.batch(collection, writes[begin : begin + BATCH])
    except BatchRefused as refused:
        if refused.status != 404:
            raise
        raise VersionGone(version) from None


async def swap_in(chunks: Items, document: LibraryDocument, version: str, *, model: str, count: int) -> None:
    """From now on a search finds this version and no other; then the former one's chunks go.

    Does nothing more the second time. Raises :class:`VersionGone`.
    """
    changes = {"version": version, "model": model, "chunks": count, "state": "ready", "incoming_done": count}
    operations = [put(f"/{name}", value) for name, value in changes.items()]
    await _patch(chunks, document.collection, document.id, version, operations)
    if document.version not in (None, version):
        await clear(chunks, document.collection, document.version)


async def delete(chunks: Items, document: LibraryDocument) -> None:
    """The document is found no more; then its chunks go, of whatever version. Does nothing the second time."""
    with suppress(BatchRefused):
        await chunks.batch(document.collection, [("delete", (document.id,))])
    query = "SELECT DISTINCT VALUE c.version FROM c WHERE c.type = 'chunk' AND c.document = @document"
    parameters = {"@document": document.id}
    versions = [str(each) async for each in chunks.query(query, parameters, partition=document.collection)]
    for version in versions:
        await clear(chunks, document.collection, version)


async def clear(chunks: Items, collection: str, version: str | None) -> None:
    """The chunks of a version that no document names go. Does nothing the second time."""
    query = f"SELECT TOP {BATCH} VALUE c.id FROM c WHERE c.type = 'chunk' AND c.version = @version"  # noqa: S608 - a number
    while ids := [str(each) async for each in chunks.query(query, {"@version": version}, partition=collection)]:
        with suppress(BatchRefused):  # another one clears them, too
            await chunks.batch(collection, [("delete", (each,)) for each in ids])


_VISIBLE = """SELECT VALUE c.version FROM c WHERE c.type = 'document' AND IS_DEFINED(c.version) AND c.model = @model
    AND (NOT IS_DEFINED(c.audience)
         OR EXISTS(SELECT VALUE g FROM g IN c.audience WHERE ARRAY_CONTAINS(@groups, g)))"""
_NEAREST = """SELECT TOP @most c.id, c.collection, c.document, c.version, c.text, c.headings, c.page, c.last_page,
    VectorDistance(c.vector, @vector) AS score FROM c
    WHERE c.type = 'chunk' AND ARRAY_CONTAINS(@versions, c.version)
    ORDER BY VectorDistance(c.vector, @vector)"""


async def search(
    chunks: Items, collection: str, *, groups: Collection[str], model: str, vector: Sequence[float], most: int
) -> list[Passage]:
    """The nearest chunks of a collection for somebody of these groups, the nearest first.

    Only of versions in use, of documents that the groups may read, whose vectors that model made. Whether the groups
    may read the collection is decided before (:func:`routing.collections.readable_collections`).
    """
    visible = chunks.query(_VISIBLE, {"@model": model, "@groups": sorted(groups)}, partition=collection)
    versions = sorted([str(each) async for each in visible])
    if not versions:
        return []
    parameters: Mapping[str, Any] = {"@most": most, "@vector": list(vector), "@versions": versions}
    found = chunks.query(_NEAREST, parameters, partition=collection)
    return [Passage.model_validate(each) async for each in found]


def chunk_id(version: str, position: int) -> str:
    return f"{version}:{position}"


async def _patch(chunks: Items, collection: str, document_id: str, version: str, operations: Operations) -> None:
    condition = f"from c where c.incoming = '{version}'"
    try:
        await chunks.patch(document_id, collection, operations, where=condition)
    except (ConditionFailed, ItemMissing):
        raise VersionGone(version) from None
