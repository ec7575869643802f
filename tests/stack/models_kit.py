"""Scripted models in this process, the endpoints that are there, and what calls them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from governance.prices import Price
from governance.switches import SwitchWatcher
from local.control import ControlClient
from local.models.server import Models
from local.standin import Control, Fault, serving
from routing.credentials import Credentials
from routing.endpoints import Endpoint
from routing.governed_call import Governor
from services.clock import uuid7
from services.documents import Store

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
PRICE = Price(since=BEGAN, currency="EUR", input_micro=1_000_000, output_micro=2_000_000)
"""A micro-unit for a token in, two for a token out."""
USED = {"prompt_tokens": 10, "completion_tokens": 5}


PLACES: dict[str, dict[str, Any]] = {
    "azure-openai": {"path": "/openai/v1/", "residency": "azure"},
    "openai": {"path": "/v1", "residency": "external", "secret": "MODEL_SECRET_LOCAL"},
    "openai-compatible": {"path": "/v1", "residency": "self-hosted"},
    "anthropic": {"path": "", "residency": "external", "secret": "MODEL_SECRET_LOCAL"},
}
"""Every provider there is, and where it is in a stand-in."""


@dataclass
class Model:
    """A scripted model: what it was asked, what goes wrong."""

    control: Control
    base_url: str
    control_url: str

    @property
    def url(self) -> str:
        """As a server that speaks OpenAI's API."""
        return f"{self.base_url}/v1"

    @property
    def calls(self) -> int:
        """By whichever API."""
        return sum(n for name, n in self.control.counts.items() if name != "in-flight-max" and ":" not in name)

    def fault(self, **fault: Any) -> None:
        self.control.faults.append(Fault.model_validate(fault))

    def endpoint(self, provider: str, **other: Any) -> Endpoint:
        """At this model, as if it were that provider's."""
        place = {**PLACES[provider]}
        return endpoint(f"{self.base_url}{place.pop('path')}", **{"provider": provider, **place, **other})

    async def script(self, **line: Any) -> None:
        """The one answer there is."""
        script = [{"match": None, "answer": "A discount.", "usage": USED, **line}]
        await ControlClient(self.control_url).call("PUT", "/control/script", json=script)

    async def asked(self) -> list[dict[str, Any]]:
        """The bodies that were sent."""
        bodies: list[dict[str, Any]] = await ControlClient(self.control_url).call("GET", "/control/requests")
        return bodies


@asynccontextmanager
async def model(**line: Any) -> AsyncIterator[Model]:
    control = Control()
    models = Models(control, model="scripted", latency=0, real=None)
    async with serving(models.app(), shutdown_timeout=0.1) as url, serving(control.app()) as control_url:
        scripted = Model(control, url, control_url)
        await scripted.script(**line)
        yield scripted


async def token() -> str:
    return "of the app"


CREDENTIALS = Credentials({"MODEL_SECRET_LOCAL": SecretStr("a key")}, token)


def governor_of(store: Store) -> Governor:
    return Governor(store.config, store.control, store.budgets, SwitchWatcher(store.control), CREDENTIALS, 5)


def endpoint(url: str, **other: Any) -> Endpoint:
    """One of its own."""
    terms = {"no_training": True, "retention_days": 0, "reference": "none"}
    known = {"provider": "openai-compatible", "model": "scripted", "region": "here", "residency": "self-hosted"}
    limits = {"context_tokens": 8000, "output_tokens": 1000}
    return Endpoint.model_validate(
        {"id": uuid7(), "base_url": url, "prices": [PRICE], "contract": terms, **known, **limits, **other}
    )
