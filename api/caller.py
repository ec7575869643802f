"""Who calls an HTTP function: the bearer token of the request, and nothing else of it."""

import azure.functions as func

from governance.identity import Caller, TokenChecker, TokenRefused
from services.settings import Settings

_checker: TokenChecker | None = None


async def caller_of(req: func.HttpRequest, settings: Settings) -> Caller:
    """Raises what :meth:`governance.identity.TokenChecker.check` raises."""
    global _checker
    if _checker is None:
        _checker = TokenChecker(settings.entra_authority, settings.entra_client_id, settings.entra_tenant_id)
    scheme, _, token = req.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("there is no bearer token")
    return await _checker.check(token.strip())
