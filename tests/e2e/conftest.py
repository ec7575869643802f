"""How the tests here ask."""

from collections.abc import AsyncIterator

import pytest_asyncio

from local.stack import Stack
from tests.e2e.asking import Asking
from tests.e2e.kit import opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def asking(stack: Stack) -> AsyncIterator[Asking]:
    """The people of the stack that all tests share."""
    async with opened(stack) as kit:
        yield Asking(kit)
