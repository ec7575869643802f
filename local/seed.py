"""Fills Cosmos DB for the demo: teams, roles, assistants, a policy, a model endpoint, caps (``seed.json``).

``python -m local.seed`` runs with the app's settings and ``MODELS_URL``, once: it refuses to write over anything.
"""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from governance.access import Binding, Role, Team, role_document, team_document
from governance.caps import Cap, cap_document, counter_of
from governance.policies import KeptPolicy, policy_documents
from guardrails.policy import Rules
from routing.assistants import AssistantSettings
from routing.publishing import Managed, Version, managed_document, version_document
from services.clock import utc_now
from services.platform import open_platform
from services.settings import read_settings

SEED = Path(__file__).with_name("seed.json")


def documents(models_url: str, model: str) -> dict[str, list[dict[str, Any]]]:
    """The seed's documents by container, with what is only known now filled in."""
    text = SEED.read_text()
    for name, value in {"models_url": models_url, "model": model}.items():
        text = text.replace(f"{{{name}}}", value)
    seeded: dict[str, Any] = json.loads(text)
    config = [team_document(Team.model_validate(team)) for team in seeded.pop("teams")]
    for role, bindings in dict(seeded.pop("roles")).items():
        config.append(role_document(Role(role), [Binding.model_validate(each) for each in bindings]))
    for assistant in seeded.pop("assistants"):
        config += published(assistant["id"], assistant["versions"], assistant["settings"])
    for policy_id, rules in dict(seeded.pop("policies")).items():
        config += policy(policy_id, rules)
    seeded["config"] += config
    seeded["budgets"] = [document for cap in seeded.pop("caps") for document in budget(**cap)]
    return seeded


def policy(policy_id: str, rules: dict[str, Any]) -> list[dict[str, Any]]:
    """A guardrail policy in its first version."""
    kept = Rules.model_validate(rules).model_dump(mode="json")
    first = KeptPolicy(id=policy_id, version=1, rules=kept, saved_at=utc_now(), saved_by="seed")
    return [*policy_documents(first)]


def budget(*, spent_micro: int = 0, told_percent: int = 0, **settings: Any) -> list[dict[str, Any]]:
    """A cap, and the period under way, in which so much is spent, and the team was told of it up to a threshold."""
    cap = Cap.model_validate(settings)
    so_far = {"spent_micro": spent_micro, "told_percent": told_percent}
    counter = counter_of(cap, cap.period_at(utc_now())).model_copy(update=so_far)
    return [cap_document(cap), counter.model_dump(mode="json")]


def published(assistant_id: str, versions: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """An assistant that was published so many times, the last of them still in use."""
    draft = AssistantSettings.model_validate(settings)
    managed = Managed(
        id=assistant_id, state="published", version=versions, latest_version=versions, draft=draft, published=draft
    )
    kept = [
        Version(assistant=assistant_id, version=each, settings=draft, published_at=utc_now(), published_by="seed")
        for each in range(1, versions + 1)
    ]
    return [managed_document(managed), *map(version_document, kept)]


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
