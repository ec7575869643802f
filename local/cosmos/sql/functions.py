"""The built-in functions. An argument of the wrong type makes the result undefined.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions
"""

from collections.abc import Callable
from dataclasses import dataclass

from local.cosmos.sql.values import UNDEFINED, Value, contains_partially, equal


@dataclass(frozen=True, slots=True)
class Function:
    body: Callable[..., Value]
    least: int
    most: int
    """Its number of arguments."""


def _text_test(test: Callable[[str, str], bool]) -> Callable[..., Value]:
    """A test of two strings, whose optional third argument asks to ignore the case."""

    def tested(text: Value, part: Value, ignore_case: Value = False) -> Value:
        if not isinstance(text, str) or not isinstance(part, str) or not isinstance(ignore_case, bool):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignore_case else test(text, part)

    return tested


def _of_text(change: Callable[[str], str]) -> Callable[[Value], Value]:
    return lambda text: change(text) if isinstance(text, str) else UNDEFINED


def _array_contains(array: Value, element: Value, partially: Value = False) -> Value:
    if not isinstance(array, list) or not isinstance(partially, bool):
        return UNDEFINED
    test = contains_partially if partially else equal
    return any(test(candidate, element) for candidate in array)


FUNCTIONS = {
    "IS_DEFINED": Function(lambda value: value is not UNDEFINED, 1, 1),
    "IS_NULL": Function(lambda value: value is None, 1, 1),
    "STARTSWITH": Function(_text_test(str.startswith), 2, 3),
    "ENDSWITH": Function(_text_test(str.endswith), 2, 3),
    "CONTAINS": Function(_text_test(lambda text, part: part in text), 2, 3),
    "LOWER": Function(_of_text(str.lower), 1, 1),
    "UPPER": Function(_of_text(str.upper), 1, 1),
    "ARRAY_CONTAINS": Function(_array_contains, 2, 3),
    "ARRAY_LENGTH": Function(lambda array: len(array) if isinstance(array, list) else UNDEFINED, 1, 1),
}
