"""How the tests here ask."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.stack import Stack
from tests.e2e.asking import Asking
from tests.e2e.kit import opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def asking(stack: Stack) -> AsyncIterator[Asking]:
    """The people of the stack that all tests share."""
    async with opened(stack) as kit:
        yield Asking(kit)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """People of a stack that waits a second for an answer, whose sweep sends every event that is still pending, whose
    trail is compared up to this moment, and which gives up what was queued twelve seconds ago, when a question that
    could not be queued is long refused. It has answered a question, so that the guardrails are loaded."""
    settings = {
        "ANSWER_WAIT_SECONDS": "1",
        "AUDIT_PENDING_AFTER_SECONDS": "0",
        "RECONCILE_AFTER_SECONDS": "0",
        "ORPHAN_AFTER_SECONDS": "12",
    }
    async with Stack(tmp_path_factory.mktemp("impatient"), settings=settings) as stack, opened(stack) as kit:
        asking = Asking(kit)
        first = await asking.ask("Are you awake?")
        if first.status == 202:
            await asking.ended(first.body["request_id"])
        yield asking
