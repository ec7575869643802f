"""What a model endpoint may be configured to be."""

from typing import Any

import pytest
from pydantic import ValidationError

from routing.endpoints import EndpointSettings
from routing.routes import RouteSettings
from services.settings import MODEL_SECRET, read_settings

TERMS = {"no_training": True, "retention_days": 30, "reference": "DPA 2026-4"}
FITTING: dict[str, dict[str, Any]] = {
    "azure-openai": {"base_url": "https://here.openai.azure.com/openai/v1/", "residency": "azure"},
    "openai": {"base_url": "https://eu.api.openai.com/v1", "residency": "external", "secret": "MODEL_SECRET_OPENAI"},
    "anthropic": {"base_url": "https://api.anthropic.com", "residency": "external", "secret": "MODEL_SECRET_A_1"},
    "openai-compatible": {"base_url": "http://vllm.internal:8000/v1", "residency": "self-hosted"},
}


def settings(provider: str, **other: Any) -> EndpointSettings:
    known = {"model": "large", "region": "westeurope", "context_tokens": 8000, "output_tokens": 1000, "contract": TERMS}
    return EndpointSettings.model_validate({"provider": provider, **known, **FITTING[provider], **other})


@pytest.mark.claim("T4", "M1", "M2", "M3")
@pytest.mark.parametrize("provider", sorted(FITTING))
def test_when_an_endpoint_fits_its_provider_then_it_may_be_configured(provider: str) -> None:
    assert settings(provider).contract.retention_days == 30


@pytest.mark.claim("T4", "M6")
@pytest.mark.parametrize(
    ("provider", "wrong"),
    [
        ("openai", {"residency": "azure"}),
        ("openai", {"residency": "self-hosted"}),
        ("anthropic", {"residency": "azure"}),
        ("azure-openai", {"residency": "external"}),
        ("openai-compatible", {"residency": "moon"}),
    ],
    ids=str,
)
def test_when_a_provider_is_not_where_it_is_said_to_be_then_it_is_refused(provider: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(provider, **wrong)


@pytest.mark.claim("M1")
@pytest.mark.parametrize(
    "host",
    ["example.com", "openai.azure.com.example.com", "evilopenai.azure.com.", "azure-api.net", "openai.azure.com"],
)
def test_when_a_host_is_not_azures_then_the_app_s_token_is_not_for_it(host: str) -> None:
    with pytest.raises(ValidationError, match="Azure only"):
        settings("azure-openai", base_url=f"https://{host}/openai/v1/")


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/deployments/large", "/api/projects/x/openai/v1/"])
def test_when_an_address_is_not_of_azures_v1_api_then_it_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="openai/v1"):
        settings("azure-openai", base_url=f"https://here.openai.azure.com{path}")


@pytest.mark.parametrize(
    "secret",
    ["REDACTION_KEY", "SERVICEBUS", "MODEL_SECRET_", "MODEL_SECRET_x", "XMODEL_SECRET_A", "MODEL_SECRET_A\n", "", None],
)
def test_when_a_secret_is_not_a_model_s_then_it_is_refused(secret: str | None) -> None:
    with pytest.raises(ValidationError):
        settings("openai", secret=secret)


def test_when_azure_is_to_be_shown_a_secret_then_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="takes none"):
        settings("azure-openai", secret="MODEL_SECRET_A")


@pytest.mark.parametrize(
    "url",
    [
        *("http://api.openai.com/v1", "ftp://here/v1", "here.example/v1", "https://", "file:///etc/passwd"),
        *("https://user:word@here/v1", "https://here/v1?key=x", "https://here/v1#x"),
    ],
)
def test_when_an_address_is_open_or_none_then_it_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        settings("openai", base_url=url)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"context_tokens": 0}, {"output_tokens": 0}, {"contract": {**TERMS, "retention_days": -1}}),
        *({"contract": {"no_training": True}}, {"contract": "none"}, {"api_key": "x"}),
    ],
    ids=str,
)
def test_when_a_limit_or_a_term_is_none_then_it_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings("openai-compatible", **wrong)


@pytest.mark.parametrize("endpoints", [[], ["a", "b", "c", "d", "e", "f"], ["UPPER"], ["a", "a"]], ids=str)
def test_when_a_route_has_no_endpoint_or_one_twice_or_too_many_then_it_is_refused(endpoints: list[str]) -> None:
    with pytest.raises(ValidationError):
        RouteSettings.model_validate({"endpoints": endpoints})


def test_when_settings_are_read_then_the_keys_of_models_are_those_that_azure_could_resolve() -> None:
    names = ("COSMOS__accountEndpoint", "LOGS_INGESTION_ENDPOINT", "LOGS_RULE_ID", "LOGS_WORKSPACE_ID", "SERVICEBUS")
    more = ("ENTRA_AUTHORITY", "ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "PLATFORM_ADMIN_GROUP")
    read = read_settings(
        {
            **dict.fromkeys([*names, *more], "x"),
            "REDACTION_KEY": "k" * 32,
            f"{MODEL_SECRET}A": "a key\n",
            f"{MODEL_SECRET}B": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/b)",
            f"{MODEL_SECRET}C": "",
        }
    )
    assert {name: value.get_secret_value() for name, value in read.model_secrets.items()} == {"MODEL_SECRET_A": "a key"}
    assert "a key" not in repr(read)
