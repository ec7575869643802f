"""The app's settings, read from the environment once: the names that Azure Functions and the deployment set.

Every address the app ever connects to is here (claim T1), but for the model endpoints, which are configuration.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    StringConstraints,
    ValidationError,
)

MODEL_SECRET = "MODEL_SECRET_"  # noqa: S105 - the beginning of a name
"""How the settings are called that hold the keys of model endpoints; no other may be shown to one."""
UNRESOLVED = "@Microsoft.KeyVault("
"""How a Key Vault reference begins that Azure could not resolve; it takes the secret's place.
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshoot-key-vault-references"""


class SettingsInvalid(Exception):
    """A setting is missing or malformed. The message names the settings, never their values."""


def _hosts(setting: str) -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    for each in filter(None, (part.strip() for part in setting.split(","))):
        host, _, network = each.partition("=")
        hosts.setdefault(host.strip().casefold(), []).extend([network.strip()] if network else [])
    return hosts


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    servicebus_connection: str | None = Field(None, alias="SERVICEBUS")
    """A connection string; in Azure unset, and the namespace below is used with the app's identity."""
    servicebus_namespace: str | None = Field(None, alias="SERVICEBUS__fullyQualifiedNamespace")
    cosmos_endpoint: str = Field(alias="COSMOS__accountEndpoint")
    cosmos_database: str = Field("assistants", alias="COSMOS_DATABASE")
    logs_ingestion_endpoint: str = Field(alias="LOGS_INGESTION_ENDPOINT")
    logs_rule_id: str = Field(alias="LOGS_RULE_ID")
    logs_stream: str = Field("Custom-AuditEvents", alias="LOGS_STREAM")
    logs_query_endpoint: str = Field("https://api.loganalytics.io/v1", alias="LOGS_QUERY_ENDPOINT")
    logs_workspace_id: str = Field(alias="LOGS_WORKSPACE_ID")
    entra_authority: str = Field(alias="ENTRA_AUTHORITY")
    """``https://login.microsoftonline.com/<tenant id>``."""
    entra_tenant_id: str = Field(alias="ENTRA_TENANT_ID")
    entra_client_id: str = Field(alias="ENTRA_CLIENT_ID")
    graph_endpoint: str = Field("https://graph.microsoft.com", alias="GRAPH_ENDPOINT")
    content_safety_endpoint: str | None = Field(None, alias="CONTENT_SAFETY_ENDPOINT")
    """``https://<resource>.cognitiveservices.azure.com``; unset, policies can't ask Azure AI Content Safety."""
    blobs_endpoint: str | None = Field(None, alias="BLOBS_ENDPOINT")
    """``https://<account>.blob.core.windows.net``; unset, no documents can be uploaded."""
    blobs_container: str = Field("documents", alias="BLOBS_CONTAINER")
    platform_admin_group: Annotated[str, StringConstraints(to_lower=True)] = Field(alias="PLATFORM_ADMIN_GROUP")
    """Object id of the directory group whose members are platform administrators until somebody binds that role."""
    redaction_key: Annotated[SecretBytes, Field(min_length=32)] = Field(alias="REDACTION_KEY")
    """A secret of 32 characters or more, by Key Vault reference: what redacted values are recognised again with."""
    model_secrets: dict[str, SecretStr] = {}
    """The keys of model endpoints, by the names of their settings."""
    identity_client_id: str | None = Field(None, alias="AZURE_CLIENT_ID")
    """The user-assigned managed identity; unset for the system-assigned one."""

    webhook_hosts: Annotated[dict[str, list[IPv4Network | IPv6Network]], BeforeValidator(_hosts)] = Field(
        {}, alias="WEBHOOK_HOSTS"
    )
    """Whom the webhook of the escalation rules may tell: host names, separated by commas; one that is not public with
    its network behind it, ``itsm.contoso.com, desk.corp=10.20.0.0/16``."""
    webhook_secret: SecretBytes | None = Field(None, alias="WEBHOOK_SECRET")
    """By Key Vault reference: what the webhook's calls are signed with."""

    answer_wait_seconds: float = Field(100.0, alias="ANSWER_WAIT_SECONDS", gt=0, lt=230)
    """How long ``ingest`` waits before it answers 202; Azure's load balancer gives up at 230 s."""
    model_timeout_seconds: float = Field(60.0, alias="MODEL_TIMEOUT_SECONDS", gt=0)
    max_prompt_characters: int = Field(100_000, alias="MAX_PROMPT_CHARACTERS", gt=0)
    request_ttl_seconds: int = Field(30 * 86_400, alias="REQUEST_TTL_SECONDS", gt=0)
    orphan_after_seconds: float = Field(600.0, alias="ORPHAN_AFTER_SECONDS", ge=0)
    """When a request that never started is given up (``sweep``)."""
    stuck_after_seconds: float = Field(900.0, alias="STUCK_AFTER_SECONDS", ge=0)
    """When a request that started but never ended is given up (``sweep``)."""
    audit_pending_after_seconds: float = Field(120.0, alias="AUDIT_PENDING_AFTER_SECONDS", ge=0)
    """When an audit event that was kept but not written is sent again (``sweep``)."""
    reconcile_after_seconds: float = Field(3600.0, alias="RECONCILE_AFTER_SECONDS", ge=0)
    """When an event that was uploaded must be visible in Log Analytics (``reconcile_audit``)."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises :class:`SettingsInvalid`."""
    try:
        settings = Settings.model_validate({**environment, "model_secrets": _model_secrets(environment)})
    except ValidationError as error:
        names = sorted({str(problem["loc"][0]) for problem in error.errors()})
        raise SettingsInvalid(f"missing or malformed settings: {', '.join(names)}") from None
    if not settings.servicebus_connection and not settings.servicebus_namespace:
        raise SettingsInvalid("missing setting: SERVICEBUS or SERVICEBUS__fullyQualifiedNamespace")
    return settings


def _model_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the line end that a secret may have been stored with: it can't be sent."""
    secrets = {name: value.strip() for name, value in environment.items() if name.startswith(MODEL_SECRET)}
    return {name: value for name, value in secrets.items() if value and not value.startswith(UNRESOLVED)}
