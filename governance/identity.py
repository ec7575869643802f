"""Who is calling: a v2.0 access token of the customer's Entra ID, checked on every call (claims I1, I4, T3).

No header but ``Authorization`` is trusted, also behind App Service authentication.
Microsoft identity platform, "Access tokens": https://learn.microsoft.com/entra/identity-platform/access-tokens
JSON Web Token best current practices: RFC 8725.
"""

import base64
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import jwt
from pydantic import BaseModel, ConfigDict

from governance.problems import ProblemError
from governance.signing_keys import SigningKeys
from services.graph import Graph, GraphUnavailable

log = logging.getLogger(__name__)

ALGORITHMS = ["RS256"]
VERSION = "2.0"
SCOPE = "access_as_user"
"""What the app registration exposes, and a person's token must carry."""
LEEWAY_SECONDS = 60
MOST_CHARACTERS = 16 * 1024
"""Of a token: one with the 200 groups that Entra puts in at most has some 10,000."""

_TOKEN = re.compile(r"([\w-]+)\.([\w-]+)\.([\w-]*)", re.ASCII)
_KEY_ID = re.compile(r"[\w.+=-]{1,128}", re.ASCII)
_OBJECT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_OWN_KEY = {"jku", "jwk", "x5c", "x5u"}
"""Header members that bring a key, or say where one is (RFC 7515, section 4.1). Entra sends none of them."""
_TIMES = ("exp", "nbf", "iat")


class TokenRefused(ProblemError):
    """The caller has not shown who they are.

    The message says why, for the log, and holds nothing out of the token; the client is told the same always.
    """

    type = "token-refused"
    detail = "Sign in again: the access token is missing, or it was refused."


class GroupsUnresolved(ProblemError):
    """The token does not list the caller's groups (group overage), and Graph does not tell them."""

    type = "groups-unresolved"
    detail = "You are in so many groups that your token does not list them, and the directory could not be asked."


class SignedIn(BaseModel):
    """A person, as their token vouches for them. Ids are in lower case."""

    model_config = ConfigDict(frozen=True)

    oid: str
    tenant_id: str
    groups: frozenset[str] | None
    """None if they are in more than a token lists."""


class Caller(BaseModel):
    """A person, with the groups that they are in: all of them, or those that the configuration names."""

    model_config = ConfigDict(frozen=True)

    oid: str
    tenant_id: str
    groups: frozenset[str]


async def with_groups(
    signed_in: SignedIn, groups_in_use: Callable[[], Awaitable[Collection[str]]], graph: Graph
) -> Caller:
    """The caller; where the token does not list their groups, Graph is asked about those that are in use.

    Raises :class:`GroupsUnresolved`, and what ``groups_in_use`` raises, which is called for nobody else.
    """
    groups = signed_in.groups
    if groups is None:
        try:
            groups = await graph.member_groups(signed_in.oid, await groups_in_use())
        except GraphUnavailable as error:
            log.warning("groups unresolved: Microsoft Graph: %s", error)
            raise GroupsUnresolved from None
    return Caller(oid=signed_in.oid, tenant_id=signed_in.tenant_id, groups=groups)


@dataclass
class TokenChecker:
    """Checks tokens of one authority, for one audience (the API's client id) and tenant."""

    authority: str
    audience: str
    tenant_id: str
    clock: Callable[[], float] = time.monotonic
    """For the age of the signing keys."""

    def __post_init__(self) -> None:
        self._keys = SigningKeys(self.authority, self.clock)

    async def check(self, token: str) -> SignedIn:
        """Raises :class:`TokenRefused`, :class:`governance.signing_keys.KeysUnavailable`."""
        key = await self._keys.find(_key_id(token))
        if key is None:
            raise TokenRefused("it is signed with an unknown key")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=key.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": [*_TIMES, "iss", "aud", "oid", "tid"], "strict_aud": True},
            )
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefused(f"it lacks the claim {error.claim}") from None
        except jwt.PyJWTError as error:
            raise TokenRefused(_WORDS.get(type(error), "it is not valid")) from None
        return self._signed_in(claims)

    def _signed_in(self, claims: dict[str, Any]) -> SignedIn:
        """The person of these claims. They are the authority's own, for this API, and timely."""
        if any(type(claims[name]) is not int for name in _TIMES):  # PyJWT takes texts and fractions too
            raise TokenRefused("its times are not whole seconds")
        tenant = self.tenant_id.lower()
        if str(claims["tid"]).lower() != tenant:
            raise TokenRefused("it is of another tenant")
        if claims.get("idtyp") == "app" or "scp" not in claims:
            raise TokenRefused("it is an application's, not a person's")
        if not isinstance(claims["scp"], str) or SCOPE not in claims["scp"].split():
            raise TokenRefused("it lacks the scope")
        return SignedIn(
            oid=_object_id(claims["oid"], "its oid is malformed"), tenant_id=tenant, groups=_groups_in(claims)
        )


_WORDS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another application",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.DecodeError: "it is malformed",
}


def _key_id(token: str) -> str:
    """The id of the key that a token says it is signed with, unless the token is to be refused at sight.

    For such a token no key is looked for. Of any other, nothing that is read here is trusted before the signature is.
    """
    if len(token) > MOST_CHARACTERS:
        raise TokenRefused("it is too long")
    segments = _TOKEN.fullmatch(token)
    if segments is None:
        raise TokenRefused("it is malformed")
    header, claims = _members(segments[1]), _members(segments[2])
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefused("its algorithm is not allowed")
    if "crit" in header:  # RFC 7515, section 4.1.11: refuse what is not understood, and nothing is
        raise TokenRefused("its header asks for an extension")
    if not _OWN_KEY.isdisjoint(header):
        raise TokenRefused("its header brings a key of its own")
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid):
        raise TokenRefused("its key id is malformed")
    if claims.get("ver") != VERSION:
        raise TokenRefused("it is not a v2.0 token")
    return kid


def _members(segment: str) -> dict[str, Any]:
    """The JSON object in one segment of a token."""
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        members = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise TokenRefused("it is malformed") from None
    if not isinstance(members, dict):
        raise TokenRefused("it is malformed")
    return members


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that is there twice means one thing to one reader and another to the next (RFC 7519, section 4)."""
    unique = dict(members)
    if len(unique) < len(members):
        raise TokenRefused("it has a member twice")
    return unique


def _groups_in(claims: dict[str, Any]) -> frozenset[str] | None:
    """None for group overage, also if the token lists some groups beside it; ``_claim_sources`` is never followed.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#groups-overage-claim
    """
    elsewhere, groups = claims.get("_claim_names", {}), claims.get("groups", [])
    if not isinstance(elsewhere, dict) or not isinstance(groups, list):
        raise TokenRefused("its groups are malformed")
    if "groups" in elsewhere or claims.get("hasgroups", False) is not False:
        return None
    return frozenset(_object_id(group, "its groups are malformed") for group in groups)


def _object_id(value: Any, otherwise: str) -> str:
    """A GUID, in lower case: what may become a part of an address, and is compared. ``otherwise`` is the reason."""
    if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value):
        raise TokenRefused(otherwise)
    return value.lower()
