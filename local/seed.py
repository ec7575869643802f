"""Fills Cosmos DB for the demo: teams, a role, assistants, a policy, a model endpoint, caps (``seed.json``).

``python -m local.seed`` runs with the app's settings and ``MODELS_URL``, once: it refuses to write over anything.
"""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from governance.caps import period_of
from services.clock import utc_now
from services.platform import open_platform
from services.settings import read_settings

SEED = Path(__file__).with_name("seed.json")


def documents(models_url: str, model: str) -> dict[str, list[dict[str, Any]]]:
    """The seed's documents by container, with what is only known now filled in."""
    text = SEED.read_text()
    for name, value in {"models_url": models_url, "model": model, "period": period_of(utc_now())}.items():
        text = text.replace(f"{{{name}}}", value)
    seeded: dict[str, list[dict[str, Any]]] = json.loads(text)
    return seeded


async def seed(models_url: str) -> None:
    """Raises :class:`services.documents.ItemExists` where there is something already."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.get(f"{models_url}/v1/models") as answer,
    ):
        model = (await answer.json())["data"][0]["id"]
    async with AsyncExitStack() as stack:
        store = (await open_platform(read_settings(), stack)).store
        containers = {"config": store.config, "control": store.control, "budgets": store.budgets}
        for name, seeded in documents(models_url, model).items():
            for document in seeded:
                await containers[name].create(document)


if __name__ == "__main__":
    asyncio.run(seed(os.environ["MODELS_URL"]))
