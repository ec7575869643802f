"""An orchestrator under a name never changes: instances under way are replayed by whatever version runs, and code that
took another turn would break them. Another order of steps, other waits or retries: a new name, beside the old."""

import ast
import hashlib
import inspect
from types import ModuleType

import pytest

from pipeline import answer_request, indexing
from tests.unit.test_gates import app_functions

FROZEN = {
    "answer_request": (
        answer_request,
        ("answer_request", "STAGES", "CHECKS", "RECORDING"),
        "4619158b977ee2b3",
    ),
    "index_document": (
        indexing,
        ("index_document", "_embedded", "TEXTS_A_CALL", "CALLS_AT_ONCE", "RETRIES", "FAILED", "TWO_MODELS"),
        "4ebc6a2bd75be933",
    ),
}
"""By orchestrator: its module, all that decides which steps it takes, and the fingerprint of that."""


def fingerprint(module: ModuleType, names: tuple[str, ...]) -> str:
    """Of the code, whatever its comments and its layout."""
    found = []
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.FunctionDef(name=name) if name in names:
                if ast.get_docstring(node):
                    del node.body[0]
                found.append(ast.unparse(node))
            case ast.Assign(targets=[ast.Name(id=name)]) if name in names:
                found.append(ast.unparse(node))
    assert len(found) == len(names)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def test_when_there_is_an_orchestrator_then_it_is_frozen() -> None:
    orchestrators = [
        each for each in app_functions().values() if getattr(each.get_trigger(), "type", "") == "orchestrationTrigger"
    ]
    found = {str(each.get_function_name()) for each in orchestrators}
    assert {name for name in found if not name.startswith("BuiltIn__")} == FROZEN.keys()  # those are the SDK's own


@pytest.mark.parametrize("name", FROZEN)
def test_when_an_orchestrator_is_changed_then_it_needs_a_new_name(name: str) -> None:
    module, parts, frozen = FROZEN[name]
    assert fingerprint(module, parts) == frozen, (
        f"{name} takes its steps in another way: leave it as it was for the instances under way, put the new one "
        f"beside it as {name}_2, start that one, and freeze it here (docs/operations.md, Rolling out and back)"
    )
