"""The app's own token for Azure's models, for a client that is not Microsoft's."""

from collections.abc import Awaitable, Callable

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.identity.aio import get_bearer_token_provider

SCOPE = "https://cognitiveservices.azure.com/.default"
"""https://learn.microsoft.com/azure/ai-services/authentication#authenticate-with-microsoft-entra-id"""


class TokenUnavailable(Exception):
    """The app's identity got no token. The message names the kind of failure."""


def model_tokens(credential: AsyncTokenCredential) -> Callable[[], Awaitable[str]]:
    """What gives the token that holds now; it is renewed in time. What it gives raises :class:`TokenUnavailable`."""
    current = get_bearer_token_provider(credential, SCOPE)

    async def token() -> str:
        try:
            return await current()
        except AzureError as error:
            raise TokenUnavailable(type(error).__name__) from None

    return token
