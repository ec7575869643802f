"""What the tests of the Service Bus stand-in share: a broker for each, and a way to run them all at once.

The SDK takes its time to open and close links. So a module's tests are all started when the first is asked for.
"""

import asyncio
import gc
import json
import warnings
from argparse import Namespace
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusReceivedMessage,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from local.control import ControlClient
from local.servicebus.__main__ import service
from local.standin import Control, serving
from services.bus import Bus

AT_ONCE = [
    pytest.mark.asyncio(loop_scope="module"),
    # The SDK forgets to close its end of a connection that the broker has closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""The marks of a module of such tests; it also imports the fixture ``running``."""

SECONDS = 20
"""How long anything may take before a test fails."""

PATIENT = {"retry_total": 3, "retry_backoff_factor": 0.05}
"""A client that tries again, and soon."""

type Scenario = Callable[[Path], Awaitable[None]]

_scenarios: dict[str, dict[str, Scenario]] = defaultdict(dict)
"""Per module."""


def at_once(scenario: Scenario) -> Callable[[dict[str, asyncio.Task[None]]], Awaitable[None]]:
    """Make a test of a scenario that runs beside the others."""
    _scenarios[scenario.__module__][scenario.__name__] = scenario

    async def test(running: dict[str, asyncio.Task[None]]) -> None:
        await running[scenario.__name__]

    return test


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    wanted = {item.name for item in request.session.items}

    async def run(scenario: Scenario) -> None:
        async with asyncio.timeout(3 * SECONDS):
            await scenario(tmp_path_factory.mktemp("servicebus"))

    scenarios = _scenarios[request.module.__name__]
    tasks = {name: asyncio.create_task(run(scenario)) for name, scenario in scenarios.items() if name in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # what the SDK left open, before it is the next module's


class Broker:
    """A broker with one queue, named ``q``."""

    def __init__(self, connection_string: str, control: str) -> None:
        self.connection_string = connection_string
        self.control = ControlClient(control)
        self.client = self.connect()
        self.sending = Bus(self.client)
        """The product's, kept as long as the client, which closes only the senders that somebody holds."""

    def connect(self, **options: Any) -> ServiceBusClient:
        """A client that reports the first error, unless it is told to be patient."""
        return ServiceBusClient.from_connection_string(self.connection_string, **{"retry_total": 0, **options})

    def dead_letters(self) -> ServiceBusReceiver:
        return self.client.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    async def counts(self) -> dict[str, int]:
        queues: dict[str, dict[str, int]] = await self.control.call("GET", "/control/queues")
        return queues["q"]

    async def until(self, **wanted: int) -> None:
        """Wait for the queue to hold what is said."""
        async with asyncio.timeout(SECONDS):
            while not (await self.counts()).items() >= wanted.items():
                await asyncio.sleep(0.02)


def written(folder: Path, **queue: Any) -> Path:
    """The file that says that there is a queue ``q``."""
    file = folder / "queues.json"
    file.write_text(json.dumps({"queues": {"q": queue}}))
    return file


@asynccontextmanager
async def broker(folder: Path, **queue: Any) -> AsyncIterator[Broker]:
    control = Control()
    arguments = Namespace(entities=written(folder, **queue), port=0, data=None)
    async with service(arguments, control) as ready, serving(control.app()) as url:
        broker = Broker(ready["connection_string"], url)
        async with broker.client:
            yield broker


async def one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = await receiver.receive_messages(1, max_wait_time=SECONDS)
    return message


async def none(receiver: ServiceBusReceiver) -> None:
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []
