"""What the tests of the Cosmos DB stand-in share: the stand-in in this process and as a process, clients, fixtures."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local.cosmos.config import Containers
from local.cosmos.gateway import Gateway
from local.cosmos.server import Server
from local.cosmos.store import Container
from local.standin import Control, serving
from local.tls import Certificates, issue, server_context
from local.tokens import BearerCheck

SPEC = {
    "database": "assistants",
    "containers": [
        {
            "id": "chunks",
            "partition_key": "/team",
            "vectors": [
                {"path": "/vector", "dimensions": 3, "index": "quantizedFlat"},
                {"path": "/deep/vector", "dimensions": 2, "index": "diskANN"},
            ],
        },
        {"id": "budgets", "partition_key": "/team"},
        {"id": "requests", "partition_key": "/id", "default_ttl": -1},
        {"id": "notes", "partition_key": "/a/b", "default_ttl": 60},
        {
            "id": "ordered",
            "partition_key": "/team",
            "composite_indexes": [
                [{"path": "/day", "order": "descending"}, {"path": "/id", "order": "ascending"}],
            ],
        },
    ],
}


NO_RETRIES: dict[str, Any] = {"retry_total": 0, "retry_read": 0, "retry_connect": 0}
INCREMENT = [{"op": "incr", "path": "/n", "value": 1}]

large_bodies = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
"""aiohttp says so of what the SDK sends."""


class Clock:
    """The stand-in's time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Credential:
    """A token of no authority: for a stand-in that was given none."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("any", int(time.time()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Standin:
    """The stand-in in this process, with clients."""

    def __init__(self, url: str, control: Control, control_url: str, clock: Clock, stack: AsyncExitStack) -> None:
        self.url = url
        self.control = control
        self.control_url = control_url
        self.clock = clock
        self._stack = stack

    async def client(self, **options: Any) -> CosmosClient:
        return await self._stack.enter_async_context(CosmosClient(self.url, Credential(), **options))

    async def container(self, name: str = "budgets", **options: Any) -> ContainerProxy:
        client = await self.client(**options)
        return client.get_database_client("assistants").get_container_client(name)

    async def inspect(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.control_url + path) as answer:
            return await answer.json()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def running(
    certificates: Certificates, consistency: Any = "Strong", lag: float = 0.0, check: BearerCheck | None = None
) -> AsyncIterator[Standin]:
    spec = Containers.model_validate(SPEC)
    clock, control = Clock(), Control()
    containers = [Container(container, b"data", clock=clock, lag=lag) for container in spec.containers]
    app = Server(Gateway(spec.database, b"data", containers, consistency), control, check).app()
    async with (
        serving(app, ssl_context=server_context(certificates.server)) as url,
        serving(control.app()) as control_url,
        AsyncExitStack() as stack,
    ):
        yield Standin(url, control, control_url, clock, stack)


@pytest.fixture
async def standin(certificates: Certificates) -> AsyncIterator[Standin]:
    async with running(certificates) as standin:
        yield standin


@pytest.fixture
async def budgets(standin: Standin) -> ContainerProxy:
    return await standin.container()


async def refusal(call: Any) -> exceptions.CosmosHttpResponseError:
    with pytest.raises(exceptions.CosmosHttpResponseError) as error:
        await call
    return error.value


async def rows(container: ContainerProxy, query: str, team: str | None = "red", **options: Any) -> list[Any]:
    if team is not None:
        options["partition_key"] = team
    parameters = [{"name": f"@{name}", "value": value} for name, value in options.pop("values", {}).items()]
    return [row async for row in container.query_items(query, parameters=parameters, **options)]


class Process:
    """The stand-in as it is run."""

    def __init__(self, certificates: Certificates, folder: Path, *options: object) -> None:
        containers = folder / "containers.json"
        containers.write_text(json.dumps(SPEC))
        command = ["-m", "local.cosmos", "--containers", containers, "--tls", certificates.server, *options]
        self._process = subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout
        self.ready = json.loads(self._process.stdout.readline())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        self._process.communicate()
        return self._process.returncode


@asynccontextmanager
async def connected(
    process: Process, credential: Any = None, *, name: str = "budgets"
) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient(process.ready["url"], credential or Credential()) as client:
        yield client.get_database_client("assistants").get_container_client(name)
