"""What the app shows a model endpoint: a secret by the name of its app setting, or its own identity's token."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True)
class Credentials:
    secrets: Mapping[str, SecretStr]
    """By the names of their app settings, which in Azure are Key Vault references."""
    token: Callable[[], Awaitable[str]]
    """Of the app's managed identity, for Azure's models. Raises :class:`services.tokens.TokenUnavailable`."""
