"""``python -m local.contentsafety --tls PEM --authority URL``: see :mod:`local.contentsafety`.

The ready line has ``url``. Where the authority serves its keys with a throw-away certificate, ``SSL_CERT_FILE`` must
name that one's CA.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.contentsafety.server import AUDIENCE, ContentSafety
from local.standin import Control, main, parser, serving
from local.tls import server_context
from local.tokens import BearerCheck


@asynccontextmanager
async def service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    if arguments.data is not None:
        raise SystemExit("--data: there is nothing to keep; the script lives in memory")
    app = ContentSafety(control, BearerCheck(arguments.authority, (AUDIENCE,))).app()
    async with serving(app, port=arguments.port, ssl_context=server_context(arguments.tls)) as url:
        yield {"url": url}


options = parser("contentsafety", __doc__)
options.add_argument("--tls", type=Path, required=True, help="key and certificate chain to serve with, as PEM")
options.add_argument("--authority", required=True, help="whose tokens are taken: https://host/<tenant>")

if __name__ == "__main__":
    main(options, service)
