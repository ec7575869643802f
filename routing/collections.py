"""Collections of the customer's documents: whose they are, who may be answered from them, how they are indexed.

Publishers of the owner team manage a collection; for anybody else there is none. Whoever asks an assistant is answered
from a collection of its only if their groups are in the collection's audience, too (claim R2).
"""

from collections.abc import Collection as Ids
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from governance.access import Access, Role, Scope, TeamId
from governance.audit import AuditEvent
from governance.changes import Conflict, Journal, change_event
from governance.problems import ProblemError
from governance.teams import require_teams
from routing.assistants import Audience, ConfigId
from services.clock import uuid7
from services.documents import Document, Items

COLLECTION = "collection"
"""The partition of ``config``."""


class CollectionUnknown(ProblemError):
    """There is no such collection, or another team's publishers manage it."""

    type = "not-found"
    detail = "There is no such collection."


class Chunking(BaseModel):
    """Into what pieces documents are cut, in characters."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(default=1_600, ge=200, le=8_000)
    overlap: int = Field(default=200, ge=0)
    """Of a piece, so much is the end of the one before."""

    @model_validator(mode="after")
    def _goes_on(self) -> "Chunking":
        if self.overlap > self.size // 2:
            raise PydanticCustomError("overlap_too_long", "the overlap is at most half of the size")
        return self


class CollectionSettings(BaseModel):
    """What a publisher decides about a collection."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    description: str = Field(default="", max_length=1000)
    owner_team: TeamId
    audience: Audience
    """Who may be answered from it; documents may narrow it to some of these groups."""
    embeddings: ConfigId
    """The model workload that makes the vectors, such as ``embeddings``. Vectors of two models are never mixed: another
    workload, or another model behind it, asks for the documents to be indexed again."""
    chunking: Chunking = Chunking()
    residency: Literal["any", "azure"] = "any"
    """``azure``: its texts are never sent to an endpoint outside Azure to be embedded."""
    least_similarity: float = Field(default=0.2, ge=0, le=1)
    """What is less like the question than this (cosine similarity) is no source of an answer."""


class Collection(CollectionSettings):
    model_config = ConfigDict(extra="ignore")

    id: str


_LIST = """SELECT * FROM c WHERE NOT IS_DEFINED(c.audit)
    AND (@everywhere OR ARRAY_CONTAINS(@teams, c.owner_team))"""
_FIND = f"{_LIST} AND c.id = @id"
_READABLE = """SELECT * FROM c WHERE NOT IS_DEFINED(c.audit) AND ARRAY_CONTAINS(@ids, c.id)
    AND (c.audience = 'everyone' OR EXISTS(SELECT VALUE g FROM g IN c.audience WHERE ARRAY_CONTAINS(@groups, g)))"""


async def list_collections(config: Items, scope: Scope) -> list[Collection]:
    """Those whose owner team a publisher is in, by name."""
    found = config.query(_LIST, _within(scope), partition=COLLECTION)
    listed = [Collection.model_validate(document) async for document in found]
    return sorted(listed, key=lambda each: (each.name, each.id))


async def find_collection(config: Items, collection_id: str, scope: Scope) -> Document:
    """The document of a collection that a role reaches. Raises :class:`CollectionUnknown`."""
    parameters = {"@id": collection_id, **_within(scope)}
    found = [document async for document in config.query(_FIND, parameters, partition=COLLECTION)]
    if not found:
        raise CollectionUnknown
    return found[0]


async def find_configured(config: Items, collection_id: str) -> Collection:
    """For what is done on nobody's behalf. Raises :class:`CollectionUnknown`."""
    document = await config.read(collection_id, COLLECTION)
    if document is None:
        raise CollectionUnknown
    return Collection.model_validate(document)


async def readable_collections(config: Items, ids: Ids[str], groups: Ids[str]) -> list[Collection]:
    """Of these, the ones that somebody of these groups may be answered from; the filter is in the query."""
    parameters = {"@ids": sorted(ids), "@groups": sorted(groups)}
    found = config.query(_READABLE, parameters, partition=COLLECTION)
    return sorted([Collection.model_validate(document) async for document in found], key=lambda each: each.id)


async def create_collection(
    journal: Journal, access: Access, settings: CollectionSettings, reason: str
) -> tuple[Collection, str]:
    """A new one, empty, and its ETag.

    Raises :class:`governance.access.RoleMissing`, :class:`governance.changes.Conflict`.
    """
    await _require_configured(journal, access, settings)
    collection = Collection(id=uuid7(), **settings.model_dump())
    event = _event("collection.create", access, collection, reason, before={})
    return collection, await journal.create("config", _document(collection), event)


async def save_collection(
    journal: Journal, access: Access, before: Document, settings: CollectionSettings, reason: str
) -> tuple[Collection, str]:
    """The collection as it is from now on, and its ETag. Raises what :func:`create_collection` raises."""
    await _require_configured(journal, access, settings)
    was = Collection.model_validate(before)
    collection = Collection(id=was.id, **settings.model_dump())
    event = _event("collection.set", access, collection, reason, before=was.model_dump(exclude={"id"}))
    return collection, await journal.replace("config", before, _document(collection), event)


async def _require_configured(journal: Journal, access: Access, settings: CollectionSettings) -> None:
    access.require(Role.PUBLISHER, team=settings.owner_team)
    await require_teams(journal.store.config, {settings.owner_team})
    if await journal.store.config.read(settings.embeddings, "route") is None:
        raise Conflict(f"Not configured: route {settings.embeddings}.")


def _event(kind: str, access: Access, collection: Collection, reason: str, before: dict[str, Any]) -> AuditEvent:
    return change_event(
        kind,
        actor=access.caller.oid,
        target=f"collection:{collection.id}",
        reason=reason,
        Team=collection.owner_team,
        Before=before,
        After=collection.model_dump(exclude={"id"}),
    )


def _document(collection: Collection) -> Document:
    return {"kind": COLLECTION, "v": 1, **collection.model_dump(mode="json")}


def _within(scope: Scope) -> dict[str, object]:
    return {"@everywhere": scope.teams is None, "@teams": sorted(scope.teams or ())}
