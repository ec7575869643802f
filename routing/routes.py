"""Routes: which endpoints serve a workload, and which of them a call goes to next (claims M4, M5, M6)."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from governance.changes import Conflict, Journal, as_seen, change_event
from governance.prices import Price
from governance.problems import ProblemError
from routing.assistants import ConfigId
from routing.breaker import Breaker
from routing.endpoints import (
    ENDPOINT,
    Endpoint,
    EndpointUnknown,
    PriceUnknown,
    ResidencyRefused,
    find_endpoint,
    price_of,
    read_configured,
    require_residency,
)
from services.documents import Items

ROUTE = "route"
"""The partition of ``config``."""
TRIES = 2
"""Of one call at one endpoint, where the route has others."""
TRIES_ALONE = 3
"""Where it has none."""
PAUSE_SECONDS = 0.5
"""Before the next try at the same endpoint, times the tries made."""


class RouteUnknown(ProblemError):
    """The assistant's route is not configured, or has no endpoint."""

    type = "not-available"
    detail = "The assistant's model route is not configured."


def _each_once(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("an endpoint is there twice")
    return ids


class RouteSettings(BaseModel):
    """What a governor decides about a workload."""

    model_config = ConfigDict(extra="forbid")

    endpoints: Annotated[list[ConfigId], Field(min_length=1, max_length=5), AfterValidator(_each_once)]
    """Their ids, in the order in which they are asked: the next when the one before does not answer."""


class Route(RouteSettings):
    """A model workload, and the endpoints that serve it."""

    model_config = ConfigDict(extra="ignore")

    id: str


async def find_route(config: Items, route_id: str) -> Route:
    """Raises :class:`RouteUnknown`."""
    document = await read_configured(config, route_id, ROUTE)
    if document is None or not document["endpoints"]:
        raise RouteUnknown(route_id)
    return Route.model_validate(document)


async def list_routes(config: Items) -> list[Route]:
    """By id."""
    found = config.query("SELECT * FROM c WHERE NOT IS_DEFINED(c.audit)", partition=ROUTE)
    return sorted([Route.model_validate(each) async for each in found], key=lambda each: each.id)


async def save_route(
    journal: Journal, route_id: str, settings: RouteSettings, *, etag: str | None, actor: str, reason: str
) -> tuple[Route, str]:
    """What serves a workload from now on, or a new one (``etag`` None), and its ETag.

    Raises :class:`governance.changes.Outdated`, and :class:`governance.changes.Conflict` if it names an endpoint that
    is not configured.
    """
    config = journal.store.config
    before = await read_configured(config, route_id, ROUTE)
    as_seen(before, etag)
    missing = [each for each in settings.endpoints if await read_configured(config, each, ENDPOINT) is None]
    if missing:
        raise Conflict(f"Not configured: endpoint {', endpoint '.join(missing)}.")
    event = change_event(
        "route.set",
        actor=actor,
        target=f"route:{route_id}",
        reason=reason,
        Before={} if before is None else {"endpoints": before["endpoints"]},
        After=settings.model_dump(),
    )
    document = {"kind": ROUTE, "v": 1, "id": route_id, **settings.model_dump()}
    route = Route.model_validate(document)
    if before is None:
        return route, await journal.create("config", document, event)
    return route, await journal.replace("config", before, document, event)


class Choice:
    """Which endpoint one call goes to next: the first that may be called and has tries left, those that rest last.

    Whether one may be called is read anew each time: an endpoint that residency forbids, or without a price in force,
    is never chosen, whatever became of the others.
    """

    def __init__(self, endpoints: Sequence[str], residency: Literal["any", "azure"], breaker: Breaker) -> None:
        self._endpoints = list(dict.fromkeys(endpoints))
        self._residency = residency
        self._breaker = breaker
        self._most_tries = TRIES if len(self._endpoints) > 1 else TRIES_ALONE
        self._tries: Counter[str] = Counter()
        self.left_out: dict[str, ProblemError] = {}
        """Those that may not be called, and why."""

    async def next(self, config: Items, now: datetime) -> tuple[Endpoint, Price] | None:
        """With the price that is in force; None if there is no endpoint left."""
        for endpoint_id in sorted(self._candidates(), key=self._breaker.rests):
            try:
                endpoint = await find_endpoint(config, endpoint_id)
                require_residency(endpoint, self._residency)
                return endpoint, price_of(endpoint, now)
            except (EndpointUnknown, ResidencyRefused, PriceUnknown) as error:
                self.leave_out(endpoint_id, error)
        return None

    def leave_out(self, endpoint_id: str, why: ProblemError) -> None:
        self.left_out[endpoint_id] = why

    def tried(self, endpoint_id: str) -> None:
        self._tries[endpoint_id] += 1

    def failed(self, endpoint_id: str, *, again: bool, retry_after_seconds: float | None, seconds_left: float) -> float:
        """After a try that failed: how many seconds to wait before the next.

        ``again``: whether the same may help once more. Nobody waits for an endpoint as long as it asks for while
        another can be asked, or if no time is left then.
        """
        wait = max(retry_after_seconds or 0.0, PAUSE_SECONDS * self._tries[endpoint_id])
        others = [each for each in self._candidates() if each != endpoint_id]
        if not again or wait >= seconds_left or (retry_after_seconds and others):
            self._tries[endpoint_id] = self._most_tries
        return wait if self._tries[endpoint_id] < self._most_tries else 0.0

    def _candidates(self) -> list[str]:
        return [each for each in self._endpoints if each not in self.left_out and self._tries[each] < self._most_tries]
