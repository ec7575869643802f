"""The index: chunks of documents with their vectors, found by similarity, in the partition of their collection.

Chunks belong to one version of a document. A search finds those of the versions that are in use at that moment, of the
documents that the reader's groups may read: both are conditions of the store's queries, so what is hidden is never
read, and takes no place among what is found (claim R2).
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

from pydantic import BaseModel, ConfigDict

from services.documents import BatchRefused, Items, put

BATCH = 50
"""Chunks written at once: with a vector each, well under the 2 MB of a transactional batch."""


class VersionGone(Exception):
    """Another upload has taken the place of this version, or the document is deleted: nothing is left to do for it."""


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
    title: str
    link: str | None = None
    text: str
    headings: list[str]
    page: int | None = None
    last_page: int | None = None
    score: float
    """Cosine similarity to what was searched for: 1 is the same."""


async def keep_pieces(chunks: Items, collection: str, document_id: str, version: str, pieces: Sequence[Piece]) -> None:
    """The pieces of a version, without vectors: nothing finds them yet. The same the second time."""
    kept = [
        {
            "id": chunk_id(version, position),
            "collection": collection,
            "type": "chunk",
            "v": 1,
            "document": document_id,
            "version": version,
            "position": position,
            **piece.model_dump(exclude_none=True),
        }
        for position, piece in enumerate(pieces)
    ]
    for start in range(0, len(kept), BATCH):
        await chunks.batch(collection, [("upsert", (each,)) for each in kept[start : start + BATCH]])


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


async def clear(chunks: Items, collection: str, version: str) -> None:
    """The chunks of a version that no document names go. Does nothing the second time."""
    query = f"SELECT TOP {BATCH} VALUE c.id FROM c WHERE c.type = 'chunk' AND c.version = @version"  # noqa: S608 - a number
    while ids := [str(each) async for each in chunks.query(query, {"@version": version}, partition=collection)]:
        with suppress(BatchRefused):  # another one clears them, too
            await chunks.batch(collection, [("delete", (each,)) for each in ids])


_VISIBLE = """SELECT c.version, c.name, c.link FROM c
    WHERE c.type = 'document' AND c.state != 'removed' AND IS_DEFINED(c.version) AND c.model = @model
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
    found = chunks.query(_VISIBLE, {"@model": model, "@groups": sorted(groups)}, partition=collection)
    visible = {str(each["version"]): each async for each in found}
    if not visible:
        return []
    parameters = {"@most": most, "@vector": list(vector), "@versions": sorted(visible)}
    nearest = [each async for each in chunks.query(_NEAREST, parameters, partition=collection)]
    return [
        Passage(**each, title=visible[each["version"]]["name"], link=visible[each["version"]].get("link"))
        for each in nearest
    ]


def chunk_id(version: str, position: int) -> str:
    return f"{version}:{position}"
