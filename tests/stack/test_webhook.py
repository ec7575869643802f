"""The webhook goes where the deployment allows and nowhere else, whatever names and name servers say."""

import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from local.tls import Certificates, server_context
from services import webhook
from services.webhook import Networks, Webhook, WebhookFailed
from tests.stack.cosmos_kit import certificates as certificates

HERE = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
SECRET = b"a secret"


@dataclass
class Receiver:
    port: int
    calls: list[str] = field(default_factory=list)

    async def posted(self, networks: Networks, host: str = "localhost", *, allowed: str = "localhost") -> None:
        await Webhook({allowed: networks}, SECRET).post(f"https://{host}:{self.port}/hook", {"v": 1})


@pytest.fixture
async def receiver(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    # aiohttp makes its context when it is imported: the app's processes have SSL_CERT_FILE by then, this one has not
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=certificates.ca))
    made, app = Receiver(0), web.Application()

    async def take(request: web.Request) -> web.Response:
        made.calls.append(request.path)
        return web.Response()

    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(certificates.server))
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


class NameServer(AbstractResolver):
    """Says one address after the other of any name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._addresses[min(self.asked, len(self._addresses) - 1)]
        self.asked += 1
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.mark.claim("F2")
@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("169.254.169.254", "169.254.169.254"),
        ("localhost", "elsewhere.example"),
        ("user@localhost", "localhost"),
    ],
)
async def test_when_it_is_an_address_or_no_host_that_is_allowed_then_nobody_is_called(
    receiver: Receiver, host: str, allowed: str
) -> None:
    with pytest.raises(WebhookFailed, match="not one that the deployment allows"):
        await receiver.posted(HERE, host, allowed=allowed)
    assert receiver.calls == []


@pytest.mark.claim("F2")
async def test_when_a_host_that_is_allowed_is_not_public_then_it_needs_its_network(receiver: Receiver) -> None:
    with pytest.raises(WebhookFailed):
        await receiver.posted([])
    with pytest.raises(WebhookFailed):
        await receiver.posted([ip_network("10.0.0.0/8")])
    assert receiver.calls == []


@pytest.mark.claim("F2")
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1", "0.0.0.0"])
async def test_when_a_name_that_is_allowed_leads_to_this_machine_or_the_metadata_service_then_nobody_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(webhook, "ThreadedResolver", lambda: NameServer(address))
    with pytest.raises(WebhookFailed):
        await receiver.posted([])
    assert receiver.calls == []


@pytest.mark.claim("F2")
async def test_when_a_name_server_changes_its_mind_then_the_connection_goes_to_what_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says an address that is allowed, and another one to whoever asks again: nobody does."""
    server = NameServer("127.0.0.1", "169.254.169.254")
    monkeypatch.setattr(webhook, "ThreadedResolver", lambda: server)
    await receiver.posted([ip_network("127.0.0.1/32")])
    assert (server.asked, receiver.calls) == (1, ["/hook"])


async def test_when_there_is_no_secret_then_nothing_is_sent(receiver: Receiver) -> None:
    with pytest.raises(WebhookFailed, match="no secret"):
        await Webhook({"localhost": HERE}, None).post(f"https://localhost:{receiver.port}/", {})
    assert receiver.calls == []
