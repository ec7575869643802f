"""To somebody outside its audience an assistant costs the store the same as one that does not exist, on every route.

Whether the time tells the two apart is measured, not tested: ``bench/hidden_assistants.py``.
"""

import pytest

import function_app  # noqa: F401 - importing it declares every operation
from api.operation import OPERATIONS, Operation
from bench.request_cost import CONNECTING
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually

HIDDEN, MADE_UP = "ledger", "weaver"
"""Of the same length. Neither alice nor paula is in the audience of the first, or a publisher of its owner team."""

ABOUT_ONE = [each for each in OPERATIONS.values() if "{assistant_id}" in each.route]


async def called(asking: Asking, person: str, operation: Operation, assistant: str) -> tuple[Reply, dict[str, int]]:
    """The reply, and the Cosmos operations that were done meanwhile."""
    cosmos = asking.stack.control("cosmos")
    path, token = f"/api/{operation.route.format(assistant_id=assistant)}", asking.stack.token(person)
    before = await cosmos.counts()
    reply = await asking.call(operation.method, path, token=token, headers={"If-Match": '"any"'}, json={})
    done = {name: count - before.get(name, 0) for name, count in (await cosmos.counts()).items()}
    return reply, {name: count for name, count in done.items() if count and not name.startswith(CONNECTING)}


@pytest.mark.claim("I3")
@pytest.mark.parametrize("person", ["alice", "paula"])
@pytest.mark.parametrize("operation", ABOUT_ONE, ids=lambda operation: operation.name)
async def test_when_an_assistant_is_hidden_then_the_store_is_asked_for_the_same_as_for_none(
    asking: Asking, operation: Operation, person: str
) -> None:
    async def the_same() -> None:
        hidden, done = await called(asking, person, operation, HIDDEN)
        made_up, done_for_none = await called(asking, person, operation, MADE_UP)
        hidden.is_problem(404, "not-found")
        assert hidden.text == made_up.text
        assert done == done_for_none
        assert set(done) == {"query config"}

    await eventually(the_same, within=5)  # a timer of the app may read something meanwhile
