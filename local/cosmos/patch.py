"""Partial document update: up to ten operations on an item, applied in order, all or none.

https://learn.microsoft.com/azure/cosmos-db/partial-document-update
"""

from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from local.cosmos.sql import parse_predicate
from local.cosmos.sql.values import is_number
from local.cosmos.store import SYSTEM_PROPERTIES
from local.cosmos.wire import bad_request, dumps, loads, precondition_failed

type _Parent = dict[str, Any] | list[Any]


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    op: Literal["add", "set", "replace", "incr", "remove"]
    path: Annotated[str, Field(pattern=r"^(/[^/]+)+$")]
    value: JsonValue = None


class _Patch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    operations: Annotated[list[_Operation], Field(min_length=1, max_length=10)]
    condition: str | None = None
    """``FROM c WHERE ...``: applies only to an item that satisfies it."""


def patched(body: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The item as the patch leaves it. Raises :class:`CosmosError`: 412 if the condition does not hold, 400 for an
    operation that can't be done."""
    try:
        instructions = _Patch.model_validate(patch)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise bad_request(f"The patch is not valid or not supported ({reasons}).") from error
    if instructions.condition is not None and not parse_predicate(instructions.condition).matches(body):
        raise precondition_failed()
    changed: dict[str, Any] = loads(dumps(body))
    for operation in instructions.operations:
        _apply(changed, operation)
    return changed


def _apply(body: dict[str, Any], operation: _Operation) -> None:
    names = [name.replace("~1", "/").replace("~0", "~") for name in operation.path[1:].split("/")]
    if names[0] == "id" or names[0] in SYSTEM_PROPERTIES:
        raise bad_request(f"'{operation.path}' can't be patched.")
    parent: Any = body
    for name in names[:-1]:
        parent = _child(parent, name, operation.path)
    if not isinstance(parent, dict | list):
        raise bad_request(f"The parent of '{operation.path}' is not an object or an array.")
    match operation.op:
        case "add":
            _add(parent, names[-1], operation)
        case "set":
            _set(parent, names[-1], operation)
        case "replace":
            _child(parent, names[-1], operation.path)
            _set(parent, names[-1], operation)
        case "incr":
            _increment(parent, names[-1], operation)
        case "remove":
            _remove(parent, names[-1], operation.path)
        case other:
            assert_never(other)


def _child(parent: Any, name: str, path: str) -> Any:
    match parent:
        case dict() if name in parent:
            return parent[name]
        case list() if name.isdecimal() and int(name) < len(parent):
            return parent[int(name)]
        case _:
            raise bad_request(f"There is no '{name}' in the item on the way to '{path}'.")


def _add(parent: _Parent, name: str, operation: _Operation) -> None:
    """Into an array, add inserts: before the index, or at the end for ``-``."""
    if isinstance(parent, dict):
        parent[name] = operation.value
    elif name == "-":
        parent.append(operation.value)
    elif name.isdecimal() and int(name) <= len(parent):
        parent.insert(int(name), operation.value)
    else:
        raise bad_request(f"'{operation.path}' is not a place in the array.")


def _set(parent: _Parent, name: str, operation: _Operation) -> None:
    """In an array, set overwrites the element at the index."""
    if isinstance(parent, dict):
        parent[name] = operation.value
    elif name == "-":
        parent.append(operation.value)
    else:
        _child(parent, name, operation.path)
        parent[int(name)] = operation.value


def _remove(parent: _Parent, name: str, path: str) -> None:
    _child(parent, name, path)
    if isinstance(parent, dict):
        del parent[name]
    else:
        del parent[int(name)]


def _increment(parent: _Parent, name: str, operation: _Operation) -> None:
    """A property that is missing starts from 0."""
    current = parent.get(name, 0) if isinstance(parent, dict) else _child(parent, name, operation.path)
    if not is_number(current) or not is_number(operation.value):
        raise bad_request(f"'{operation.path}' or its increment is not a number.")
    _set(parent, name, operation.model_copy(update={"value": current + operation.value}))
