"""Run the Entra ID stand-in: ``python -m local.entra --directory FILE --tls PEM``.

The ready line has ``url``, ``authority`` (of the tenant), ``identity_endpoint`` and ``identity_header`` (what goes into
``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``).
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.entra.directory import Directory
from local.entra.server import Entra
from local.standin import Control, main, parser, serving
from local.tls import server_context


@asynccontextmanager
async def service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    if arguments.data is not None:
        raise SystemExit("--data: the directory file is all there is to keep; keys and changed groups live in memory")
    entra = Entra(Directory.model_validate_json(arguments.directory.read_bytes()), control)
    async with (
        serving(entra.entra_app(), port=arguments.port, ssl_context=server_context(arguments.tls)) as entra.url,
        serving(entra.managed_identity_app()) as identity,
    ):
        yield {
            "url": entra.url,
            "authority": entra.authority,
            "identity_endpoint": f"{identity}/msi/token",
            "identity_header": entra.identity_header,
        }


options = parser("entra", __doc__)
options.add_argument("--directory", type=Path, required=True, help="the tenant, as JSON (see local/entra/directory.py)")
options.add_argument("--tls", type=Path, required=True, help="key and certificate chain to serve with, as PEM")

if __name__ == "__main__":
    main(options, service)
