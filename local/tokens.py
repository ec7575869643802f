"""How the stand-ins check the bearer tokens that Microsoft's SDKs send them: as the Azure services do, by signature."""

import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt

MOST_KNOWN = 1000


class Unauthorized(Exception):
    """No token, or one that this service does not take. The message says why; it never holds the token."""


@dataclass
class BearerCheck:
    """Checks tokens of one authority (``https://host/<tenant>``, v2.0 metadata below it) for one of ``audiences``.

    The authority's keys are read at the first check and again when a token names a key that isn't known.
    """

    authority: str
    audiences: tuple[str, ...]
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict, init=False)
    _known: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    """Tokens that were good, with their claims: checking a signature takes longer than most of what is asked for."""

    async def check(self, token: str | None) -> dict[str, Any]:
        """The token's claims. Raises :class:`Unauthorized`."""
        if not token:
            raise Unauthorized("no bearer token")
        if (known := self._known.get(token)) and known["exp"] > time.time():
            return known
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            if kid not in self._keys:
                await self._read_keys()
            key = self._keys.get(kid)
            if key is None:
                raise Unauthorized("the token is signed with a key that the authority does not publish")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self.audiences,
                issuer=f"{self.authority}/v2.0",
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthorized(str(error)) from error
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[token] = claims
        return claims

    async def _read_keys(self) -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            async with http.get(f"{self.authority}/v2.0/.well-known/openid-configuration") as answer:
                jwks_uri = (await answer.json())["jwks_uri"]
            async with http.get(jwks_uri) as answer:
                self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_dict(await answer.json()).keys}
