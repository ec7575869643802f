"""One generic webhook: JSON, signed, to hosts that the deployment allows and to no other address.

The host is looked up once, what that says is checked, and the connection goes to just that address: a name that leads
elsewhere the next time (DNS rebinding) leads nowhere. No redirect is followed, and an address in the place of a name is
refused. The signature is HMAC-SHA256 (RFC 2104) of the time and the body, as ``X-Signature: t=<seconds>,v1=<hex>``.
"""

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

SECONDS = 10.0
"""For all of a call."""

type Networks = Sequence[IPv4Network | IPv6Network]


class WebhookFailed(Exception):
    """It was not told, or not certainly. The message says why and quotes nothing of an answer."""


class Webhook:
    """``hosts`` may be told, each at a public address, or within its networks if it has any."""

    def __init__(self, hosts: Mapping[str, Networks], secret: bytes | None) -> None:
        self._hosts = hosts
        self._secret = secret

    async def post(self, url: str, body: Mapping[str, Any]) -> None:
        """Raises :class:`WebhookFailed`."""
        parts = urlsplit(url)
        host = (parts.hostname or "").casefold()
        if parts.scheme != "https" or parts.username or host not in self._hosts or _is_address(host):
            raise WebhookFailed("its address is not one that the deployment allows")
        if self._secret is None:
            raise WebhookFailed("the deployment has no secret to sign with")
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "X-Signature": signature(self._secret, content, time.time())}
        connector = aiohttp.TCPConnector(resolver=_Within(self._hosts[host]), use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
                http.post(url, data=content, headers=headers, allow_redirects=False) as answer,
            ):
                if not 200 <= answer.status < 300:
                    raise WebhookFailed(f"status {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise WebhookFailed(type(error).__name__) from None


def signature(secret: bytes, content: bytes, at: float) -> str:
    seconds = int(at)
    mac = hmac.digest(secret, b"%d.%s" % (seconds, content), hashlib.sha256)
    return f"t={seconds},v1={mac.hex()}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class _Within(AbstractResolver):
    """Looks a host up, and refuses it if any of its addresses is not one that it may have."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._allows(each["host"]) for each in found):
            raise OSError("an address that is not allowed")
        return found

    async def close(self) -> None:
        await self._resolver.close()

    def _allows(self, address: str) -> bool:
        ip = ip_address(address)
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:  # the metadata service is link-local
            return False
        if self._networks:
            return any(ip in network for network in self._networks)
        return ip.is_global
