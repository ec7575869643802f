"""A query request: what the gateway takes, one page of results, the token for the next.

A query over several partitions is a plain scan with a filter. ORDER BY, aggregates, DISTINCT, TOP and OFFSET across
partitions need a query plan that the SDK carries out; the product does without, so they are refused with 400.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from local.cosmos.config import ContainerSpec, VectorSpec
from local.cosmos.sql import Document, Position, Query, SqlError, parse
from local.cosmos.store import Item
from local.cosmos.wire import bad_request, dumps, loads

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-request-limits"""

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000


class _Parameter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    value: Any


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: str
    parameters: list[_Parameter] = []


class Page(NamedTuple):
    rows: list[bytes]
    """JSON texts."""
    continuation: str | None


class _Continuation(NamedTuple):
    """What a continuation token holds. It goes with one query on one partition."""

    fingerprint: int
    position: Position


_continuation = TypeAdapter(_Continuation)


def read_query(request: Any, spec: ContainerSpec, headers: Mapping[str, str], partition: str | None) -> "_Asked":
    """What is asked. Raises :class:`CosmosError` or :class:`SqlError` for what is refused."""
    try:
        asked = _Request.model_validate(request)
    except ValidationError as error:
        raise bad_request("The query is not of the form {query, parameters: [{name, value}]}.") from error
    query = parse(asked.query)
    if partition is None:
        _check_crosses_partitions(query, headers)
    _check_composite_index(query, spec)
    parameters = {parameter.name: parameter.value for parameter in asked.parameters}
    return _Asked(
        query,
        _searched(query, spec, parameters),
        parameters,
        _page_size(headers.get("x-ms-max-item-count")),
        zlib.crc32(dumps([asked.query, [p.model_dump() for p in asked.parameters], spec.id, partition])),
        headers.get("x-ms-continuation"),
    )


class _Asked(NamedTuple):
    query: Query
    searched: list[VectorSpec]
    parameters: dict[str, Any]
    page_size: int
    fingerprint: int
    continuation: str | None

    def ids(self) -> set[str] | None:
        """The ids of all that it can find, if it names them."""
        return self.query.ids(self.parameters)

    def page(self, items: Sequence[Item]) -> Page:
        """The next page over ``items``: the number of rows asked for, or what fits into a response."""
        documents = (Document(item.sequence, item.body, item.vectors) for item in items)
        rows: list[bytes] = []
        size = 0
        reached: Position | None = None
        for value, position in self.query.run(documents, self.parameters, self._resume()):
            row = dumps(value)
            size += len(row)
            if reached and (len(rows) == self.page_size or size > MAX_PAGE_BYTES):
                token = dumps(_Continuation(self.fingerprint, reached))
                return Page(rows, base64.b64encode(token).decode())
            rows.append(row)
            reached = position
        return Page(rows, None)

    def _resume(self) -> Position | None:
        if self.continuation is None:
            return None
        try:
            token = _continuation.validate_python(loads(base64.b64decode(self.continuation, validate=True)))
        except ValueError as error:
            raise bad_request("Invalid Continuation Token.") from error
        if token.fingerprint != self.fingerprint:
            raise bad_request("Invalid Continuation Token: it belongs to another query or partition.")
        return token.position


def _check_crosses_partitions(query: Query, headers: Mapping[str, str]) -> None:
    if headers.get("x-ms-documentdb-query-enablecrosspartition", "").lower() != "true":
        raise bad_request("Cross partition query is required but disabled.")
    if query.needs_one_partition:
        raise SqlError(
            "The provided cross partition query can not be directly served by the gateway (ORDER BY, TOP, OFFSET, "
            "DISTINCT and aggregates need a query plan); give a partition key."
        )


def _check_composite_index(query: Query, spec: ContainerSpec) -> None:
    """An ORDER BY over several properties needs an index of just these, in this order or altogether reversed.

    https://learn.microsoft.com/azure/cosmos-db/index-policy#composite-indexes
    """
    if len(query.order_by) < 2:
        return
    wanted = [(key.path, key.descending) for key in query.order_by]
    for index in spec.composite_indexes:
        offered = [(entry.path, entry.order == "descending") for entry in index]
        if wanted in (offered, [(path, not descending) for path, descending in offered]):
            return
    raise SqlError("The order by query does not have a corresponding composite index that it can be served from.")


def _searched(query: Query, spec: ContainerSpec, parameters: dict[str, Any]) -> list[VectorSpec]:
    """VectorDistance is of a property in the container's vector policy, and of a vector of its dimensions."""
    vectors = {vector.path: vector for vector in spec.vectors}
    if query.distances:
        query.require(parameters)
    for distance in query.distances:
        if distance.path not in vectors:
            raise SqlError(f"The container has no vector policy for {distance.path}: not supported by this stand-in.")
        if len(distance.wanted(parameters)) != vectors[distance.path].dimensions:
            raise SqlError(f"A vector at {distance.path} has {vectors[distance.path].dimensions} dimensions.")
    return [vectors[path] for path in {distance.path for distance in query.distances}]


def _page_size(header: str | None) -> int:
    """-1 leaves it to the service."""
    try:
        size = int(header or _DEFAULT_PAGE)
    except ValueError as error:
        raise bad_request("x-ms-max-item-count is not a number.") from error
    return _LARGEST_PAGE if size == -1 else min(max(size, 1), _LARGEST_PAGE)
