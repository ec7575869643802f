"""The model SDKs behind one interface. Only ``governed_call`` may import this package: an import contract holds that.

No SDK repeats anything on its own: a repeat is a new attempt, reserved anew. None follows a redirect: an answer from
elsewhere would be from an endpoint that nobody configured.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from routing.credentials import Credentials
from routing.endpoints import Endpoint
from routing.messages import Asked, Completion, Embeddings
from routing.providers.anthropic_api import AnthropicApi
from routing.providers.errors import ModelUnreachable
from routing.providers.openai_api import OpenAIApi
from services.tokens import TokenUnavailable

for name in ("openai", "anthropic"):
    logging.getLogger(name).setLevel(logging.WARNING)  # at DEBUG they log what is sent


class Provider(Protocol):
    """One endpoint, with its credential at hand. What it can't do raises :class:`routing.providers.errors.ModelError`,
    as named in its subclasses, and nothing else."""

    async def complete(self, asked: Asked) -> Completion: ...

    def stream(self, asked: Asked) -> AsyncIterator[str | Completion]:
        """The answer's text in pieces that are not empty, and at the end all of it with its usage."""

    async def embed(self, texts: Sequence[str], timeout_seconds: float) -> Embeddings: ...


async def provider_at(endpoint: Endpoint, credentials: Credentials) -> Provider:
    """Whatever takes time before a call is sent is done when this returns.

    Raises :class:`routing.providers.errors.ModelUnreachable` if there is no credential.
    """
    match endpoint.provider:
        case "azure-openai":
            try:
                key = await credentials.token()
            except TokenUnavailable:
                raise ModelUnreachable("no token") from None
            return OpenAIApi(endpoint, key, limit="max_completion_tokens")
        case "openai":
            return OpenAIApi(endpoint, _secret(endpoint, credentials), limit="max_completion_tokens")
        case "openai-compatible":
            key = _secret(endpoint, credentials) if endpoint.secret else "unused"
            return OpenAIApi(endpoint, key, limit="max_tokens")
        case "anthropic":
            return AnthropicApi(endpoint, _secret(endpoint, credentials))


def _secret(endpoint: Endpoint, credentials: Credentials) -> str:
    secret = credentials.secrets.get(endpoint.secret or "")
    if secret is None:
        raise ModelUnreachable("no secret")
    return secret.get_secret_value()
