"""The items of a container, and how they change: all at once or not at all.

Nothing in here awaits. On one event loop that alone makes every operation and every batch atomic.
"""

import heapq
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from local.cosmos.config import ContainerSpec
from local.cosmos.disk import Disk, StoredItem
from local.cosmos.sql import Vector, vector_of
from local.cosmos.wire import (
    MAX_ITEM_BYTES,
    CosmosError,
    bad_request,
    dumps,
    encoded_id,
    item_resource_id,
    loads,
    not_supported,
    partition_of,
    resource_id,
    too_large,
)

SYSTEM_PROPERTIES = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})
"""What the service writes into each item; what a client sends under these names is ignored."""


@dataclass(frozen=True, slots=True)
class Item:
    partition: str
    id: str
    sequence: int
    """Its place in the order in which the container's items were created."""
    lsn: int
    """The log sequence number of the commit that wrote it."""
    body: dict[str, Any]
    """Read only: it is shared."""
    raw: bytes
    """The body as JSON."""
    vectors: Mapping[str, Vector]
    """By path: those that the container has an index of."""

    @property
    def etag(self) -> str:
        return str(self.body["_etag"])


class _Change(NamedTuple):
    lsn: int
    time: float
    partition: str
    id: str
    before: Item | None


class _Expiry(NamedTuple):
    time: float
    lsn: int
    """Of the version that is to expire: a later one has its own."""
    partition: str
    id: str


class Container:
    """A container. With a ``lag`` in seconds, reads may see it as it was (see :meth:`snapshot`)."""

    def __init__(
        self,
        spec: ContainerSpec,
        database: bytes,
        *,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
        lag: float = 0.0,
    ) -> None:
        self.spec = spec
        self.clock = clock
        self.lag = lag
        self.resource = resource_id(spec.id, 4, database)
        self.link = f"dbs/{encoded_id(database)}/colls/{encoded_id(self.resource)}/"
        self._key_path = spec.partition_key.strip("/").split("/")
        self._disk = disk
        self._partitions: dict[str, dict[str, Item]] = {}
        self._expiries: list[_Expiry] = []
        self._changes: deque[_Change] = deque()
        self.sequence = 0
        # As high as any number that an earlier process gave out, so that a client's session token never lies ahead.
        self.lsn = self._settled = int(clock() * 1000)
        for stored in disk.load(spec.id) if disk else ():
            body = loads(stored.body)
            vectors = self.vectors(body)
            item = Item(stored.partition, stored.id, stored.sequence, stored.lsn, body, stored.body, vectors)
            self._link(item)
            self.sequence = max(self.sequence, item.sequence)
            self.lsn = self._settled = max(self.lsn, item.lsn)

    # reading

    def snapshot(self, session: int | None) -> int:
        """The log sequence number that a read of now is answered at: all commits that are older than the lag, and all
        that the client's session covers."""
        if session is not None and session > self.lsn:
            raise CosmosError(404, "The read session is not available for the input session token.", 1002)
        self._forget_changes()
        return max(self._settled, session or 0) if self.lag else self.lsn

    def get(self, partition: str, item_id: str, snapshot: int | None = None) -> Item | None:
        """The item, at a snapshot or now."""
        if snapshot is not None:
            hidden = self._hidden_by(snapshot)
            if (partition, item_id) in hidden:
                return hidden[partition, item_id]
        return self._partitions.get(partition, {}).get(item_id)

    def items(
        self, partition: str | None = None, snapshot: int | None = None, ids: Iterable[str] | None = None
    ) -> list[Item]:
        """The items of one partition or of all, in order of creation, at a snapshot or now.

        ``ids`` are all that is wanted: of the partition, or where each id is a partition, of all.
        """
        if ids is not None and (partition is not None or self._key_path == ["id"]):
            named = (self.get(partition or partition_of(each), each, snapshot) for each in ids)
            return sorted(filter(None, named), key=lambda item: item.sequence)
        if partition is None:
            chosen: Iterable[Item] = (item for items in self._partitions.values() for item in items.values())
        else:
            chosen = self._partitions.get(partition, {}).values()
        hidden = {} if snapshot is None else self._hidden_by(snapshot)
        if hidden:
            before = [item for key, item in hidden.items() if item and partition in (None, key[0])]
            chosen = [*(item for item in chosen if (item.partition, item.id) not in hidden), *before]
        return sorted(chosen, key=lambda item: item.sequence)

    def _hidden_by(self, snapshot: int) -> dict[tuple[str, str], Item | None]:
        """What stood, at a snapshot, where an item has changed since."""
        hidden: dict[tuple[str, str], Item | None] = {}
        for change in reversed(self._changes):
            if change.lsn <= snapshot:
                break
            hidden[change.partition, change.id] = change.before
        return hidden

    def _forget_changes(self) -> None:
        horizon = self.clock() - self.lag
        while self._changes and self._changes[0].time <= horizon:
            self._settled = self._changes.popleft().lsn

    # writing

    def partition(self, body: dict[str, Any]) -> str:
        """The logical partition that an item belongs to."""
        return partition_of(_at(body, self._key_path, {}))

    def vectors(self, body: dict[str, Any]) -> dict[str, Vector]:
        """The vectors of an item that are indexed, by path. Raises :class:`CosmosError` for one that can't be, so
        that it is noticed."""
        found: dict[str, Vector] = {}
        for spec in self.spec.vectors:
            value = _at(body, spec.path.strip("/").split("/"), None)
            if value is None:
                continue
            vector = vector_of(value)
            if vector is None or len(vector) != spec.dimensions:
                raise not_supported(f"an item whose {spec.path} is not {spec.dimensions} numbers")
            found[spec.path] = vector
        return found

    def commit(self, transaction: "Transaction") -> None:
        """Make the changes of a transaction durable, then visible."""
        self.lsn += 1
        written = [replace(item, lsn=self.lsn) for item in transaction.changes.values() if item]
        deleted = [item_id for item_id, item in transaction.changes.items() if item is None]
        partition = transaction.partition
        if self._disk:
            self._disk.save(
                self.spec.id,
                [StoredItem(partition, item.id, item.sequence, item.lsn, item.raw) for item in written],
                [(partition, item_id) for item_id in deleted],
            )
        if self.lag:
            self._changes.extend(
                _Change(self.lsn, self.clock(), partition, item_id, self.get(partition, item_id))
                for item_id in transaction.changes
            )
        for item in written:
            self._link(item)
        for item_id in deleted:
            self._unlink(partition, item_id)
        self.sequence = transaction.sequence

    def expire(self) -> None:
        """Delete the items whose time to live is over."""
        now = self.clock()
        due: list[Item] = []
        while self._expiries and self._expiries[0].time <= now:
            expiry = heapq.heappop(self._expiries)
            item = self.get(expiry.partition, expiry.id)
            if item and item.lsn == expiry.lsn:
                due.append(item)
        if due:
            if self._disk:
                self._disk.save(self.spec.id, [], [(item.partition, item.id) for item in due])
            for item in due:
                self._unlink(item.partition, item.id)

    def _link(self, item: Item) -> None:
        self._partitions.setdefault(item.partition, {})[item.id] = item
        if self.spec.default_ttl is not None:
            seconds = item.body.get("ttl", self.spec.default_ttl)
            if seconds > 0:
                # _ts is cut to the second: one more, so that an item never goes early.
                expires = item.body["_ts"] + seconds + 1
                heapq.heappush(self._expiries, _Expiry(expires, item.lsn, item.partition, item.id))

    def _unlink(self, partition: str, item_id: str) -> None:
        items = self._partitions[partition]
        del items[item_id]
        if not items:
            del self._partitions[partition]


class Transaction:
    """Changes to one logical partition, seen by itself only until the container commits it."""

    def __init__(self, container: Container, partition: str) -> None:
        self.container = container
        self.partition = partition
        self.sequence = container.sequence
        self.changes: dict[str, Item | None] = {}

    def get(self, item_id: str) -> Item | None:
        if item_id in self.changes:
            return self.changes[item_id]
        return self.container.get(self.partition, item_id)

    def put(self, body: Any, previous: Item | None) -> Item:
        """Stage an item, new or in the place of ``previous``. Raises :class:`CosmosError` if it can't be kept."""
        item_id = checked_id(body)
        if self.container.partition(body) != self.partition:
            message = "PartitionKey extracted from document doesn't match the one specified in the header."
            raise bad_request(message, 1001)
        _check_ttl(body)
        if previous is None:
            self.sequence += 1
        sequence = previous.sequence if previous else self.sequence
        rid = item_resource_id(self.container.resource, sequence)
        stored = {name: value for name, value in body.items() if name not in SYSTEM_PROPERTIES} | {
            "_rid": rid,
            "_self": f"{self.container.link}docs/{rid}/",
            "_etag": f'"{uuid.uuid4()}"',
            "_attachments": "attachments/",
            "_ts": int(self.container.clock()),
        }
        raw = dumps(stored)
        if len(raw) > MAX_ITEM_BYTES:
            raise too_large()
        item = Item(self.partition, item_id, sequence, 0, stored, raw, self.container.vectors(stored))
        self.changes[item_id] = item
        return item

    def delete(self, item: Item) -> None:
        self.changes[item.id] = None


def _at(body: dict[str, Any], path: list[str], missing: Any) -> Any:
    value: Any = body
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return missing
        value = value[name]
    return value


def checked_id(body: Any) -> str:
    """The id of an item as a client sent it."""
    if not isinstance(body, dict):
        raise bad_request("The item is not a JSON object.")
    item_id = body.get("id")
    if not isinstance(item_id, str) or not 0 < len(item_id.encode()) <= 1023 or set(item_id) & set("/\\?#"):
        raise bad_request("The id is a string of 1 to 1023 bytes without / \\ ? #.")
    return item_id


def _check_ttl(body: dict[str, Any]) -> None:
    ttl = body.get("ttl", -1)
    if type(ttl) is not int or not (ttl == -1 or 0 < ttl < 2**31):
        raise bad_request("The input ttl is invalid: it is -1 or a positive 32 bit integer.")


def dump(containers: Iterable[Container]) -> Iterator[str]:
    """The live items, one a line: the container's name, a tab, the JSON."""
    for container in containers:
        container.expire()
        for item in container.items():
            yield f"{container.spec.id}\t{item.raw.decode()}\n"
