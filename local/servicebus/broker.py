"""Serves a namespace on a loopback port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from local.servicebus.connection import Connection
from local.servicebus.namespace import Namespace
from local.servicebus.settings import Entities
from local.servicebus.store import Store
from local.standin import Control

_KEY_NAME = "RootManageSharedAccessKey"
_KEY = "local-stand-in-only"
"""Opens nothing but this stand-in; the same in every run, so that a connection string outlives a restart."""


@asynccontextmanager
async def serving(
    entities: Entities, control: Control, *, port: int = 0, data: Path | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Serve until the context ends; yields what the ready line says."""
    store = Store(data)
    namespace = Namespace(entities, store, control, {_KEY_NAME: _KEY})

    async def queues(_: web.Request) -> web.Response:
        return web.json_response(namespace.counts())

    control.dump = namespace.dump
    control.routes.append(web.get("/control/queues", queues))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(namespace), "127.0.0.1", port)
    try:
        url = f"sb://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield {
            "url": url,
            "connection_string": (
                f"Endpoint={url};SharedAccessKeyName={_KEY_NAME};SharedAccessKey={_KEY};UseDevelopmentEmulator=true;"
            ),
        }
    finally:
        server.close()
        for connection in list(namespace.connections):
            connection.abort()
        await server.wait_closed()
        store.close()
