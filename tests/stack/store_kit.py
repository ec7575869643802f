"""The product's containers in a Cosmos DB stand-in in this process, as the product sees them, and as it may be told to
go wrong."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from azure.cosmos.aio import CosmosClient

from local.cosmos.gateway import Consistency, Gateway
from local.cosmos.server import Server
from local.cosmos.store import Container
from local.resources import DATABASE, containers
from local.standin import Control, Fault, serving
from local.tls import Certificates, server_context
from services.documents import Store, cosmos_client
from tests.stack.cosmos_kit import Credential


class Account:
    """The account. Every store has a client of its own, as every process of the app has."""

    def __init__(self, url: str, control: Control, exits: AsyncExitStack) -> None:
        self.control = control
        self._url = url
        self._exits = exits

    async def client(self) -> CosmosClient:
        return await self._exits.enter_async_context(cosmos_client(self._url, Credential()))

    async def store(self) -> Store:
        return Store(await self.client(), DATABASE)

    def fault(self, operation: str, **fault: object) -> None:
        """One more thing that is to go wrong: a failure, unless said otherwise."""
        self.control.faults.append(Fault.model_validate({"operation": operation, "kind": "status", **fault}))


@asynccontextmanager
async def account(
    certificates: Certificates, *, consistency: Consistency = "Strong", lag: float = 0.0
) -> AsyncIterator[Account]:
    control = Control()
    held = [Container(spec, b"data", lag=lag) for spec in containers().containers]
    app = Server(Gateway(DATABASE, b"data", held, consistency), control, None).app()
    async with serving(app, ssl_context=server_context(certificates.server)) as url, AsyncExitStack() as exits:
        yield Account(url, control, exits)
