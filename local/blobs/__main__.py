"""``python -m local.blobs --tls PEM --authority URL --containers NAME...``: see :mod:`local.blobs`.

The ready line has ``url``. Where the authority serves its keys with a throw-away certificate, ``SSL_CERT_FILE`` must
name that one's CA.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.blobs.server import AUDIENCE, Server
from local.blobs.store import Blobs
from local.standin import Control, main, parser, serving
from local.tls import server_context
from local.tokens import BearerCheck


@asynccontextmanager
async def service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    blobs = Blobs(arguments.containers, arguments.data)
    app = Server(blobs, control, BearerCheck(arguments.authority, (AUDIENCE,))).app()
    try:
        async with serving(app, port=arguments.port, ssl_context=server_context(arguments.tls)) as url:
            yield {"url": url}
    finally:
        blobs.close()


options = parser("blobs", __doc__)
options.add_argument("--tls", type=Path, required=True, help="key and certificate chain to serve with, as PEM")
options.add_argument("--authority", required=True, help="whose tokens are taken: https://host/<tenant>")
options.add_argument("--containers", nargs="+", required=True, help="the containers that there are")

if __name__ == "__main__":
    main(options, service)
