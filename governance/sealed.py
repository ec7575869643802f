"""What a request keeps for its caller alone, encrypted: the values that its placeholders stand for, until the answer is
handed over.

AES-256-GCM (NIST SP 800-38D) under a key of the request's own, derived from the secret in the settings, so that neither
a dump of the store nor another request's document tells them.
"""

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class SealBroken(Exception):
    """What was sealed can't be read: another secret, another request, or altered."""


def hashing_key(secret: bytes, request_id: str) -> bytes:
    """What the values of a request are hashed with: hashes of two requests can't be compared."""
    return hmac.digest(secret, f"hash {request_id}".encode(), "sha256")


def seal(secret: bytes, request_id: str, values: Mapping[str, str]) -> str:
    """The values, to be kept with the request: base64 of a nonce and the ciphertext."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return b64encode(nonce + _cipher(secret, request_id).encrypt(nonce, json.dumps(values).encode(), None)).decode()


def unseal(secret: bytes, request_id: str, sealed: str) -> dict[str, str]:
    """The values. Raises :class:`SealBroken`."""
    try:
        content = b64decode(sealed, validate=True)
        opened = _cipher(secret, request_id).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], None)
    except (ValueError, InvalidTag):
        raise SealBroken(request_id) from None
    values: dict[str, str] = json.loads(opened)
    return values


def _cipher(secret: bytes, request_id: str) -> AESGCM:
    return AESGCM(hmac.digest(secret, f"seal {request_id}".encode(), "sha256"))
