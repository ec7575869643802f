"""``python -m local.servicebus --entities FILE``: see the package for what it serves."""

from argparse import Namespace as Arguments
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.servicebus.broker import serving
from local.servicebus.settings import Entities
from local.standin import Control, main, parser


@asynccontextmanager
async def service(arguments: Arguments, control: Control) -> AsyncIterator[dict[str, Any]]:
    entities = Entities.model_validate_json(arguments.entities.read_bytes())
    async with serving(entities, control, port=arguments.port, data=arguments.data) as ready:
        yield ready


if __name__ == "__main__":
    options = parser("servicebus", __doc__)
    options.add_argument("--entities", type=Path, required=True, help="a JSON file: the queues")
    main(options, service)
