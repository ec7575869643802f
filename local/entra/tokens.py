"""Signing keys and the v2.0 access tokens made with them.

Claims: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

import base64
import hashlib
import hmac
import json
import time
from functools import cached_property
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict

from local.entra.directory import Directory, Person

MAX_GROUPS_IN_TOKEN = 200
"""Entra's limit for a JWT. A person in more groups gets the overage claims and no ``groups``."""

MANAGED_IDENTITY_LIFETIME = 24 * 3600
"""Seconds that a managed identity's token lives, in Azure too."""


class TokenRequest(BaseModel):
    """A person's access token for the app, or one that is wrong in some way."""

    model_config = ConfigDict(extra="forbid")

    person: str
    claims: dict[str, Any] = {}
    """Claims to replace or add; null leaves a claim out."""
    claims_again: dict[str, Any] = {}
    """Claims to write once more, behind all others, with these values."""
    header: dict[str, Any] = {}
    """Header members to replace or add; null leaves one out."""
    header_again: dict[str, Any] = {}
    """Header members to write once more, behind all others, with these values."""
    lifetime_seconds: int = 3600
    """Until it expires; negative for one that has expired."""
    key: Literal["published", "unknown"] = "published"
    """``unknown``: signed well, with a key that is not published."""
    signature: Literal["right", "wrong"] = "right"
    """``wrong``: names a published key, but is signed with another one."""
    algorithm: Literal["RS256", "RS512", "HS256", "none"] = "RS256"
    """``HS256`` uses the published public key as the shared secret: the well-known confusion of algorithms."""


class SigningKey:
    def __init__(self) -> None:
        self.id = _base64(uuid4().bytes)
        self.private: RSAPrivateKey = generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self) -> dict[str, Any]:
        """The public half as Entra publishes it: without ``alg``."""
        public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": "RSA", "use": "sig", "kid": self.id, "n": public["n"], "e": public["e"]}

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(members: dict[str, Any], again: dict[str, Any]) -> bytes:
    """An object with all of these members, but for those that are null."""
    written = [(name, value) for name, value in (*members.items(), *again.items()) if value is not None]
    return "{{{}}}".format(", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in written)).encode()


def _signature(key: SigningKey, algorithm: str, message: bytes) -> bytes:
    match algorithm:
        case "none":
            return b""
        case "HS256":
            return hmac.digest(key.public_pem(), message, "sha256")
        case _:
            return key.private.sign(message, PKCS1v15(), SHA256() if algorithm == "RS256" else SHA512())


class KeyRing:
    """The keys that are published; the first of them signs."""

    def __init__(self) -> None:
        self._published = [SigningKey()]

    @cached_property
    def _stranger(self) -> SigningKey:
        return SigningKey()

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk() for key in self._published]}

    def roll(self) -> str:
        """Sign with a new key from now on; returns its id."""
        self._published.insert(0, SigningKey())
        return self._published[0].id

    def drop_old(self) -> None:
        del self._published[1:]

    def sign(self, claims: dict[str, Any], how: TokenRequest | None = None) -> str:
        """A signed token; ``how`` may ask for one that must not be taken."""
        current = self._published[0]
        if how is None:
            return jwt.encode(claims, current.private, "RS256", headers={"kid": current.id})
        named = self._stranger if how.key == "unknown" else current
        signer = self._stranger if how.signature == "wrong" else named
        # Put together by hand, because PyJWT rightly refuses to make the wrong ones.
        header = _json({"typ": "JWT", "alg": how.algorithm, "kid": named.id} | how.header, how.header_again)
        message = f"{_base64(header)}.{_base64(_json(claims, how.claims_again))}"
        return f"{message}.{_base64(_signature(signer, how.algorithm, message.encode()))}"

    def verify(self, token: str, *, issuer: str, audience: str) -> None:
        """Raises :class:`jwt.PyJWTError` unless it is a valid token of a published key."""
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in self._published if key.id == kid), None)
        if key is None:
            raise jwt.InvalidKeyError("signed with a key that is not published")
        jwt.decode(token, key.private.public_key(), algorithms=["RS256"], issuer=issuer, audience=audience)


def claims_of_person(directory: Directory, person: Person, *, issuer: str, how: TokenRequest) -> dict[str, Any]:
    """What Entra puts into a person's token for the app, with the changes that ``how`` asks for."""
    now = int(time.time())
    expires = now + how.lifetime_seconds
    app, oid = str(directory.client_id), str(person.oid)
    claims: dict[str, Any] = {
        **_claims_of_anyone(directory, issuer=issuer, audience=app, oid=oid),
        "iat": min(now, expires),
        "nbf": min(now, expires),
        "exp": expires,
        # Pairwise: the same person has another subject in another app.
        "sub": _base64(hashlib.sha256(f"{app} {oid}".encode()).digest()),
        "azp": app,
        "scp": "access_as_user",
        "name": person.display_name,
        "preferred_username": f"{person.name}@example.com",
    }
    groups = directory.group_ids(person)
    if len(groups) <= MAX_GROUPS_IN_TOKEN:
        claims["groups"] = groups
    else:
        # The address is the retired Azure AD Graph's, as in real tokens: a hint that is not to be followed.
        endpoint = f"https://graph.windows.net/{directory.tenant_id}/users/{oid}/getMemberObjects"
        claims |= {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}
    return claims | how.claims


def claims_of_managed_identity(
    directory: Directory, *, issuer: str, audience: str, client_id: UUID | None
) -> dict[str, Any]:
    """An app-only token: of the app's own identity, or of the user-assigned one with this client id."""
    client = client_id or uuid5(directory.tenant_id, "system-assigned identity")
    oid = str(uuid5(directory.tenant_id, str(client)))
    now = int(time.time())
    return {
        **_claims_of_anyone(directory, issuer=issuer, audience=audience, oid=oid),
        "iat": now,
        "nbf": now,
        "exp": now + MANAGED_IDENTITY_LIFETIME,
        "sub": oid,
        "azp": str(client),
        "idtyp": "app",
    }


def _claims_of_anyone(directory: Directory, *, issuer: str, audience: str, oid: str) -> dict[str, Any]:
    return {"iss": issuer, "aud": audience, "tid": str(directory.tenant_id), "oid": oid, "ver": "2.0"}
