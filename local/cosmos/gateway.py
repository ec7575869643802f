"""Requests into answers, without a socket: which operation is meant, whether it is allowed, what comes of it.

Nothing in here awaits: that makes an operation atomic.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from local.cosmos import batch, charges, items
from local.cosmos.items import Outcome
from local.cosmos.queries import read_query
from local.cosmos.store import Container, Transaction, dump
from local.cosmos.wire import (
    MAX_ITEM_BYTES,
    CosmosError,
    bad_request,
    dumps,
    encoded_id,
    loads,
    not_found,
    not_supported,
    partition_key,
    session_lsn,
    too_large,
)

type Consistency = Literal["Strong", "Session"]

_REFUSED_HEADERS = {
    "a-im": "the change feed",
    "x-ms-start-epk": "feed ranges",
    "x-ms-documentdb-pre-trigger-include": "triggers",
    "x-ms-documentdb-post-trigger-include": "triggers",
    "x-ms-indexing-directive": "indexing directives",
}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: list[str]
    """The segments, decoded."""
    headers: Mapping[str, str]
    """With names that ignore case."""
    body: bytes
    origin: str
    """Scheme, host and port as the client sees them."""

    def asks(self, header: str) -> bool:
        return self.headers.get(header, "").lower() == "true"

    def json(self) -> Any:
        return loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    charge: float = 0.0


class Operation(NamedTuple):
    name: str
    """For counts, faults and charges: the kind, and the container if it is about one."""
    perform: Callable[[], Answer]
    """Raises :class:`CosmosError` or :class:`SqlError`."""


class Gateway:
    """The account's one database."""

    def __init__(self, database: str, resource: bytes, containers: list[Container], consistency: Consistency) -> None:
        self.database = database
        self.consistency = consistency
        self._resource = resource
        self._containers = {container.spec.id: container for container in containers}

    def dump(self) -> Iterator[str]:
        return dump(self._containers.values())

    def operation(self, request: Request) -> Operation:
        """What the request asks for. Never fails: a refusal is an operation too."""
        match request.method, request.path:
            case "GET", []:
                return Operation("account", lambda: self._account(request))
            case "GET", ["dbs", database]:
                return Operation("database", lambda: self._read_database(database))
            case "GET", ["dbs", database, "colls", container]:
                return Operation(f"container {container}", lambda: self._read_container(database, container))
            case "GET", ["dbs", database, "colls", container, "pkranges"]:
                return Operation(
                    f"pkranges {container}",
                    lambda: _partition_key_ranges(self._container(database, container), request),
                )
            case _, ["dbs", database, "colls", container, "docs", *item]:
                kind, perform = _item_operation(request, item)
                return Operation(
                    f"{kind} {container}",
                    lambda: self._on_items(self._container(database, container), request, perform),
                )
            case method, ["dbs"] | ["dbs", _] | ["dbs", _, "colls"] | ["dbs", _, "colls", _]:
                return Operation("refused", lambda: _forbidden(method, request.path))
            case method, path:
                return Operation("refused", lambda: _refused(f"{method} /{'/'.join(path[::2])}"))

    def _container(self, database: str, container: str) -> Container:
        if database != self.database or container not in self._containers:
            raise CosmosError(404, "Owner resource does not exist.")
        return self._containers[container]

    def _on_items(self, container: Container, request: Request, perform: "_ItemOperation") -> Answer:
        for header, what in _REFUSED_HEADERS.items():
            if header in request.headers:
                raise not_supported(what)
        if len(request.body) > MAX_ITEM_BYTES:
            raise too_large()
        container.expire()
        return perform(_ItemRequest(request, container, self._strong(request)))

    def _strong(self, request: Request) -> bool:
        """Whether a read is a strong one. A client can ask for less than the account's consistency, not for more."""
        level = request.headers.get("x-ms-consistency-level", self.consistency)
        if level not in ("Strong", "Session"):
            raise not_supported("a consistency other than Strong and Session")
        if level == "Strong" and self.consistency != "Strong":
            raise bad_request("The account's consistency is weaker than what the request asks for.")
        return level == "Strong"

    def _account(self, request: Request) -> Answer:
        here = [{"name": "Local", "databaseAccountEndpoint": f"{request.origin}/"}]
        replicas = {"minReplicaSetSize": 3, "maxReplicasetSize": 4}
        account = {
            "_self": "",
            "id": "local",
            "_rid": "local",
            "_dbs": "//dbs/",
            "media": "//media/",
            "addresses": "//addresses/",
            "writableLocations": here,
            "readableLocations": here,
            "enableMultipleWriteLocations": False,
            "userConsistencyPolicy": {"defaultConsistencyLevel": self.consistency},
            "userReplicationPolicy": {"asyncReplication": False, **replicas},
            "systemReplicationPolicy": replicas,
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": "{}",
        }
        return Answer(200, dumps(account))

    def _read_database(self, database: str) -> Answer:
        if database != self.database:
            raise not_found()
        rid = encoded_id(self._resource)
        properties = {"id": database, "_rid": rid, "_self": f"dbs/{rid}/", "_etag": '"0"', "_colls": "colls/", "_ts": 0}
        return Answer(200, dumps(properties), {"etag": '"0"'}, charges.READ)

    def _read_container(self, database: str, container: str) -> Answer:
        if database != self.database or container not in self._containers:
            raise not_found()
        found = self._containers[container]
        spec = found.spec
        properties: dict[str, Any] = {
            "id": spec.id,
            "indexingPolicy": {
                "indexingMode": "consistent",
                "automatic": True,
                "includedPaths": [{"path": "/*"}],
                "excludedPaths": [{"path": '/"_etag"/?'}, *({"path": f"{vector.path}/*"} for vector in spec.vectors)],
                "compositeIndexes": [[path.model_dump() for path in index] for index in spec.composite_indexes],
            },
            "partitionKey": {"paths": [spec.partition_key], "kind": "Hash", "version": 2},
            "_rid": encoded_id(found.resource),
            "_self": found.link,
            "_etag": '"0"',
            "_docs": "docs/",
            "_ts": 0,
        }
        if spec.default_ttl is not None:
            properties["defaultTtl"] = spec.default_ttl
        if spec.vectors:
            properties["indexingPolicy"]["vectorIndexes"] = [{"path": v.path, "type": v.index} for v in spec.vectors]
            properties["vectorEmbeddingPolicy"] = {
                "vectorEmbeddings": [
                    {"path": v.path, "dataType": "float32", "distanceFunction": "cosine", "dimensions": v.dimensions}
                    for v in spec.vectors
                ]
            }
        return Answer(200, dumps(properties), {"etag": '"0"'}, charges.READ)


def _partition_key_ranges(container: Container, request: Request) -> Answer:
    """One range. The SDK reads them like a change feed, again and again until the answer is 304."""
    etag = '"1"'
    if request.headers.get("if-none-match") == etag:
        return Answer(304, headers={"etag": etag})
    rid = encoded_id(container.resource)
    only = {
        "id": "0",
        "_rid": rid,
        "_self": f"{container.link}pkranges/0/",
        "minInclusive": "",
        "maxExclusive": "FF",
        "ridPrefix": 0,
        "throughputFraction": 1,
        "status": "online",
        "parents": [],
    }
    return Answer(200, dumps({"_rid": rid, "PartitionKeyRanges": [only], "_count": 1}), {"etag": etag}, charges.READ)


def _forbidden(method: str, path: list[str]) -> Answer:
    """Data-plane roles don't cover databases and containers themselves.

    https://learn.microsoft.com/azure/cosmos-db/how-to-connect-role-based-access-control
    """
    resource = path[-1] if path[-1] in ("dbs", "colls") else path[-2]
    message = f"The given request [{method} /{resource}] cannot be authorized by AAD token in data plane."
    raise CosmosError(403, message, 5300)


def _refused(what: str) -> Answer:
    raise not_supported(what)


# items


class _ItemRequest(NamedTuple):
    request: Request
    container: Container
    strong: bool

    @property
    def partition(self) -> str:
        partition = partition_key(self.request.headers.get("x-ms-documentdb-partitionkey"))
        if partition is None:
            raise bad_request("PartitionKey value must be supplied for this operation.")
        return partition

    @property
    def if_match(self) -> str | None:
        if "if-none-match" in self.request.headers:
            raise not_supported("If-None-Match with a write")
        return self.request.headers.get("if-match")

    def snapshot(self) -> int:
        """The state of the container that a read sees."""
        return self.container.snapshot(session_lsn(self.request.headers.get("x-ms-session-token")))

    def answer(self, status: int, body: bytes, charge: float, lsn: int, **headers: str) -> Answer:
        database_and_container = self.request.path[:4]
        common = {
            "x-ms-session-token": f"0:-1#{lsn}",
            "x-ms-alt-content-path": "/".join(database_and_container),
            "x-ms-documentdb-partitionkeyrangeid": "0",
            "lsn": str(lsn),
        }
        return Answer(status, body, common | headers, charge)

    def write(self, change: Callable[[Transaction], Outcome]) -> Answer:
        """Commit a change of one item."""
        transaction = Transaction(self.container, self.partition)
        outcome = change(transaction)
        self.container.commit(transaction)
        etag = {"etag": outcome.item.etag} if outcome.item else {}
        unwanted = "return=minimal" in self.request.headers.get("prefer", "")
        body = outcome.item.raw if outcome.item and not unwanted else b""
        return self.answer(outcome.status, body, outcome.charge, self.container.lsn, **etag)


type _ItemOperation = Callable[[_ItemRequest], Answer]


def _item_operation(request: Request, item: list[str]) -> tuple[str, _ItemOperation]:
    """The kind of operation on ``docs`` or ``docs/<id>``, and what performs it."""
    match request.method, item:
        case "POST", [] if request.asks("x-ms-documentdb-isquery"):
            return "query", _query
        case "POST", [] if request.asks("x-ms-cosmos-is-query-plan-request"):
            return "query", lambda _: _refused("a query that needs a query plan")
        case "POST", [] if request.asks("x-ms-cosmos-is-batch-request"):
            return batch.name(request.body), _batch
        case "POST", [] if request.asks("x-ms-documentdb-is-upsert"):
            return "upsert", _upsert
        case "POST", []:
            return "create", _create
        case "GET", [item_id]:
            return "read", lambda asked: _read(asked, item_id)
        case "PUT", [item_id]:
            return "replace", lambda asked: asked.write(
                lambda tx: items.replace(tx, item_id, asked.request.json(), asked.if_match)
            )
        case "PATCH", [item_id]:
            return "patch", lambda asked: asked.write(
                lambda tx: items.patch(tx, item_id, asked.request.json(), asked.if_match)
            )
        case "DELETE", [item_id]:
            return "delete", lambda asked: asked.write(lambda tx: items.delete(tx, item_id, asked.if_match))
        case method, _:
            return "refused", lambda _: _refused(f"{method} of items without a query (feeds, change feed)")


def _create(asked: _ItemRequest) -> Answer:
    if asked.if_match:
        raise not_supported("If-Match with a create")
    return asked.write(lambda transaction: items.create(transaction, asked.request.json()))


def _upsert(asked: _ItemRequest) -> Answer:
    return asked.write(lambda transaction: items.upsert(transaction, asked.request.json(), asked.if_match))


def _read(asked: _ItemRequest, item_id: str) -> Answer:
    if "if-match" in asked.request.headers:
        raise not_supported("If-Match with a read")
    snapshot = asked.snapshot()
    item = asked.container.get(asked.partition, item_id, snapshot)
    if item is None:
        raise not_found()
    charge = charges.read(len(item.raw), strong=asked.strong)
    if asked.request.headers.get("if-none-match") in (item.etag, "*"):
        return asked.answer(304, b"", charge, snapshot, etag=item.etag)
    return asked.answer(200, item.raw, charge, snapshot, etag=item.etag)


def _batch(asked: _ItemRequest) -> Answer:
    if asked.request.asks("x-ms-cosmos-batch-continue-on-error"):
        raise not_supported("a batch that continues after an error")
    transaction = Transaction(asked.container, asked.partition)
    status, results, charge = batch.run(transaction, asked.request.json(), strong=asked.strong)
    if status == 200:
        asked.container.commit(transaction)
    return asked.answer(status, dumps(results), charge, asked.container.lsn)


def _query(asked: _ItemRequest) -> Answer:
    headers, container = asked.request.headers, asked.container
    partition = partition_key(headers.get("x-ms-documentdb-partitionkey"))
    query = read_query(asked.request.json(), container.spec, headers, partition)
    snapshot = asked.snapshot()
    found = container.items(partition, snapshot, query.ids())
    page = query.page(found)
    charge = charges.query(sum(map(len, page.rows)), len(page.rows), strong=asked.strong)
    charge += sum(charges.search(v.index, v.dimensions, len(found), strong=asked.strong) for v in query.searched)
    rid = dumps(encoded_id(container.resource))
    body = b'{"_rid":%b,"Documents":[%b],"_count":%d}' % (rid, b",".join(page.rows), len(page.rows))
    answer = asked.answer(200, body, charge, snapshot)
    answer.headers["x-ms-item-count"] = str(len(page.rows))
    if page.continuation:
        answer.headers["x-ms-continuation"] = page.continuation
    return answer
