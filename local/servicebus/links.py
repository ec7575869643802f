"""The links of an AMQP session: a client sends to or receives from a queue, or asks ``$cbs`` and ``$management``.

OASIS AMQP 1.0, part 2, section 2.6; https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
"""

import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local.servicebus.codec import DecodeError, Described, Symbol, UInt, ULong
from local.servicebus.composites import (
    Accepted,
    Attach,
    Detach,
    Error,
    Flow,
    Modified,
    Rejected,
    Released,
    Source,
    Transfer,
)
from local.servicebus.entity import Queue
from local.servicebus.errors import Refused, not_implemented
from local.servicebus.frames import MAX_FRAME_SIZE
from local.servicebus.message import MAX_MESSAGE_SIZE, Message, Request, parse, parse_batch, parse_request

if TYPE_CHECKING:
    from local.servicebus.session import Session

log = logging.getLogger(__name__)

BATCH_FORMAT = 0x80013700
"""The message format of a batch: each data section is an encoded message."""

SESSION_FILTER = Symbol("com.microsoft:session-filter")

_CREDIT = 1000
"""Messages that a client may send before it hears of more; told again at half."""

_DEFAULT_SESSION_WAIT = 60.0

_TRANSFER_ROOM = MAX_FRAME_SIZE - 128
"""Bytes of payload in a frame: the rest is for the transfer's own fields."""

_SETTLED = 1
"""The sender settle mode that asks for messages which need no settling."""


class Link:
    """One end of a link. ``terms`` is the client's attach, ``address`` the path of the node it is attached to."""

    def __init__(self, session: "Session", attach: Attach, address: str) -> None:
        self.session = session
        self.terms = attach
        self.address = address
        self.handle = attach.handle
        self.credit = 0
        self.delivery_count = 0
        self.attached = False

    def attach(self, **fields: Any) -> None:
        """Agree: the client's own source and target are echoed, without which it drops the link."""
        self.attached = True
        terms = self.terms
        self.session.write(
            Attach(
                terms.name,
                self.handle,
                not terms.role,
                terms.snd_settle_mode,
                terms.rcv_settle_mode,
                fields.pop("source", terms.source),
                terms.target,
                initial_delivery_count=UInt(0) if terms.role else None,
                max_message_size=ULong(MAX_MESSAGE_SIZE),
                **fields,
            )
        )

    def refuse(self, refused: Refused) -> None:
        """End the link for this reason; one that is not attached yet is attached to nothing first."""
        log.info("link to %s refused: %s", self.address, refused)
        if not self.attached:
            terms = self.terms
            nothing: dict[str, Any] = {"source" if terms.role else "target": None}
            count = UInt(0) if terms.role else None
            self.session.write(terms._replace(role=not terms.role, initial_delivery_count=count, **nothing))
        self.session.write(Detach(self.handle, True, refused.error()))
        self.credit = 0
        self.session.forget(self)
        self.closed()

    def open(self) -> None:
        """Attach, now or when what the client waits for is there. Raises Refused."""
        self.attach()

    def closed(self) -> None:
        """The link is gone, whoever ended it. May be called twice."""

    def on_flow(self, flow: Flow) -> None:
        """The client tells of its credit, or asks for ours."""
        if flow.echo:
            self.flow()

    def flow(self, drain: bool = False) -> None:
        self.session.flow(
            handle=self.handle,
            delivery_count=UInt(self.delivery_count),
            link_credit=UInt(self.credit),
            available=UInt(0),
            drain=drain,
        )


class Incoming(Link):
    """The client sends; ``take`` gets each whole delivery. Refused or garbage is answered with the outcome Rejected."""

    def __init__(self, session: "Session", attach: Attach, address: str, take: Callable[[int, bytes], None]) -> None:
        super().__init__(session, attach, address)
        self._take = take
        self._first: Transfer | None = None
        self._payload = bytearray()

    def open(self) -> None:
        limit = {Symbol("com.microsoft:max-message-batch-size"): ULong(MAX_MESSAGE_SIZE)}
        self.attach(properties=limit)
        self._grant()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        first = self._first = self._first or transfer
        self._payload += payload
        if transfer.more:
            return
        data, self._first, self._payload = bytes(self._payload), None, bytearray()
        self.delivery_count += 1
        self.credit -= 1
        outcome = Rejected() if transfer.aborted else self._outcome(first, data)
        if not first.settled and first.delivery_id is not None:
            self.session.settled(first.delivery_id, outcome)
        if self.credit <= _CREDIT // 2:
            self._grant()

    def _outcome(self, first: Transfer, data: bytes) -> Accepted | Rejected:
        try:
            if first.state is not None:
                raise not_implemented("a transaction")
            if len(data) > MAX_MESSAGE_SIZE:
                raise Refused("amqp:link:message-size-exceeded", f"The limit is {MAX_MESSAGE_SIZE} bytes.")
            self._take(first.message_format or 0, data)
        except DecodeError as error:
            return Rejected(Refused("amqp:decode-error", str(error)).error())
        except Refused as refused:
            log.info("message to %s refused: %s", self.address, refused)
            return Rejected(refused.error())
        return Accepted()

    def _grant(self) -> None:
        self.credit = _CREDIT
        self.flow()


class Outgoing(Link):
    """The client receives: here, the answers to its requests."""

    def transfer(self, data: bytes, tag: bytes, *, settled: bool) -> int:
        """Send one delivery, in as many frames as it takes; its id."""
        session = self.session
        self.credit -= 1
        self.delivery_count += 1
        delivery_id = session.next_outgoing_id
        room = min(_TRANSFER_ROOM, session.max_frame_size - 128)
        for start in range(0, len(data), room):
            more = start + room < len(data)
            transfer = Transfer(self.handle, settled=settled, more=more)
            if start == 0:
                transfer = transfer._replace(delivery_id=UInt(delivery_id), delivery_tag=tag, message_format=UInt(0))
            session.write(transfer, data[start : start + room])
            session.next_outgoing_id += 1
        return delivery_id

    def on_flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            self.credit = (flow.delivery_count or 0) + flow.link_credit - self.delivery_count
        super().on_flow(flow)


class ReceivingClient(Outgoing):
    """The client receives from a queue, or from one session of it."""

    def __init__(self, session: "Session", attach: Attach, address: str, queue: Queue) -> None:
        super().__init__(session, attach, address)
        self.queue = queue

    def open(self) -> None:
        if self.terms.snd_settle_mode == _SETTLED:
            raise not_implemented("receive and delete")
        filters = self._source().filter or {}
        if unknown := set(filters) - {SESSION_FILTER}:
            raise not_implemented(f"the filters {sorted(map(str, unknown))}")
        if SESSION_FILTER not in filters:
            self.queue.attach(self)
            self.attach()
            return
        wanted = filters[SESSION_FILTER]
        session_id = wanted.value if isinstance(wanted, Described) else wanted
        if not isinstance(session_id, str | None):
            raise Refused("amqp:invalid-field", "A session id is a string.")
        wait = (self.terms.properties or {}).get("com.microsoft:timeout")
        self.session.client.operation(f"accept-session {self.queue.name}")
        self.queue.attach_session(self, session_id, wait / 1000 if wait else _DEFAULT_SESSION_WAIT)

    def _source(self) -> Source:
        source = self.terms.source
        return source if isinstance(source, Source) else Source()

    def accepted(self, session_id: str, until: float) -> None:
        source = self._source()
        wanted = (source.filter or {}).get(SESSION_FILTER)
        value = Described(wanted.descriptor, session_id) if isinstance(wanted, Described) else session_id
        # .NET ticks: 100 ns since the year 1.
        ticks = int(until * 1e7) + 621_355_968_000_000_000
        self.attach(
            source=source._replace(filter={SESSION_FILTER: value}),
            properties={Symbol("com.microsoft:locked-until-utc"): ticks},
        )

    def deliver(self, message: Message) -> None:
        assert message.lock
        token = message.lock.token
        try:
            self.session.client.operation(f"deliver {self.queue.name}")
        except Refused as refused:
            self.queue.release(token)
            self.refuse(refused)
            return
        if self.session.client.dropping:
            self.credit = 0  # this one is lost on its way, and locked until that expires
            return
        # The tag is the lock token with the byte order of a .NET GUID.
        delivery_id = self.transfer(message.encoded(), token.bytes_le, settled=False)
        self.session.expect_settlement(delivery_id, self, token)

    def on_flow(self, flow: Flow) -> None:
        super().on_flow(flow)
        if flow.drain:
            self.queue.pump()
            self.delivery_count += max(self.credit, 0)
            self.credit = 0
            self.flow(drain=True)
        else:
            self.queue.kick()

    def closed(self) -> None:
        self.queue.detach(self)

    def settle(self, token: uuid.UUID, state: Any) -> Any:
        """Settle a delivery as the client says; the outcome that it is told. Raises Refused."""
        queue = self.queue
        match state:
            case Accepted():
                self._operation("complete", token)
                queue.complete(token)
            case Rejected(error):
                self._operation("dead-letter", token)
                info = (error.info if isinstance(error, Error) else None) or {}
                queue.dead_letter(token, info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription"))
                return Rejected()  # an error here would say that it failed
            case Released():
                self._operation("release", token)
                queue.release(token)
            case Modified(undeliverable_here=True):
                raise not_implemented("defer")
            case Modified(message_annotations=changes) if changes:
                raise not_implemented("changing properties while abandoning")
            case Modified():
                self._operation("abandon", token)
                queue.abandon(token)
            case _:
                raise not_implemented("this delivery state")
        return state

    def _operation(self, name: str, token: uuid.UUID) -> None:
        if self.session.client.operation(f"{name} {self.queue.name}"):
            self.queue.lose_lock(token)


def sending_client(session: "Session", attach: Attach, address: str, queue: Queue) -> Incoming:
    """The client sends to a queue."""

    def take(message_format: int, data: bytes) -> None:
        messages = parse_batch(data) if message_format == BATCH_FORMAT else [parse(data)]
        session.client.operation(f"send {queue.name}", len(messages))
        queue.send(messages)

    return Incoming(session, attach, address, take)


def asking_client(session: "Session", attach: Attach, address: str, answer: Callable[[Request], bytes]) -> Incoming:
    """The client sends requests; each is answered on the link that it receives from the same node with."""

    def take(_: int, data: bytes) -> None:
        request = parse_request(data)
        link = session.replies(address, request.reply_to)
        if link is None:
            raise Refused("amqp:not-found", "There is no link for the reply.", 404)
        link.transfer(answer(request), uuid.uuid4().bytes, settled=True)

    return Incoming(session, attach, address, take)
