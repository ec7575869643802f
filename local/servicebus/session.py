"""An AMQP session: what happens on one channel of a connection. OASIS AMQP 1.0, part 2, section 2.5."""

import logging
import uuid
from typing import TYPE_CHECKING, Any

from local.servicebus.codec import UInt
from local.servicebus.composites import (
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Rejected,
    Source,
    Target,
    Transfer,
)
from local.servicebus.errors import Refused, message_lock_lost, not_implemented
from local.servicebus.frames import frame
from local.servicebus.links import Incoming, Link, Outgoing, ReceivingClient, asking_client, sending_client
from local.servicebus.management import answer_management, answer_token, path_of

if TYPE_CHECKING:
    from local.servicebus.connection import Connection

log = logging.getLogger(__name__)

WINDOW = UInt(0x7FFFFFFF)
"""Transfers: as good as no session window. Link credit is what limits a client."""

_MANAGEMENT = "/$management"


class Session:
    """An AMQP session: the links on one channel, and the deliveries on them that wait to be settled."""

    def __init__(self, client: "Connection", channel: int, begin: Begin) -> None:
        self.client = client
        self.max_frame_size = client.max_frame_size
        self.next_incoming_id = int(begin.next_outgoing_id)
        self.next_outgoing_id = 0
        self._channel = channel
        self._links: dict[int, Link] = {}
        self._unsettled: dict[int, tuple[ReceivingClient, uuid.UUID]] = {}

    def write(self, performative: Any, payload: bytes = b"") -> None:
        self.client.write(frame(self._channel, performative, payload))

    def flow(self, **link: Any) -> None:
        self.write(Flow(UInt(self.next_incoming_id), WINDOW, UInt(self.next_outgoing_id), WINDOW, **link))

    def forget(self, link: Link) -> None:
        """The link was ended from this side; the client's answer to that needs none."""
        self._links.pop(link.handle, None)

    def expect_settlement(self, delivery_id: int, link: ReceivingClient, token: uuid.UUID) -> None:
        self._unsettled[delivery_id] = (link, token)

    def settled(self, delivery_id: UInt, outcome: Any) -> None:
        """Tell the client what became of what it sent."""
        self.write(Disposition(True, delivery_id, delivery_id, True, outcome))

    def replies(self, address: str, reply_to: str | None) -> Outgoing | None:
        """The link on which the client wants the answers of the node at this address."""
        for link in self._links.values():
            if isinstance(link, Outgoing) and link.address == address:
                target = link.terms.target.address if isinstance(link.terms.target, Target) else None
                if reply_to in (None, target, link.terms.name):
                    return link
        return None

    def end(self) -> None:
        """The session is over: whatever its links held, beyond locks, is free."""
        for link in self._links.values():
            link.closed()
        self._links.clear()

    def on_frame(self, performative: Any, payload: bytes) -> None:
        match performative:
            case Attach():
                self._on_attach(performative)
            case Flow(handle=UInt() as handle) if link := self._links.get(handle):
                link.on_flow(performative)
            case Transfer(handle=handle):
                self.next_incoming_id += 1
                link = self._links.get(handle)
                if isinstance(link, Incoming):
                    link.on_transfer(performative, payload)
            case Disposition(role=True):
                self._on_disposition(performative)
            case Detach(handle=handle) if link := self._links.pop(handle, None):
                link.closed()
                self.write(Detach(handle, True))

    def _on_attach(self, attach: Attach) -> None:
        terminus = attach.source if attach.role else attach.target
        address = path_of(str(terminus.address)) if isinstance(terminus, Source | Target) else ""
        link = Link(self, attach, address)
        try:
            if attach.target is not None and not isinstance(attach.target, Target):
                raise not_implemented("a transaction")
            link = self._links[attach.handle] = self._link(attach, address)
            link.open()
        except Refused as refused:
            link.refuse(refused)

    def _link(self, attach: Attach, address: str) -> Incoming | Outgoing:
        client, namespace = self.client, self.client.namespace
        if "com.microsoft:transfer-destination-address" in (attach.properties or {}):
            raise not_implemented("sending via another entity")
        if address == "$cbs" and attach.role:
            return Outgoing(self, attach, address)
        if address == "$cbs":
            return asking_client(self, attach, address, lambda asked: answer_token(client, asked, namespace.keys))
        queue = namespace.find(address.removesuffix(_MANAGEMENT))
        client.check_allowed(address)
        if not address.endswith(_MANAGEMENT):
            if attach.role:
                return ReceivingClient(self, attach, address, queue)
            return sending_client(self, attach, address, queue)
        if attach.role:
            return Outgoing(self, attach, address)
        return asking_client(self, attach, address, lambda asked: answer_management(client, queue, asked))

    def _on_disposition(self, disposition: Disposition) -> None:
        last = disposition.first if disposition.last is None else disposition.last
        if disposition.first == last:
            wanted = [int(last)]
        else:
            wanted = [number for number in self._unsettled if disposition.first <= number <= last]
        for delivery_id in wanted:
            outcome = self._settle(delivery_id, disposition.state)
            if not disposition.settled:
                self.write(Disposition(False, UInt(delivery_id), UInt(delivery_id), True, outcome))

    def _settle(self, delivery_id: int, state: Any) -> Any:
        """Whatever comes of it, the delivery is done: after a refusal, the SDK settles by way of $management."""
        try:
            if delivery_id not in self._unsettled:
                raise message_lock_lost()
            link, token = self._unsettled.pop(delivery_id)
            return link.settle(token, state)
        except Refused as refused:
            log.info("settlement refused: %s", refused)
            return Rejected(refused.error())
