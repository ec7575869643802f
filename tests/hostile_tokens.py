"""Tokens that nobody may get in with, and why: one table for the tests of the check itself and of the app."""

from dataclasses import dataclass
from typing import Any

UNKNOWN_KEY = "it is signed with an unknown key"


@dataclass(frozen=True)
class Hostile:
    name: str
    how: dict[str, Any]
    """What makes alice's token hostile: members of :class:`local.entra.tokens.TokenRequest`."""
    reason: str
    """What the log says."""

    def __str__(self) -> str:
        return self.name


_ELSEWHERE = "https://127.0.0.1:1/keys"
_OTHER = "7e4a4700-0000-4000-8000-00000000000f"

HOSTILE = [
    # The algorithm
    Hostile("alg none", {"algorithm": "none"}, "its algorithm is not allowed"),
    Hostile("alg None", {"algorithm": "none", "header": {"alg": "nOnE"}}, "its algorithm is not allowed"),
    Hostile("no alg", {"header": {"alg": None}}, "its algorithm is not allowed"),
    Hostile("a list of algs", {"header": {"alg": ["RS256", "none"]}}, "its algorithm is not allowed"),
    Hostile("HS256 with the public key", {"algorithm": "HS256"}, "its algorithm is not allowed"),
    Hostile("HS256 that says RS256", {"algorithm": "HS256", "header": {"alg": "RS256"}}, "its signature is wrong"),
    Hostile("another algorithm of the same key", {"algorithm": "RS512"}, "its algorithm is not allowed"),
    # The key
    Hostile("wrong signature", {"signature": "wrong"}, "its signature is wrong"),
    Hostile("no signature", {"algorithm": "none", "header": {"alg": "RS256"}}, "its signature is wrong"),
    Hostile("unknown kid", {"key": "unknown"}, UNKNOWN_KEY),
    Hostile("no kid", {"header": {"kid": None}}, "its key id is malformed"),
    Hostile("a kid that is no text", {"header": {"kid": 7}}, "its key id is malformed"),
    Hostile("a kid that is a path", {"header": {"kid": "../../../etc/passwd"}}, "its key id is malformed"),
    Hostile("a kid that is a URL", {"header": {"kid": _ELSEWHERE}}, "its key id is malformed"),
    Hostile("a kid that is a query", {"header": {"kid": "' OR 1=1 --"}}, "its key id is malformed"),
    Hostile("a kid without end", {"header": {"kid": "k" * 1000}}, "its key id is malformed"),
    Hostile("jku", {"header": {"jku": _ELSEWHERE}, "signature": "wrong"}, "its header brings a key of its own"),
    Hostile("x5u", {"header": {"x5u": _ELSEWHERE}, "signature": "wrong"}, "its header brings a key of its own"),
    Hostile("x5c", {"header": {"x5c": ["MIIB"]}, "signature": "wrong"}, "its header brings a key of its own"),
    Hostile("jwk", {"header": {"jwk": {"kty": "RSA"}}, "signature": "wrong"}, "its header brings a key of its own"),
    Hostile("a critical extension", {"header": {"crit": ["b64"], "b64": True}}, "its header asks for an extension"),
    # Whose it is, and for whom
    Hostile("v1.0", {"claims": {"ver": "1.0", "iss": f"https://sts.windows.net/{_OTHER}/"}}, "it is not a v2.0 token"),
    Hostile("no version", {"claims": {"ver": None}}, "it is not a v2.0 token"),
    Hostile("v1.0 issuer", {"claims": {"iss": f"https://sts.windows.net/{_OTHER}/"}}, "it is of another issuer"),
    Hostile("an issuer that is none", {"claims": {"iss": ["https://127.0.0.1"]}}, "it is of another issuer"),
    Hostile("other tenant", {"claims": {"tid": _OTHER}}, "it is of another tenant"),
    Hostile("no tenant", {"claims": {"tid": None}}, "it lacks the claim tid"),
    Hostile("other audience", {"claims": {"aud": _OTHER}}, "it is for another application"),
    Hostile("many audiences", {"claims": {"aud": [_OTHER, "any"]}}, "it is for another application"),
    # Its times
    Hostile("expired", {"lifetime_seconds": -120}, "it has expired"),
    Hostile("not yet valid", {"claims": {"nbf": 4_000_000_000}}, "it is not valid yet"),
    Hostile("issued in the future", {"claims": {"iat": 4_000_000_000}}, "it is not valid yet"),
    Hostile("for ever", {"claims": {"exp": None}}, "it lacks the claim exp"),
    Hostile("an expiry in words", {"claims": {"exp": "never"}}, "it is malformed"),
    Hostile("an expiry as text", {"claims": {"exp": "4000000000"}}, "its times are not whole seconds"),
    Hostile("an expiry too large", {"claims": {"exp": 1e300}}, "its times are not whole seconds"),
    # Who it is of
    Hostile("no oid", {"claims": {"oid": None}}, "it lacks the claim oid"),
    Hostile("an oid that is a path", {"claims": {"oid": "../groups"}}, "its oid is malformed"),
    Hostile("an oid that is a list", {"claims": {"oid": [_OTHER]}}, "its oid is malformed"),
    Hostile("an application's", {"claims": {"idtyp": "app"}}, "it is an application's, not a person's"),
    Hostile("an application's, unsaid", {"claims": {"scp": None}}, "it is an application's, not a person's"),
    Hostile("another scope", {"claims": {"scp": "User.Read profile"}}, "it lacks the scope"),
    Hostile("a scope that begins so", {"claims": {"scp": "access_as_user.read"}}, "it lacks the scope"),
    Hostile("a list of scopes", {"claims": {"scp": ["access_as_user"]}}, "it lacks the scope"),
    Hostile("groups by name", {"claims": {"groups": ["Sales"]}}, "its groups are malformed"),
    Hostile("groups that are no list", {"claims": {"groups": "everybody"}}, "its groups are malformed"),
    Hostile("groups that are members", {"claims": {"groups": {_OTHER: True}}}, "its groups are malformed"),
    Hostile("overage that is none", {"claims": {"_claim_names": "groups"}}, "its groups are malformed"),
    # Its form
    Hostile("oversized", {"claims": {"padding": "x" * 16_384}}, "it is too long"),
    Hostile("a claim twice", {"claims_again": {"oid": _OTHER}}, "it has a member twice"),
    Hostile("a claim twice, the same", {"claims_again": {"ver": "2.0"}}, "it has a member twice"),
    Hostile("a header member twice", {"header_again": {"alg": "none"}}, "it has a member twice"),
]
