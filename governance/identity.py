"""Who is calling: a v2.0 access token of the customer's Entra ID, checked on every call (claims I1, T3).

No header but ``Authorization`` is trusted, also behind App Service authentication.
Microsoft identity platform, "Access tokens": https://learn.microsoft.com/entra/identity-platform/access-tokens
"""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from pydantic import BaseModel, ConfigDict

from governance.problems import Problem, ProblemError

ALGORITHMS = ["RS256"]
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 5
KEYS_KEPT_SECONDS = 3600
"""How long a key that the authority has withdrawn may still be trusted."""


class TokenRefused(ProblemError):
    """The caller has not shown who they are. The message says why; it never holds the token."""

    type = "token-refused"

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=f"Sign in again: {self}.")


class KeysUnavailable(ProblemError):
    """The authority's signing keys could not be read: no token can be checked, so none is taken."""

    type = "not-available"
    detail = "Your sign-in could not be checked: the directory does not answer."


class GroupsUnresolved(ProblemError):
    """The token does not carry the caller's groups (group overage), so what they may use is not known."""

    type = "groups-unresolved"
    detail = "You are in so many groups that your token does not list them."


class Caller(BaseModel):
    """A person, as their directory vouches for them."""

    model_config = ConfigDict(frozen=True)

    oid: str
    tenant_id: str
    groups: frozenset[str]


_WORDS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another application",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.InvalidSignatureError: "the token's signature is wrong",
    jwt.InvalidAlgorithmError: "the token's algorithm is not allowed",
    jwt.DecodeError: "the token is malformed",
    jwt.MissingRequiredClaimError: "the token lacks a claim",
}


@dataclass
class TokenChecker:
    """Checks tokens of one authority, for one audience and tenant.

    The signing keys are kept for an hour, and read again when a token names one that is not among them.
    """

    authority: str
    audience: str
    tenant_id: str

    def __post_init__(self) -> None:
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = -math.inf
        self._issuer = ""
        self._reading = asyncio.Lock()

    async def check(self, token: str) -> Caller:
        """Raises :class:`TokenRefused`, :class:`KeysUnavailable`, :class:`GroupsUnresolved`."""
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            key = await self._key(kid)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "nbf", "iat", "iss", "aud", "oid", "tid", "ver"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(_WORDS.get(type(error), "the token is not valid")) from None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        if claims["ver"] != "2.0":
            raise TokenRefused("it is not a v2.0 token")
        if claims["tid"] != self.tenant_id:
            raise TokenRefused("the token is of another tenant")
        if claims.get("idtyp") == "app" or "scp" not in claims:
            raise TokenRefused("the token is an application's, not a person's")
        if "groups" not in claims and ("hasgroups" in claims or "groups" in claims.get("_claim_names", {})):
            raise GroupsUnresolved
        groups = claims.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise TokenRefused("the token's groups are malformed")
        return Caller(oid=claims["oid"], tenant_id=claims["tid"], groups=frozenset(groups))

    async def _key(self, kid: str) -> jwt.PyJWK:
        async with self._reading:
            age = time.monotonic() - self._read_at
            if kid not in self._keys or age > KEYS_KEPT_SECONDS:
                await self._read_keys()
        if kid not in self._keys:
            raise TokenRefused("the token is signed with an unknown key")
        return self._keys[kid]

    async def _read_keys(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with aiohttp.ClientSession(raise_for_status=True, timeout=timeout) as http:
                async with http.get(f"{self.authority}/v2.0/.well-known/openid-configuration") as answer:
                    metadata = await answer.json()
                async with http.get(metadata["jwks_uri"]) as answer:
                    keys = jwt.PyJWKSet.from_dict(await answer.json()).keys
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError, jwt.PyJWTError) as error:
            raise KeysUnavailable(type(error).__name__) from None
        self._issuer = metadata["issuer"]
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._read_at = time.monotonic()
