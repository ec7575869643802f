"""What a query yields, row by row, so that a page can stop anywhere and the next one resume there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from local.cosmos.sql.expressions import Expression, In, Literal, Member, Name, Row
from local.cosmos.sql.lexer import SqlError
from local.cosmos.sql.values import UNDEFINED, UNDEFINED_RANK, SortKey, Value, canonical, is_number, sort_key
from local.cosmos.sql.vectors import Vector, VectorDistance

AGGREGATES = frozenset({"COUNT", "SUM", "MIN", "MAX", "AVG"})


class Document(NamedTuple):
    """What a query reads. Documents come in ascending ``sequence``, which no two share."""

    sequence: int
    body: dict[str, Any]
    vectors: Mapping[str, Vector] = {}
    """By path: those that its container has an index of."""


class Position(NamedTuple):
    """Where a row stands: after it, a later page goes on.

    It names the row by its sort keys and sequence, not by its place in the result, so that documents that come and go
    between two pages neither repeat nor hide others. DISTINCT and OFFSET count rows instead.
    """

    emitted: int
    """Rows so far, over all pages."""
    sequence: int = 0
    keys: tuple[SortKey, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderBy:
    expression: Expression
    path: str
    """As an index names it: ``/a/b``."""
    descending: bool


class _Match(NamedTuple):
    keys: tuple[SortKey, ...]
    sequence: int
    row: Row
    vectors: Mapping[str, Vector]


@dataclass(frozen=True, kw_only=True)
class Query:
    """``SELECT ... FROM alias ...``. Made by the parser; keeps nothing between runs."""

    alias: str
    select: Expression
    aggregate: str | None = None
    """The function that is applied to ``select`` over all rows."""
    distinct: bool = False
    top: Expression | None = None
    where: Expression | None = None
    order_by: tuple[OrderBy, ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None
    distances: tuple[VectorDistance, ...] = ()
    """All that it has measured."""
    parameters: frozenset[str] = frozenset()
    """The parameters that it names, with their ``@``."""

    @property
    def needs_one_partition(self) -> bool:
        """Whether partial results of several partitions would have to be put together to answer it."""
        return bool(self.aggregate or self.distinct or self.order_by or self.top or self.offset)

    def require(self, parameters: Row) -> None:
        """Raises :class:`SqlError` if one that it names has no value."""
        if missing := self.parameters - parameters.keys():
            raise SqlError(f"The parameter {min(missing)} has no value.")

    def matches(self, body: dict[str, Any]) -> bool:
        """Whether one document satisfies the WHERE clause."""
        return self.where is None or self.where.evaluate({self.alias: body}) is True

    def ids(self, parameters: Row) -> set[str] | None:
        """The ids of all that it can find, if that is its whole condition: the index spares it a look at the others."""
        where = self.where
        if not (isinstance(where, In) and isinstance(where.value, Member) and where.value.path() == ("id",)):
            return None
        self.require(parameters)
        if not all(
            isinstance(each, Literal) or (isinstance(each, Name) and each.name in parameters)
            for each in where.candidates
        ):
            return None
        return {each for candidate in where.candidates if isinstance(each := candidate.evaluate(parameters), str)}

    def run(
        self, documents: Iterable[Document], parameters: Row, after: Position | None = None
    ) -> Iterator[tuple[Value, Position]]:
        """The selected values in order, each with its position; only those behind ``after``.

        Raises :class:`SqlError`.
        """
        self.require(parameters)
        found = self._found(documents, parameters)
        if self.aggregate:
            return self._aggregated(found, after)
        if self.order_by:
            found = iter(self._sorted(found))
        if self.distinct or self.offset:
            return self._counted(found, parameters, after)
        return self._resumable(found, parameters, after)

    def _found(self, documents: Iterable[Document], parameters: Row) -> Iterator[_Match]:
        for document in documents:
            row = {**parameters, self.alias: document.body}
            if self.where is None or self.where.evaluate(row) is True:
                yield _Match((), document.sequence, row, document.vectors)

    def _sorted(self, found: Iterator[_Match]) -> list[_Match]:
        """By all keys, then by sequence. With one key, a document that lacks it is not in the result: the default
        indexing policy has no entry for it. A composite index does; it comes before all others."""
        if isinstance(distance := self.order_by[0].expression, VectorDistance):
            return _nearest(distance, found)
        matches = [
            match._replace(keys=tuple(sort_key(key.expression.evaluate(match.row)) for key in self.order_by))
            for match in found
        ]
        if len(self.order_by) == 1:
            matches = [match for match in matches if match.keys[0][0] != UNDEFINED_RANK]
        for index in reversed(range(len(self.order_by))):
            matches.sort(key=lambda match: match.keys[index], reverse=self.order_by[index].descending)
        return matches

    def _resumable(
        self, found: Iterator[_Match], parameters: Row, after: Position | None
    ) -> Iterator[tuple[Value, Position]]:
        top = _count(self.top, parameters)
        emitted = after.emitted if after else 0
        for match in found:
            if top is not None and emitted >= top:
                return
            if after and not self._follows(match, after):
                continue
            value = self.select.evaluate(match.row)
            if value is not UNDEFINED:
                emitted += 1
                yield value, Position(emitted, match.sequence, match.keys)

    def _follows(self, match: _Match, after: Position) -> bool:
        for order, key, reached in zip(self.order_by, match.keys, after.keys, strict=True):
            if key != reached:
                return key < reached if order.descending else key > reached
        return match.sequence > after.sequence

    def _counted(
        self, found: Iterator[_Match], parameters: Row, after: Position | None
    ) -> Iterator[tuple[Value, Position]]:
        selected = (self.select.evaluate(match.row) for match in found)
        values: Iterator[Value] = (value for value in selected if value is not UNDEFINED)
        if self.distinct:
            values = _distinct(values)
        first = _count(self.offset, parameters) or 0
        most = _count(self.limit if self.offset else self.top, parameters)
        emitted = after.emitted if after else 0
        rest = islice(values, first + emitted, None if most is None else first + most)
        return ((value, Position(number)) for number, value in enumerate(rest, start=emitted + 1))

    def _aggregated(self, found: Iterator[_Match], after: Position | None) -> Iterator[tuple[Value, Position]]:
        if after is None:
            values = [value for match in found if (value := self.select.evaluate(match.row)) is not UNDEFINED]
            total = _aggregate(self.aggregate or "", values)
            if total is not UNDEFINED:
                yield total, Position(1)


def _nearest(distance: VectorDistance, found: Iterator[_Match]) -> list[_Match]:
    """Those that have a vector, the nearest first, then by sequence."""
    matches = [match for match in found if distance.path in match.vectors]
    if not matches:
        return []
    scores = distance.scores([match.vectors[distance.path] for match in matches], matches[0].row)
    scored = [match._replace(keys=(sort_key(score),)) for match, score in zip(matches, scores, strict=True)]
    return sorted(scored, key=lambda match: match.keys, reverse=True)


def _aggregate(function: str, values: list[Value]) -> Value:
    """Undefined values are left out; a SUM or AVG over anything but numbers is undefined, as are MIN, MAX and AVG of
    nothing."""
    match function:
        case "COUNT":
            return len(values)
        case "MIN" | "MAX":
            choose = min if function == "MIN" else max
            return choose(values, key=sort_key, default=UNDEFINED)
        case _ if not all(map(is_number, values)):
            return UNDEFINED
        case "SUM":
            return sum(values)
        case _:
            return sum(values) / len(values) if values else UNDEFINED


def _distinct(values: Iterable[Value]) -> Iterator[Value]:
    seen: set[str] = set()
    for value in values:
        key = canonical(value)
        if key not in seen:
            seen.add(key)
            yield value


def _count(expression: Expression | None, parameters: Row) -> int | None:
    """The number after TOP, OFFSET or LIMIT."""
    if expression is None:
        return None
    value = expression.evaluate(parameters)
    if type(value) is not int or value < 0:
        raise SqlError("TOP, OFFSET and LIMIT take a whole number that is not negative.")
    return value
