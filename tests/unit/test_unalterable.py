"""No way to alter the trail: no function of the app changes or deletes what Log Analytics has, or an event before it is
there (claim A7). What the functions can come to call is followed through the code, see :mod:`tests.unit.test_gates`."""

import importlib
import inspect
from types import CodeType
from typing import Any

import pytest

from api.operation import OPERATIONS
from governance.audit import CONTAINERS
from services.documents import Items
from services.logs import AuditLog
from tests.unit.test_gates import Calls, calls, functions, functions_in, modules, reaching

__all__ = ["calls", "functions"]  # fixtures

TOUCHING = {
    "governance.requests.record": "writes a request's event, with its outcome",
    "governance.requests._withhold": "adds a revision, and leaves what was uploaded",
    "governance.audit.marked": "written, rejected",
    "governance.sweep._make_pending": "to be uploaded once more, as it is",
}
"""Whatever writes to the event in a document, and what of it."""


def public(thing: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(thing, inspect.isfunction) if not name.startswith("_")}


def constants_in(code: CodeType) -> set[str]:
    found = {constant for constant in code.co_consts if isinstance(constant, str)}
    return found.union(*(constants_in(each) for each in code.co_consts if isinstance(each, CodeType)))


def saying(start: str) -> set[str]:
    """The product's functions in which such a text stands, by their full names."""
    return {
        f"{function.__module__}.{function.__qualname__}"
        for module in modules()
        for function in functions_in(module)
        if any(text.startswith(start) for text in constants_in(function.__code__) - {inspect.getdoc(function)})
    }


@pytest.mark.claim("A7")
def test_when_log_analytics_is_used_then_it_can_be_added_to_and_read_and_nothing_else(
    calls: Calls, functions: dict[str, Any]
) -> None:
    assert public(AuditLog) == {"upload", "query"}
    assert reaching(calls, functions, "services.logs.AuditLog.upload") == {"write_audit"}
    assert [each.name for each in OPERATIONS.values() if "audit" in each.route and each.method != "GET"] == []


@pytest.mark.claim("A7")
def test_when_an_event_waits_to_be_uploaded_then_nothing_but_these_touches_it(
    calls: Calls, functions: dict[str, Any]
) -> None:
    assert saying("/audit") == set(TOUCHING)
    assert reaching(calls, functions, "governance.audit.marked") == {"write_audit"}
    assert reaching(calls, functions, "governance.sweep._make_pending") == {"reconcile_audit"}
    assert reaching(calls, functions, "governance.requests.record") == {"record", "sweep"}


@pytest.mark.claim("A7")
def test_when_documents_are_deleted_then_they_are_teams_or_turns_or_of_the_library(
    calls: Calls, functions: dict[str, Any]
) -> None:
    reading = {"read", "read_each", "read_own", "query"}
    assert public(Items) == reading | {"create", "upsert", "patch", "patch_each", "batch"}, "nothing deletes by itself"
    owners = {f"governance.conversations.{name}": "conversations" for name in ("drop_turn", "delete", "_delete_turns")}
    owners |= {"routing.library.clear_away": "chunks", "routing.chunk_index.clear": "chunks"}
    assert saying("delete") == {"governance.changes.Journal.remove", *owners}
    assert reaching(calls, functions, "governance.changes.Journal.remove") == {"remove_team"}
    assert "conversations" not in CONTAINERS, "no event is kept beside a conversation"
    for name, container in owners.items():
        module, _, name_in_it = name.rpartition(".")
        annotations = inspect.signature(getattr(importlib.import_module(module), name_in_it)).parameters
        assert container in annotations, "it is given the one container"
        assert "store" not in annotations
