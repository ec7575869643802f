"""The model SDKs behind one interface. Only ``governed_call`` may import this package: an import contract holds that.

No SDK repeats anything on its own: a repeat is a new attempt, reserved anew. None follows a redirect: an answer from
elsewhere would be from an endpoint that nobody configured.
"""

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from routing.credentials import Credentials
from routing.endpoints import Endpoint
from routing.messages import Provider
from routing.providers.errors import ModelUnreachable
from services.tokens import TokenUnavailable

if TYPE_CHECKING:
    from routing.providers.anthropic_api import AnthropicApi
    from routing.providers.openai_api import OpenAIApi

for name in ("openai", "anthropic"):
    logging.getLogger(name).setLevel(logging.WARNING)  # at DEBUG they log what is sent


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
            return (await _openai_api())(endpoint, key, limit="max_completion_tokens")
        case "openai":
            return (await _openai_api())(endpoint, _secret(endpoint, credentials), limit="max_completion_tokens")
        case "openai-compatible":
            key = _secret(endpoint, credentials) if endpoint.secret else "unused"
            return (await _openai_api())(endpoint, key, limit="max_tokens")
        case "anthropic":
            return (await _anthropic_api())(endpoint, _secret(endpoint, credentials))


# A provider's SDK is loaded when it is first needed, in a thread: OpenAI's takes 0.3 s of processor time, Anthropic's
# 0.9 s, and most instances of the app never call a model.


async def _openai_api() -> "type[OpenAIApi]":
    module = await asyncio.to_thread(importlib.import_module, "routing.providers.openai_api")
    api: type[OpenAIApi] = module.OpenAIApi
    return api


async def _anthropic_api() -> "type[AnthropicApi]":
    module = await asyncio.to_thread(importlib.import_module, "routing.providers.anthropic_api")
    api: type[AnthropicApi] = module.AnthropicApi
    return api


def _secret(endpoint: Endpoint, credentials: Credentials) -> str:
    secret = credentials.secrets.get(endpoint.secret or "")
    if secret is None:
        raise ModelUnreachable("no secret")
    return secret.get_secret_value()
