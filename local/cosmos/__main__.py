"""``python -m local.cosmos --containers FILE --tls PEM``: see :mod:`local.cosmos`."""

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import local.cosmos
from local import standin
from local.cosmos.config import Containers
from local.cosmos.disk import Disk
from local.cosmos.gateway import Gateway
from local.cosmos.server import Server
from local.cosmos.store import Container
from local.cosmos.wire import resource_id
from local.standin import Control
from local.tls import server_context
from local.tokens import BearerCheck

AUDIENCES = ("https://cosmos.azure.com", "https://127.0.0.1", "https://localhost")
"""The SDK asks for a token for the account's host, without the port, and falls back to the first of these."""


def options() -> ArgumentParser:
    parser = standin.parser("cosmos", local.cosmos.__doc__)
    parser.add_argument("--containers", type=Path, required=True, help="JSON: the database and its containers")
    parser.add_argument("--tls", type=Path, required=True, help="key and certificate chain; SDKs insist on TLS")
    parser.add_argument("--authority", help="whose tokens are taken: https://host/<tenant>; without it, any token")
    parser.add_argument("--consistency", choices=["Strong", "Session"], default="Strong")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds that reads stay behind, with Session only")
    return parser


@asynccontextmanager
async def service(arguments: Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    if arguments.lag and arguments.consistency == "Strong":
        raise SystemExit("--lag needs --consistency Session")
    spec = Containers.read(arguments.containers)
    disk = Disk(arguments.data) if arguments.data else None
    database = resource_id(spec.database, 4)
    containers = [Container(container, database, disk=disk, lag=arguments.lag) for container in spec.containers]
    gateway = Gateway(spec.database, database, containers, arguments.consistency)
    check = BearerCheck(arguments.authority, AUDIENCES) if arguments.authority else None
    app = Server(gateway, control, check).app()
    try:
        async with standin.serving(app, port=arguments.port, ssl_context=server_context(arguments.tls)) as url:
            yield {"url": url, "database": spec.database}
    finally:
        if disk:
            disk.close()


if __name__ == "__main__":
    standin.main(options(), service)
