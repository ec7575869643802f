"""What the tests of identity share: the Entra ID stand-in in this process, and tokens of its people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from local.control import ControlClient
from local.entra.directory import Directory
from local.entra.server import Entra
from local.standin import Control, Fault, serving
from local.tls import Certificates, server_context

TENANT, CLIENT = (str(uuid5(NAMESPACE_DNS, name)) for name in ("tenant", "client"))
SALES, LEGAL, BOARD = (str(uuid5(NAMESPACE_DNS, name)) for name in ("sales", "legal", "board"))
ALICE, BOB = (str(uuid5(NAMESPACE_DNS, name)) for name in ("alice", "bob"))
DIRECTORY = Directory.model_validate(
    {
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "groups": [{"id": SALES, "name": "Sales"}, {"id": LEGAL, "name": "Legal"}, {"id": BOARD, "name": "Board"}],
        "people": [
            {"name": "alice", "display_name": "Alice", "oid": ALICE, "groups": ["Sales"]},
            {"name": "bob", "display_name": "Bob", "oid": BOB, "groups": ["Legal", "Board"], "extra_groups": 250},
        ],
    }
)


class Authority:
    """The stand-in: over plain HTTP, which is enough for keys, or over TLS, on which Microsoft's SDKs insist."""

    def __init__(self, entra: Entra, control: Control, control_url: str, managed_identity: str) -> None:
        self.url = entra.url
        self.authority = entra.authority
        self.control = control
        self.managed_identity = {"IDENTITY_ENDPOINT": managed_identity, "IDENTITY_HEADER": entra.identity_header}
        self._client = ControlClient(control_url)

    async def token(self, **how: Any) -> str:
        """As :class:`local.entra.tokens.TokenRequest` says; alice's, unless it says otherwise."""
        made = await self._client.call("POST", "/control/token", json={"person": "alice", **how})
        return str(made["access_token"])

    async def roll_key(self) -> None:
        await self._client.call("POST", "/control/roll-key")

    async def drop_old_keys(self) -> None:
        await self._client.call("POST", "/control/drop-old-keys")

    def fault(self, operation: str, **fault: object) -> None:
        """One more thing that is to go wrong: a failure, unless said otherwise."""
        self.control.faults.append(Fault.model_validate({"operation": operation, "kind": "status", **fault}))

    def count(self, operation: str) -> int:
        """How often the stand-in was asked for it."""
        return self.control.counts[operation]


@asynccontextmanager
async def authority(certificates: Certificates | None = None) -> AsyncIterator[Authority]:
    control = Control()
    entra = Entra(DIRECTORY.model_copy(deep=True), control)
    tls = server_context(certificates.server) if certificates else None
    async with (
        serving(entra.entra_app(), ssl_context=tls) as entra.url,
        serving(entra.managed_identity_app()) as managed_identity,
        serving(control.app()) as control_url,
    ):
        yield Authority(entra, control, control_url, f"{managed_identity}/msi/token")
