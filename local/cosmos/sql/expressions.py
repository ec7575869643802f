"""Scalar expressions: each evaluates itself against a row, which binds aliases and parameters to values.

Logic has three values: an operand that is not a boolean counts as undefined, and ``false AND undefined`` is false,
``true OR undefined`` is true. A WHERE clause keeps the rows for which it is true.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from local.cosmos.sql.lexer import SqlError
from local.cosmos.sql.values import (
    BOOLEAN_RANK,
    NULL_RANK,
    NUMBER_RANK,
    STRING_RANK,
    UNDEFINED,
    Value,
    equal,
    is_number,
    rank,
)

type Row = Mapping[str, Value]


class Expression(Protocol):
    def evaluate(self, row: Row) -> Value: ...


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value

    def evaluate(self, _: Row) -> Value:
        return self.value


@dataclass(frozen=True, slots=True)
class Name:
    """An alias, or a parameter with its ``@``."""

    name: str

    def evaluate(self, row: Row) -> Value:
        return row[self.name]


@dataclass(frozen=True, slots=True)
class Member:
    """A property of an object (``key`` a string) or an element of an array (``key`` a number)."""

    base: Expression
    key: Expression

    def evaluate(self, row: Row) -> Value:
        base, key = self.base.evaluate(row), self.key.evaluate(row)
        if isinstance(base, dict) and isinstance(key, str):
            return base.get(key, UNDEFINED)
        if isinstance(base, list) and type(key) is int and 0 <= key < len(base):
            return base[key]
        return UNDEFINED

    def path(self) -> tuple[str, ...] | None:
        """The property names from the alias on, or None if this is not a plain path."""
        if not (isinstance(self.key, Literal) and isinstance(self.key.value, str)):
            return None
        if isinstance(self.base, Name):
            return (self.key.value,)
        above = self.base.path() if isinstance(self.base, Member) else None
        return None if above is None else (*above, self.key.value)


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in function, checked by the parser for its name and number of arguments."""

    function: Callable[..., Value]
    arguments: tuple[Expression, ...]

    def evaluate(self, row: Row) -> Value:
        return self.function(*(argument.evaluate(row) for argument in self.arguments))


@dataclass(frozen=True, slots=True)
class Exists:
    """``EXISTS(SELECT VALUE x FROM x IN array WHERE condition)``: what is no array has no elements.

    https://learn.microsoft.com/azure/cosmos-db/nosql/query/subquery#exists-expression
    """

    alias: str
    array: Expression
    where: Expression | None

    def evaluate(self, row: Row) -> Value:
        array = self.array.evaluate(row)
        elements = array if isinstance(array, list) else []
        where = self.where
        return any(where is None or where.evaluate({**row, self.alias: element}) is True for element in elements)


@dataclass(frozen=True, slots=True)
class Equality:
    left: Expression
    right: Expression
    negated: bool = False

    def evaluate(self, row: Row) -> Value:
        left, right = self.left.evaluate(row), self.right.evaluate(row)
        if left is UNDEFINED or right is UNDEFINED:
            return UNDEFINED
        return equal(left, right) is not self.negated


_INEQUALITIES: dict[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Inequality:
    """Defined for two nulls, booleans, numbers or strings; undefined for anything else."""

    operator: str
    left: Expression
    right: Expression

    def evaluate(self, row: Row) -> Value:
        left, right = self.left.evaluate(row), self.right.evaluate(row)
        kind = rank(left)
        if kind != rank(right) or kind not in (NULL_RANK, BOOLEAN_RANK, NUMBER_RANK, STRING_RANK):
            return UNDEFINED
        if kind == NULL_RANK:
            return self.operator in ("<=", ">=")
        return _INEQUALITIES[self.operator](left, right)


@dataclass(frozen=True, slots=True)
class And:
    left: Expression
    right: Expression

    def evaluate(self, row: Row) -> Value:
        left = self.left.evaluate(row)
        if left is False:
            return False
        right = self.right.evaluate(row)
        if right is False:
            return False
        return True if left is True and right is True else UNDEFINED


@dataclass(frozen=True, slots=True)
class Or:
    left: Expression
    right: Expression

    def evaluate(self, row: Row) -> Value:
        left = self.left.evaluate(row)
        if left is True:
            return True
        right = self.right.evaluate(row)
        if right is True:
            return True
        return False if left is False and right is False else UNDEFINED


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression

    def evaluate(self, row: Row) -> Value:
        value = self.operand.evaluate(row)
        return not value if isinstance(value, bool) else UNDEFINED


@dataclass(frozen=True, slots=True)
class In:
    value: Expression
    candidates: tuple[Expression, ...]

    def evaluate(self, row: Row) -> Value:
        value = self.value.evaluate(row)
        if value is UNDEFINED:
            return UNDEFINED
        return any(equal(value, candidate.evaluate(row)) for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class Like:
    value: Expression
    pattern: Expression

    def evaluate(self, row: Row) -> Value:
        value, pattern = self.value.evaluate(row), self.pattern.evaluate(row)
        if not isinstance(value, str) or not isinstance(pattern, str):
            return UNDEFINED
        return _like(pattern).fullmatch(value) is not None


@lru_cache(256)
def _like(pattern: str) -> re.Pattern[str]:
    if "[" in pattern:
        raise SqlError("LIKE with [ ] is not supported by this stand-in.")
    wildcards = {"%": ".*", "_": "."}
    return re.compile("".join(wildcards.get(char) or re.escape(char) for char in pattern), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``+ - * / %`` of two numbers; undefined for anything else, and for a division by zero."""

    operator: str
    left: Expression
    right: Expression

    def evaluate(self, row: Row) -> Value:
        left, right = self.left.evaluate(row), self.right.evaluate(row)
        if not is_number(left) or not is_number(right):
            return UNDEFINED
        try:
            return _integral(_ARITHMETIC[self.operator](left, right))
        except (ZeroDivisionError, OverflowError, ValueError):
            return UNDEFINED


def _remainder(left: float, right: float) -> float:
    if right == 0:
        raise ZeroDivisionError
    return math.fmod(left, right)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": _remainder,
}


def _integral(number: float) -> float:
    """JSON has one kind of number: 6 / 3 is written 2."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


@dataclass(frozen=True, slots=True)
class Negative:
    operand: Expression

    def evaluate(self, row: Row) -> Value:
        value = self.operand.evaluate(row)
        return -value if is_number(value) else UNDEFINED


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """``{"name": expression}``: a property that is undefined is left out."""

    properties: tuple[tuple[str, Expression], ...]

    def evaluate(self, row: Row) -> Value:
        values = ((name, expression.evaluate(row)) for name, expression in self.properties)
        return {name: value for name, value in values if value is not UNDEFINED}


@dataclass(frozen=True, slots=True)
class ArrayOf:
    elements: tuple[Expression, ...]

    def evaluate(self, row: Row) -> Value:
        values = (element.evaluate(row) for element in self.elements)
        return [value for value in values if value is not UNDEFINED]
