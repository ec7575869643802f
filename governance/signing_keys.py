"""The keys that an authority signs tokens with, as it publishes them (claim I1).

They are kept for an hour. A token that names another one makes them be read again, since the authority may have a new
key: https://learn.microsoft.com/entra/identity-platform/signing-key-rollover. Anybody can name keys that don't exist,
so readings are rationed, and nobody who names a known key waits for one.
"""

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import jwt
from pydantic import BaseModel

from governance.problems import ProblemError

KEPT_SECONDS = 3600
"""How long a key that the authority has withdrawn may still be trusted."""
TIMEOUT_SECONDS = 5
"""For one reading: the metadata and the keys."""
READINGS = 10
"""That may follow each other at once; then there is one every :data:`READING_SECONDS`."""
READING_SECONDS = 10.0


class KeysUnavailable(ProblemError):
    """The authority's signing keys could not be read: a token that needs them can't be checked, so it is not taken."""

    type = "not-available"
    detail = "Your sign-in could not be checked: the directory does not answer."


class Key(NamedTuple):
    public: jwt.PyJWK
    issuer: str
    """Who signs with it: what a token's ``iss`` must be."""


class _Metadata(BaseModel):
    """OpenID Connect Discovery 1.0, section 3."""

    issuer: str
    jwks_uri: str


class SigningKeys:
    """Of one authority, ``https://host/<tenant id>``. ``clock`` gives seconds, and never goes back."""

    def __init__(self, authority: str, clock: Callable[[], float]) -> None:
        self._authority = authority
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._rationed_until = -math.inf

    async def find(self, kid: str) -> Key | None:
        """The key of this id; None if the authority publishes none, or if that was asked too often to look again.

        Raises :class:`KeysUnavailable` if the keys had to be read and could not be. A failed reading counts like any
        other, and changes nothing: keys that are less than an hour old go on being found.
        """
        young = self._clock() - self._read_at < KEPT_SECONDS
        if not young or kid not in self._keys:
            if self._reading is None:
                if self._may_read():
                    self._reading = asyncio.create_task(self._read())
                elif not young:
                    raise KeysUnavailable("they could not be read several times")
            if self._reading is not None:
                # All who need the keys wait for one reading, which none of them ends by leaving.
                await asyncio.shield(self._reading)
        return self._keys.get(kid)

    def _may_read(self) -> bool:
        """Takes one reading from the ration, if there is one."""
        now = self._clock()
        until = max(self._rationed_until, now - READINGS * READING_SECONDS) + READING_SECONDS
        if until > now:
            return False
        self._rationed_until = until
        return True

    async def _read(self) -> None:
        began = self._clock()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), aiohttp.ClientSession(timeout=timeout) as http:
                url = f"{self._authority}/v2.0/.well-known/openid-configuration"
                metadata = _Metadata.model_validate_json(await _content(http, url))
                if urlsplit(metadata.jwks_uri)[:2] != urlsplit(self._authority)[:2]:
                    raise KeysUnavailable("the metadata points to another host")
                published = jwt.PyJWKSet.from_json((await _content(http, metadata.jwks_uri)).decode())
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise KeysUnavailable(type(error).__name__) from None
        finally:
            self._reading = None
        self._keys = {key.key_id: Key(key, metadata.issuer) for key in published.keys if isinstance(key.key_id, str)}
        self._read_at = began


async def _content(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url, allow_redirects=False, raise_for_status=True) as answer:
        return await answer.read()
