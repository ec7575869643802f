"""Model endpoints that the customer contracted with, and what they charge (claims C3, M6, T4)."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from governance.changes import Journal, as_seen, change_event
from governance.prices import Price, price_at
from governance.problems import ProblemError
from services.documents import Document, Items
from services.settings import MODEL_SECRET

ENDPOINT = "endpoint"
"""The partition of ``config``."""

type Residency = Literal["azure", "external", "self-hosted"]
"""In Azure, at a provider outside it, or on the customer's own machines."""

AT_HOME: dict[str, Residency] = {"azure-openai": "azure", "openai": "external", "anthropic": "external"}
"""Where a provider is; who runs a server that speaks OpenAI's API says where."""
TAKES_SECRET = {"azure-openai": False, "openai": True, "anthropic": True}
"""The app is known to Azure by its managed identity, and to nobody else."""
AZURES_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
"""Whom the token of the app's identity may be shown: these are Microsoft's, whoever owns the resource."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class EndpointUnknown(ProblemError):
    """The assistant's endpoint is not configured."""

    type = "not-available"
    detail = "The assistant's model endpoint is not configured."


class PriceUnknown(ProblemError):
    """No price of the endpoint is in force: what a call costs is not known, so none is made."""

    type = "not-available"
    detail = "The assistant's model endpoint has no price that is in force."


class ResidencyRefused(ProblemError):
    """The assistant may not be answered by an endpoint there."""

    type = "residency-refused"
    detail = "The assistant must be answered within Azure, and its model endpoint is not there."


class Terms(BaseModel):
    """What was agreed with whoever runs the endpoint."""

    model_config = ConfigDict(extra="forbid")

    no_training: bool
    """What is sent to it trains no model."""
    retention_days: int = Field(ge=0)
    """How long it keeps what is sent to it."""
    reference: str = Field(min_length=1, max_length=200)
    """Where to find the contract."""


def _is_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise PydanticCustomError("no_address", "not the URL of an API")
    if parts.username or parts.password:
        raise PydanticCustomError("credential_in_address", "a credential does not belong in a URL")
    return value


class EndpointSettings(BaseModel):
    """What a governor decides about an endpoint."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["azure-openai", "anthropic", "openai", "openai-compatible"]
    base_url: Annotated[str, StringConstraints(max_length=500), AfterValidator(_is_address)]
    """As its SDK takes it; Azure's ends in ``/openai/v1/``, the one version of its API that is spoken here."""
    model: str = Field(min_length=1, max_length=200)
    """Its name at the provider; in Azure, the deployment's."""
    region: str = Field(min_length=1, max_length=100)
    residency: Residency
    context_tokens: int = Field(ge=1)
    """Of a question and its answer together, at most."""
    output_tokens: int = Field(ge=1)
    """Of an answer, at most."""
    takes_temperature: bool = True
    """Models that reason do not; Anthropic's are never sent one."""
    contract: Terms
    secret: Annotated[str, StringConstraints(pattern=f"^{MODEL_SECRET}[A-Z0-9_]{{1,80}}$")] | None = None
    """The name of the app setting with the key, in Azure a Key Vault reference; none for the app's managed identity,
    and for a server that wants none."""
    prices: Annotated[list[Price], Field(max_length=100)] = []
    """By the time from which each holds; what was and what will be charged stay beside what is."""

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Self:
        if self.residency != AT_HOME.get(self.provider, self.residency):
            raise PydanticCustomError("provider_is_not_there", "the provider is not there")
        if (self.secret is not None) != TAKES_SECRET.get(self.provider, self.secret is not None):
            raise PydanticCustomError("provider_takes_a_secret_or_none", "the provider takes a secret, or takes none")
        address = urlsplit(self.base_url)
        if self.provider == "azure-openai":
            if not _is_azures(address):
                raise PydanticCustomError("address_is_not_azures", "the app's token is shown to Azure only")
            if address.path.rstrip("/") != "/openai/v1":
                raise PydanticCustomError("address_is_not_of_the_v1_api", "it ends in /openai/v1/")
        if address.scheme == "http" and self.residency != "self-hosted" and address.hostname not in LOOPBACK:
            raise PydanticCustomError("address_is_not_https", "https, but for the customer's own machines")
        return self


def _is_azures(address: SplitResult) -> bool:
    host = address.hostname or ""
    return host.endswith(AZURES_HOSTS) or host in LOOPBACK


class Endpoint(EndpointSettings):
    model_config = ConfigDict(extra="ignore")

    id: str


async def find_endpoint(config: Items, endpoint_id: str) -> Endpoint:
    """Raises :class:`EndpointUnknown`."""
    document = await read_configured(config, endpoint_id, ENDPOINT)
    if document is None:
        raise EndpointUnknown(endpoint_id)
    return Endpoint.model_validate(document)


async def read_configured(config: Items, item_id: str, kind: str) -> Document | None:
    """An endpoint or a route; the events of their changes are in the same partitions."""
    document = await config.read(item_id, kind)
    return None if document is None or "audit" in document else document


async def list_endpoints(config: Items) -> list[Endpoint]:
    """By id."""
    found = config.query("SELECT * FROM c WHERE NOT IS_DEFINED(c.audit)", partition=ENDPOINT)
    return sorted([Endpoint.model_validate(each) async for each in found], key=lambda each: each.id)


async def save_endpoint(
    journal: Journal, endpoint_id: str, settings: EndpointSettings, *, etag: str | None, actor: str, reason: str
) -> tuple[Endpoint, str]:
    """An endpoint as it is from now on, or a new one (``etag`` None), and its ETag.

    Raises :class:`governance.changes.Outdated`.
    """
    before = await read_configured(journal.store.config, endpoint_id, ENDPOINT)
    as_seen(before, etag)
    kept = settings.model_dump(mode="json")
    event = change_event(
        "endpoint.set",
        actor=actor,
        target=f"endpoint:{endpoint_id}",
        reason=reason,
        Endpoint=endpoint_id,
        Before={} if before is None else _settings_in(before),
        After=kept,
    )
    document = {"kind": ENDPOINT, "v": 1, "id": endpoint_id, **kept}
    endpoint = Endpoint.model_validate(document)
    if before is None:
        return endpoint, await journal.create("config", document, event)
    return endpoint, await journal.replace("config", before, document, event)


def _settings_in(document: Document) -> dict[str, Any]:
    return {name: document[name] for name in EndpointSettings.model_fields if name in document}


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
