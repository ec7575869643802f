"""JSON values and ``undefined``: how Cosmos DB compares and orders them.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/equality-comparison-operators
"""

import json
from enum import Enum
from typing import Any, Final

type Value = Any
"""A JSON value, or :data:`UNDEFINED`."""


class _Undefined(Enum):
    UNDEFINED = "undefined"


UNDEFINED: Final = _Undefined.UNDEFINED
"""What a missing property evaluates to."""

UNDEFINED_RANK, NULL_RANK, BOOLEAN_RANK, NUMBER_RANK, STRING_RANK, ARRAY_RANK, OBJECT_RANK = range(7)
"""The types, in the order in which ORDER BY puts them."""

_RANKS = {
    _Undefined: UNDEFINED_RANK,
    type(None): NULL_RANK,
    bool: BOOLEAN_RANK,
    int: NUMBER_RANK,
    float: NUMBER_RANK,
    str: STRING_RANK,
    list: ARRAY_RANK,
    dict: OBJECT_RANK,
}

type SortKey = tuple[int, bool | int | float | str]


def rank(value: Value) -> int:
    return _RANKS[type(value)]


def is_number(value: Value) -> bool:
    return type(value) in (int, float)


def equal(left: Value, right: Value) -> bool:
    """Deep equality of two defined values: 1 equals 1.0, and nothing equals a value of another type."""
    kind = rank(left)
    if kind != rank(right):
        return False
    if kind == ARRAY_RANK:
        return len(left) == len(right) and all(map(equal, left, right))
    if kind == OBJECT_RANK:
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def contains_partially(value: Value, part: Value) -> bool:
    """Whether an object has (at least) the properties of ``part``, to any depth; other values must be equal."""
    if isinstance(value, dict) and isinstance(part, dict):
        return all(key in value and contains_partially(value[key], wanted) for key, wanted in part.items())
    return equal(value, part)


def sort_key(value: Value) -> SortKey:
    """A key that sorts values of all types: undefined, null, booleans, numbers, strings, arrays, objects."""
    kind = rank(value)
    if kind in (BOOLEAN_RANK, NUMBER_RANK, STRING_RANK):
        return kind, value
    if kind in (UNDEFINED_RANK, NULL_RANK):
        return kind, 0
    return kind, canonical(value)


def canonical(value: Value) -> str:
    """A text that two defined values share exactly when they are equal."""
    return json.dumps(_without_integral_floats(value), sort_keys=True, separators=(",", ":"))


def _without_integral_floats(value: Value) -> Value:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_without_integral_floats(element) for element in value]
        case dict():
            return {key: _without_integral_floats(element) for key, element in value.items()}
        case _:
            return value
