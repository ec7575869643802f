"""The documents of a collection, for the publishers of the team that owns it (claims R1, R2).

Somebody who is no publisher of that team is told that there is no such collection.
"""

from contextlib import suppress
from typing import Annotated, Literal, NamedTuple

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from api.body import Malformed
from api.collections import PUBLISHERS, managed
from api.form import Form, read_form
from api.operation import Call, Reply, operation
from api.problems import NotAvailable
from governance.access import GroupId
from governance.changes import Conflict
from governance.problems import ProblemError
from grounding.blocks import Limits
from routing import library
from routing.chunk_index import VersionGone
from routing.collections import Collection, CollectionUnknown
from routing.endpoints import find_endpoint
from routing.library import DocumentState, LibraryDocument, told
from routing.routes import RouteUnknown, find_route
from services.blobs import BlobMissing, Blobs, BlobsUnavailable, BlobTooLarge
from services.bus import BusUnavailable
from services.clock import Timestamp
from services.documents import Items

bp = df.Blueprint()

MOST_BYTES = Limits().bytes
FILE_GONE = "The file of the document is not there: upload it."
SUPERSEDED = "Another version of the document came meanwhile, or it was deleted."


class FileTooLarge(ProblemError):
    """The file is larger than documents may be."""

    type = "too-large"
    detail = f"A document may have at most {MOST_BYTES // 1024**2} MB."


class NoBlobs(ProblemError):
    """The deployment names no storage for documents."""

    type = "not-available"
    detail = "No storage for documents is configured."


class About(BaseModel):
    """What is said of a document beside its file. What a new version leaves out stays as it was."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=200)
    """Its title, as it is cited; the file's name, if a new document has none."""
    link: Annotated[str, StringConstraints(max_length=2_000, pattern="^https?://[^\\s]+$")] | None = None
    """Where a reader finds it."""
    audience: Literal["all"] | list[GroupId] | None = None
    """To which groups it is narrowed, of those that may read the collection: their ids, separated by commas, or `all`
    of them."""

    reason: str = Field(default="", max_length=1000)
    """Why, for the trail."""

    @field_validator("audience", mode="before")
    @classmethod
    def _separated(cls, audience: object) -> object:
        if isinstance(audience, str) and audience != "all":
            return [each.strip() for each in audience.split(",") if each.strip()]
        return audience


class DocumentForm(About):
    """The fields of the form, which stand before the file."""

    file: Annotated[bytes, Field(json_schema_extra={"format": "binary"})] | None = None
    """PDF, Word, HTML, Markdown or text; left out for a new version of the file that is there."""


class Progress(BaseModel):
    done: int
    of: int


class DocumentShown(BaseModel):
    """A document as its publishers see it."""

    id: str
    name: str
    link: str | None
    audience: list[GroupId] | None
    """The groups that it is narrowed to; none if all of the collection's may read it."""
    state: DocumentState
    """Of the version that came last."""
    reason: str | None
    """Why it failed."""
    chunks: Progress
    """How many chunks of the version that came last are indexed."""
    in_use: bool
    """Whether answers are grounded in it: in the version before, while one is on its way or if it failed."""
    outdated: bool
    """Whether another model makes the vectors now, so that nothing finds it until it is indexed again."""
    giving_orders: int
    """Chunks of the version in use that give orders to the model: what becomes of them is the assistants' policy."""
    bytes: int
    uploaded_by: str
    uploaded_at: Timestamp


class Documents(BaseModel):
    documents: list[DocumentShown]


class DocumentDeleted(BaseModel):
    id: str


class _Place(NamedTuple):
    """The collection of the path, and where its documents are."""

    collection: Collection
    chunks: Items
    blobs: Blobs


async def _place(call: Call[None]) -> _Place:
    collection = Collection.model_validate(await managed(call))
    if call.services.blobs is None:
        raise NoBlobs
    return _Place(collection, call.services.store.chunks, call.services.blobs)


@operation(
    bp,
    "GET",
    "collections/{collection_id}/documents",
    answers={200: Documents},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def list_documents(call: Call[None]) -> Reply:
    """The documents of a collection, with how far each is indexed."""
    collection, chunks, _ = await _place(call)
    models = await _models(call.services.store.config, collection)
    listed = await library.list_documents(chunks, collection.id)
    return Reply(Documents(documents=[_shown(each, models) for each in listed]))


@operation(
    bp,
    "GET",
    "collections/{collection_id}/documents/{document_id}",
    answers={200: DocumentShown},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def get_document(call: Call[None]) -> Reply:
    """A document, with how far it is indexed."""
    collection, chunks, _ = await _place(call)
    document = await library.find(chunks, collection.id, call.path("document_id"))
    return Reply(_shown(document, await _models(call.services.store.config, collection)))


@operation(
    bp,
    "POST",
    "collections/{collection_id}/documents",
    form=DocumentForm,
    answers={202: DocumentShown},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def add_document(call: Call[None]) -> Reply:
    """Upload a document. It is indexed when this has answered: see its state."""
    place = await _place(call)
    form, about = await _form(call, place.collection)
    if form.file is None:
        raise Malformed("file: missing")
    name = about.name or form.filename[:200] or "Document"
    coming = await library.expect(place.chunks, place.collection.id, None, name, call.caller.oid)
    return await _received(call, place, coming, form, about.model_copy(update={"name": name}))


@operation(
    bp,
    "POST",
    "collections/{collection_id}/documents/{document_id}/versions",
    form=DocumentForm,
    answers={202: DocumentShown},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def add_version(call: Call[None]) -> Reply:
    """Another version of a document: another file, or the one that is there, indexed again.

    The one in use stays in use until the new one is indexed; the name, the link and the audience hold at once.
    """
    place = await _place(call)
    before = await library.find(place.chunks, place.collection.id, call.path("document_id"))
    form, about = await _form(call, place.collection)
    coming = await library.expect(place.chunks, place.collection.id, before.id, before.name, call.caller.oid)
    return await _received(call, place, coming, form, about)


@operation(
    bp,
    "DELETE",
    "collections/{collection_id}/documents/{document_id}",
    answers={200: DocumentDeleted},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def delete_document(call: Call[None]) -> Reply:
    """Delete a document with its file and all that was made of it. Answers cite it no more, from now on."""
    collection, chunks, blobs = await _place(call)
    document = await library.find(chunks, collection.id, call.path("document_id"))
    event = told("document.delete", actor=call.caller.oid, team=collection.owner_team)
    await library.delete(call.journal, document, event)
    with suppress(BlobsUnavailable):  # the sweep clears away what is left
        await library.clear_away(chunks, blobs, collection.id, document.id)
    return Reply(DocumentDeleted(id=document.id))


async def _form(call: Call[None], collection: Collection) -> tuple[Form, About]:
    """Raises what :func:`api.form.read_form` raises, and :class:`governance.changes.Conflict` for groups that can't
    read the collection."""
    form = await read_form(call.req)
    try:
        about = About.model_validate(form.fields)
    except ValidationError as error:
        names = sorted({str(each["loc"][0]) if each["loc"] else "form" for each in error.errors(include_input=False)})
        raise Malformed(f"{', '.join(names)}: not as they should be") from None
    if collection.audience != "everyone" and not set(_groups(about) or ()) <= set(collection.audience):
        raise Conflict("A document can be narrowed to groups of its collection's audience, and to no others.")
    return form, about


def _groups(about: About) -> list[GroupId] | None:
    return None if about.audience == "all" else about.audience


async def _received(call: Call[None], place: _Place, coming: LibraryDocument, form: Form, about: About) -> Reply:
    """The file into the blob of the version, then the version into the queue."""
    assert coming.incoming is not None
    try:
        size = await _stored(place, coming, form)
        event = told("document.upload", actor=call.caller.oid, team=place.collection.owner_team, reason=about.reason)
        changes = about.model_dump(include={"name", "link"}, exclude_none=True) | {"bytes": size}
        if about.audience is not None:
            changes["audience"] = _groups(about)
        queued = await library.queue(call.journal, coming, call.caller.oid, event, **changes)
    except VersionGone:
        raise Conflict(SUPERSEDED) from None
    except BlobsUnavailable:
        await library.drop_upload(place.chunks, place.blobs, coming)
        raise NotAvailable from None
    except BlobTooLarge:
        await library.drop_upload(place.chunks, place.blobs, coming)
        raise FileTooLarge from None
    except BlobMissing:
        await library.drop_upload(place.chunks, place.blobs, coming)
        raise Conflict(FILE_GONE) from None
    except BaseException:
        await library.drop_upload(place.chunks, place.blobs, coming)
        raise
    with suppress(BusUnavailable):  # it is queued: the sweep announces it
        await library.announce_version(call.services.bus, queued)
    models = await _models(call.services.store.config, place.collection)
    url = f"/api/collections/{place.collection.id}/documents/{queued.id}"
    return Reply(_shown(queued, models), 202, {"Location": url})


async def _stored(place: _Place, coming: LibraryDocument, form: Form) -> int:
    """The file of the version, in bytes: the one that came, or the one that is there."""
    assert coming.incoming is not None
    name = library.file_of(coming, coming.incoming)
    if form.file is not None:
        stored = await place.blobs.keep_file(name, form.file, most_bytes=MOST_BYTES)
        if stored.size == 0:
            raise Malformed("file: empty")
        return stored.size
    return await place.blobs.copy(library.file_of(coming, coming.stored[-2]), name, most_bytes=MOST_BYTES)


async def _models(config: Items, collection: Collection) -> set[str]:
    """That make the collection's vectors now."""
    try:
        route = await find_route(config, collection.embeddings)
    except RouteUnknown:
        return set()
    return {(await find_endpoint(config, each)).model for each in route.endpoints}


def _shown(document: LibraryDocument, models: set[str]) -> DocumentShown:
    ready = document.state == "ready"
    progress = Progress(
        done=document.chunks if ready else document.incoming_done,
        of=document.chunks if ready else document.incoming_chunks,
    )
    return DocumentShown(
        id=document.id,
        name=document.name,
        link=document.link,
        audience=document.audience,
        state=document.state,
        reason=document.reason,
        chunks=progress,
        in_use=document.version is not None,
        outdated=document.model is not None and document.model not in models,
        giving_orders=document.orders,
        bytes=document.bytes,
        uploaded_by=document.uploaded_by,
        uploaded_at=document.uploaded_at,
    )
