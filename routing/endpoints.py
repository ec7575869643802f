"""Model endpoints that the customer contracted with, and what they charge (claims C3, M6, T4)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from governance.prices import Price, price_at
from governance.problems import ProblemError
from services.documents import Items


class EndpointUnknown(ProblemError):
    """The assistant's endpoint is not configured."""

    type = "not-available"
    detail = "The assistant's model endpoint is not configured."


class RouteUnknown(ProblemError):
    """The assistant's route is not configured, or has no endpoint."""

    type = "not-available"
    detail = "The assistant's model route is not configured."


class PriceUnknown(ProblemError):
    """No price of the endpoint is in force: what a call costs is not known, so none is made."""

    type = "not-available"
    detail = "The assistant's model endpoint has no price that is in force."


class ResidencyRefused(ProblemError):
    """The assistant may not be answered by an endpoint there."""

    type = "residency-refused"
    detail = "The assistant must be answered within Azure, and its model endpoint is not there."


class Endpoint(BaseModel):
    id: str
    provider: Literal["openai-compatible"]
    base_url: str
    model: str
    region: str
    residency: Literal["azure", "external", "own"]
    """In Azure, at a provider outside it, or on the customer's own machines."""
    contract: str
    """The terms in a few words, such as "no training, no retention"."""
    prices: list[Price] = []
    """By the time from which each holds; what was and what will be charged stay beside what is."""


class Route(BaseModel):
    """A model workload, and the endpoints that serve it."""

    id: str
    endpoints: list[str]
    """Their ids, in order; there is no fallback to the others yet."""


async def endpoint_of(config: Items, route_id: str) -> Endpoint:
    """The endpoint that serves a workload. Raises :class:`RouteUnknown`, :class:`EndpointUnknown`."""
    document = await config.read(route_id, "route")
    if document is None or not document["endpoints"]:
        raise RouteUnknown(route_id)
    return await find_endpoint(config, Route.model_validate(document).endpoints[0])


async def find_endpoint(config: Items, endpoint_id: str) -> Endpoint:
    """Raises :class:`EndpointUnknown`."""
    document = await config.read(endpoint_id, "endpoint")
    if document is None:
        raise EndpointUnknown(endpoint_id)
    return Endpoint.model_validate(document)


def price_of(endpoint: Endpoint, moment: datetime) -> Price:
    """What a call costs that is made at that time. Raises :class:`PriceUnknown`."""
    price = price_at(endpoint.prices, moment)
    if price is None:
        raise PriceUnknown(endpoint.id)
    return price


def require_residency(endpoint: Endpoint, required: Literal["any", "azure"]) -> None:
    """Raises :class:`ResidencyRefused`."""
    if required == "azure" and endpoint.residency != "azure":
        raise ResidencyRefused(endpoint.id)
