"""Collections of documents, for the publishers of the teams that own them (claims R1, R2).

Somebody who is no publisher of the team that owns a collection is told that there is none.
"""

import azure.durable_functions as df
from pydantic import BaseModel

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance.access import Role
from routing import collections
from routing.collections import Collection, CollectionSettings, CollectionUnknown
from services.documents import Document

bp = df.Blueprint()

PUBLISHERS = (Role.PUBLISHER,)


class NewCollection(Reason):
    settings: CollectionSettings


class Collections(BaseModel):
    collections: list[Collection]


@operation(bp, "GET", "collections", answers={200: Collections}, roles=PUBLISHERS)
async def list_collections(call: Call[None]) -> Reply:
    """The collections of the caller's publisher teams."""
    scope = call.access.scope(*PUBLISHERS)
    return Reply(Collections(collections=await collections.list_collections(call.services.store.config, scope)))


@operation(bp, "POST", "collections", body=NewCollection, answers={201: Collection}, roles=PUBLISHERS)
async def create_collection(call: Call[NewCollection]) -> Reply:
    """A new collection, without documents."""
    asked = await call.body()
    collection, etag = await collections.create_collection(call.journal, call.access, asked.settings, asked.reason)
    return Reply(collection, 201, {"ETag": etag, "Location": f"/api/collections/{collection.id}"})


@operation(
    bp,
    "GET",
    "collections/{collection_id}",
    answers={200: Collection},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
)
async def get_collection(call: Call[None]) -> Reply:
    """A collection; the ETag is what a change must name."""
    document = await managed(call)
    return Reply(Collection.model_validate(document), 200, {"ETag": document["_etag"]})


@operation(
    bp,
    "PUT",
    "collections/{collection_id}",
    body=NewCollection,
    answers={200: Collection},
    roles=PUBLISHERS,
    outside=CollectionUnknown,
    tagged=True,
)
async def put_collection(call: Call[NewCollection]) -> Reply:
    """Change a collection. Whom its audience leaves out is not answered from it any more, at once."""
    document = await managed(call)
    asked = await call.body()
    call.require_etag(document)
    collection, etag = await collections.save_collection(
        call.journal, call.access, document, asked.settings, asked.reason
    )
    return Reply(collection, 200, {"ETag": etag})


async def managed[Body: BaseModel | None](call: Call[Body]) -> Document:
    """The collection of the path, if the caller manages it. Raises :class:`routing.collections.CollectionUnknown`."""
    scope = call.access.scope(*PUBLISHERS)
    return await collections.find_collection(call.services.store.config, call.path("collection_id"), scope)
