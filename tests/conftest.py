"""For all tests: the claims that they prove must exist, and those of tests/e2e share one running stack."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from scripts.claims import LIST, claims_of, read_claims

if TYPE_CHECKING:
    from local.stack import Stack

E2E = Path(__file__).parent / "e2e"

# How long something takes is no reason to fail, on a machine that has much else to do.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    promises = read_claims(LIST.read_text())
    for item in items:
        unknown = [claim for claim in claims_of(item) if claim not in promises]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} proves {', '.join(unknown)}: not in docs/claims.md")
        if E2E in item.path.parents and pytest_asyncio.is_async_test(item):
            # The stack's processes are bound to the event loop that started them.
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Stack"]:
    """The whole stack with the scripted model, for all the tests of tests/e2e.

    A test that changes faults, switches, caps or processes puts them back, or starts a stack of its own.
    """
    from local.stack import Stack  # here: a run of unit tests alone is spared the SDKs

    async with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack
