"""Cosmos DB for NoSQL: the account, its containers, and what can go wrong with an item, by name.

::

    StoreError
     +- ItemExists         409 on a create
     +- ItemMissing        404 on a write
     +- ConditionFailed    412: the filter predicate or the ETag no longer holds
     +- StoreUnavailable   anything else: throttled beyond the SDK's retries, time-out, no connection
     +- ConsistencyTooWeak the account is weaker than Strong

The SDK repeats what was throttled, and what lost its connection, writes included: so every write is one that may be
repeated (a create under a new id, or a change whose filter predicate no longer holds once it is made). Every other
failure goes to the caller at once, whose own retries (Durable's, Service Bus's redelivery, the timer's next turn) are
the one layer that handles it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any, NamedTuple

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

type Document = dict[str, Any]
type Operations = Sequence[Mapping[str, Any]]
"""Patch operations: ``{"op": "set", "path": "/state", "value": ...}``, at most ten."""

TIMEOUT_SECONDS = 20.0
"""For one operation, the SDK's retries of a throttled call included."""

ID_BYTES = 1023
MOST_TOGETHER = 100
"""Items that one call names: https://learn.microsoft.com/azure/cosmos-db/transactional-batch#limitations"""


class StoreError(Exception):
    """An operation on an item did not happen, or not certainly."""


class ItemExists(StoreError):
    """There is already an item of this id."""


class ItemMissing(StoreError):
    """There is no item of this id."""


class ConditionFailed(StoreError):
    """The item is not (or no longer) as the operation requires."""


class StoreUnavailable(StoreError):
    """Cosmos DB did not carry the operation out, or did not say."""


class ConsistencyTooWeak(StoreError):
    """The account's default consistency is weaker than Strong: a stop or a cap could be read from the past."""


class BatchRefused(StoreError):
    """A transactional batch changed nothing: its operation ``index`` failed with ``status``."""

    def __init__(self, index: int, status: int) -> None:
        super().__init__(f"operation {index} of the batch failed with status {status}")
        self.index = index
        self.status = status


class Patch(NamedTuple):
    """A change of one item, made only if ``where`` (a filter predicate) holds."""

    id: str
    operations: Operations
    where: str


def put(path: str, value: Any) -> dict[str, Any]:
    """The patch operation that makes a property so, or sets it anew."""
    return {"op": "set", "path": path, "value": value}


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turns what the SDK raises into this module's errors. They carry a status, never an item."""
    try:
        yield
    except CosmosResourceExistsError:
        raise ItemExists from None
    except CosmosAccessConditionFailedError:
        raise ConditionFailed from None
    except CosmosResourceNotFoundError:
        raise ItemMissing from None
    except CosmosBatchOperationError as error:
        raise BatchRefused(error.error_index or 0, error.status_code or 0) from None
    except CosmosHttpResponseError as error:
        raise StoreUnavailable(f"status {error.status_code}") from None
    except (AzureError, TimeoutError, OSError) as error:
        raise StoreUnavailable(type(error).__name__) from None


async def _carried_out[T](call: Awaitable[T]) -> T:
    with _named_errors():
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await call


def _is_id(text: str) -> bool:
    """Whether an item can have this id: https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits.

    Nor is the name of a folder taken for one: in the address that the SDK calls, it would lead to something else.
    """
    return text not in ("", ".", "..") and set("/\\?#").isdisjoint(text) and len(text.encode()) <= ID_BYTES


class Items:
    """The items of one container. Every method raises :class:`StoreError`, as named in the module's tree."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def read(self, item_id: str, partition: str) -> Document | None:
        """The item as it is now, with its ``_etag``; None if there is none, as of an id that no item can have."""
        if not _is_id(item_id):
            return None
        try:
            return dict(await _carried_out(self._container.read_item(item_id, partition)))
        except ItemMissing:
            return None

    async def read_each(self, ids: Sequence[str], partition: str) -> list[Document]:
        """Those of the items that there are, in any order."""
        if len(ids) == 1:  # which costs less than half of what a query costs
            item = await self.read(ids[0], partition)
            return [] if item is None else [item]
        items: list[Document] = []
        for some in batched(ids, MOST_TOGETHER, strict=False):
            parameters = {f"@id{number}": each for number, each in enumerate(some)}
            query = f"SELECT * FROM c WHERE c.id IN ({', '.join(parameters)})"  # noqa: S608 - the names of parameters
            items += [item async for item in self.query(query, parameters, partition=partition)]
        return items

    async def read_own(self, ids: Collection[str]) -> dict[str, Document]:
        """Those of the items that there are, by id; each is the partition of its own id."""
        places = [(each, each) for each in ids if _is_id(each)]
        return {str(item["id"]): item for item in await _carried_out(self._container.read_items(places))}

    async def create(self, document: Document) -> None:
        await _carried_out(self._container.create_item(document, no_response=True))

    async def upsert(self, document: Document) -> None:
        """For what may be written again with the same effect; anything else is created or patched."""
        await _carried_out(self._container.upsert_item(document, no_response=True))

    async def patch(
        self, item_id: str, partition: str, operations: Operations, *, where: str | None = None, etag: str | None = None
    ) -> Document:
        """The item after the change, made only if ``where`` (a filter predicate) and ``etag`` hold."""
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        return dict(
            await _carried_out(
                self._container.patch_item(
                    item_id,
                    partition,
                    [dict(operation) for operation in operations],
                    filter_predicate=where,
                    **condition,
                )
            )
        )

    async def batch(self, partition: str, operations: Sequence[tuple[Any, ...]]) -> list[str]:
        """All of the operations or none. Returns the ETag of each one's item, empty where it was deleted.

        Raises :class:`BatchRefused` with the operation that failed.
        """
        results = await _carried_out(self._container.execute_item_batch(operations, partition))
        return [str(result.get("eTag") or "") for result in results]

    async def patch_each(self, partition: str, patches: Sequence[Patch]) -> list[str]:
        """Changes of several items of a partition, each for itself.

        Returns the ids of those that were not changed, since they are not there or their ``where`` does not hold.
        """
        unchanged: list[str] = []
        for some in batched(patches, MOST_TOGETHER, strict=False):
            if not await self._patch_all(partition, some):
                unchanged += [each.id for each in some if not await self._patched(partition, each)]
        return unchanged

    async def _patch_all(self, partition: str, patches: Sequence[Patch]) -> bool:
        """All of several by one call, or none: one that is not as it should be must not keep the others from it."""
        if len(patches) == 1:
            return False
        batch = [("patch", (each.id, each.operations), {"filter_predicate": each.where}) for each in patches]
        try:
            await self.batch(partition, batch)
        except BatchRefused:
            return False
        return True

    async def _patched(self, partition: str, patch: Patch) -> bool:
        try:
            await self.patch(patch.id, partition, patch.operations, where=patch.where)
        except (ConditionFailed, ItemMissing):
            return False
        return True

    async def query(
        self, query: str, parameters: Mapping[str, Any] | None = None, *, partition: str | None = None
    ) -> AsyncIterator[Document]:
        """The items (or values) selected; across partitions only ``SELECT ... WHERE`` is served."""
        scope: dict[str, Any] = {} if partition is None else {"partition_key": partition}
        values = [{"name": name, "value": value} for name, value in (parameters or {}).items()]
        with _named_errors():
            async for item in self._container.query_items(query, parameters=values, **scope):
                yield item


class Store:
    """The containers that the product uses."""

    def __init__(self, client: CosmosClient, database: str) -> None:
        containers = client.get_database_client(database)
        self.config = Items(containers.get_container_client("config"))
        self.control = Items(containers.get_container_client("control"))
        self.budgets = Items(containers.get_container_client("budgets"))
        self.requests = Items(containers.get_container_client("requests"))
        self.conversations = Items(containers.get_container_client("conversations"))
        self.chunks = Items(containers.get_container_client("chunks"))
        self.feedback = Items(containers.get_container_client("feedback"))
        self.escalations = Items(containers.get_container_client("escalations"))
        self.usage = Items(containers.get_container_client("usage"))


def cosmos_client(endpoint: str, credential: AsyncTokenCredential) -> CosmosClient:
    # By default each call would leave the event loop twice, for a thread to look for ~/.netrc and for a proxy.
    transport = AioHttpTransport(use_env_settings=False)
    return CosmosClient(endpoint, credential, connection_timeout=5, read_timeout=10, transport=transport)


async def require_strong(client: CosmosClient) -> None:
    """Raises :class:`ConsistencyTooWeak`, :class:`StoreUnavailable`."""
    # The account's properties are public on the synchronous client only.
    account = await _carried_out(client._get_database_account())
    level = (account.ConsistencyPolicy or {}).get("defaultConsistencyLevel")
    if level != "Strong":
        raise ConsistencyTooWeak(f"the account's default consistency is {level}, it must be Strong")
