"""Run the models stand-in: ``python -m local.models [--real] [--real-embeddings] [--latency S] [--authority URL]``.

The ready line has ``url``, ``openai``, ``azure`` and ``anthropic`` (the base URLs for their SDKs) and ``model``
(``scripted``, or the real one's name).
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from local.models import minilm, scripted, smollm
from local.models.server import Models
from local.standin import Control, main, parser, serving
from local.tokens import BearerCheck

AUDIENCE = "https://cognitiveservices.azure.com"
"""Whom the tokens must be for that Azure's API takes."""


@asynccontextmanager
async def service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    if arguments.data is not None:
        raise SystemExit("--data: there is nothing to keep; the script and the record of requests live in memory")
    name = smollm.NAME if arguments.real else "scripted"
    try:
        async with smollm.running() if arguments.real else nullcontext() as real:
            azure = BearerCheck(arguments.authority, (AUDIENCE,)) if arguments.authority else None
            embed = minilm.MiniLM().embed if arguments.real_embeddings else scripted.embed
            models = Models(control, model=name, latency=arguments.latency, real=real, azure=azure, embed=embed)
            async with serving(models.app(), port=arguments.port) as url:
                yield {"url": url, "openai": f"{url}/v1", "azure": f"{url}/openai/v1/", "anthropic": url, "model": name}
    except smollm.NotInstalled as error:
        raise SystemExit(str(error)) from None


options = parser("models", __doc__)
options.add_argument("--real", action="store_true", help=f"answer with {smollm.NAME} instead of the script")
options.add_argument(
    "--real-embeddings", action="store_true", help=f"make vectors with {minilm.NAME} instead of from a text's words"
)
options.add_argument("--authority", help="whose tokens Azure's API takes: https://host/<tenant>; any, if not given")
options.add_argument("--latency", type=float, default=0.0, help="seconds before each answer's first byte")

if __name__ == "__main__":
    main(options, service)
