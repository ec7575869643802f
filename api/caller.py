"""Who calls an HTTP function: the bearer token of the request, and nothing else of it."""

import functools

from fastapi import Request

from governance.access import groups_in_use
from governance.identity import Caller, TokenChecker, TokenRefused, with_groups
from services.platform import Platform

_checker: TokenChecker | None = None


async def caller_of(req: Request, services: Platform) -> Caller:
    """Raises what :meth:`governance.identity.TokenChecker.check` and :func:`governance.identity.with_groups` raise."""
    global _checker
    settings = services.settings
    if _checker is None:
        _checker = TokenChecker(settings.entra_authority, settings.entra_client_id, settings.entra_tenant_id)
    sent = req.headers.getlist("Authorization")
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("there is no bearer token")
    signed_in = await _checker.check(token.strip())
    named = functools.partial(groups_in_use, services.store.config, settings.platform_admin_group)
    return await with_groups(signed_in, named, services.graph)
