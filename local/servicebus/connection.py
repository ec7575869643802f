"""A client's connection: SASL, open and close, its AMQP sessions, and the faults that are to happen to it.

OASIS AMQP 1.0, part 2, sections 2.4 and 2.5. Clients authenticate with tokens (``$cbs``), so SASL is a formality.
"""

import asyncio
import logging

from local.servicebus.codec import Array, DecodeError, Symbol, UByte, UInt, UShort
from local.servicebus.composites import Begin, Close, End, Open, SaslInit, SaslMechanisms, SaslOutcome
from local.servicebus.errors import Refused, failed_with, unauthorized
from local.servicebus.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    MAX_FRAME_SIZE,
    SASL_HEADER,
    Frame,
    FrameReader,
    frame,
)
from local.servicebus.namespace import Namespace
from local.servicebus.session import WINDOW, Session

log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One TCP connection. What it writes leaves at the end of the turn of the event loop, after the store's commit."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.max_frame_size = 512
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._sessions: dict[int, Session] = {}
        self._allowed: set[str] = set()
        self._sasl_done = False
        self._out: list[bytes] = []
        self._stalled_until = 0.0
        self.dropping = False
        """What is written is thrown away, for the connection is about to be closed by a fault."""
        self._keep_alive: asyncio.TimerHandle | None = None

    # -- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.namespace.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.namespace.connections.discard(self)
        if self._keep_alive:
            self._keep_alive.cancel()
        self._end_sessions()

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._reader.feed(data):
                if self.dropping or self._transport.is_closing():
                    return
                if isinstance(item, bytes):
                    self._on_header(item)
                else:
                    self._on_frame(item)
        except DecodeError as error:
            self._close(Refused("amqp:decode-error", str(error)))
        except Refused as refused:
            self._close(refused)

    def write(self, data: bytes) -> None:
        if self.dropping:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        self.namespace.store.commit()
        if self._stalled_until > self._loop.time():
            self._loop.call_at(self._stalled_until, self._flush)
            return
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def abort(self) -> None:
        """Hang up, without a word."""
        self._transport.abort()

    # -- frames

    def _on_header(self, header: bytes) -> None:
        wanted = AMQP_HEADER if self._sasl_done else SASL_HEADER
        self.write(wanted)
        if header != wanted:
            # The answer to a header that is not spoken is the one that is, and the end.
            log.warning("a client speaks protocol %s, not %s", header[4:].hex(), wanted[4:].hex())
            self._finish()
        elif not self._sasl_done:
            names = [Symbol(name) for name in ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")]
            self.write(frame(0, SaslMechanisms(Array(Symbol, names)), sasl=True))

    def _on_frame(self, received: Frame) -> None:
        channel, performative, payload = received
        session = self._sessions.get(channel)
        match performative:
            case SaslInit():
                self._sasl_done = True
                self.write(frame(0, SaslOutcome(UByte(0)), sasl=True))
            case Open():
                self._on_open(performative)
            case Begin():
                self._sessions[channel] = Session(self, channel, performative)
                self.write(frame(channel, Begin(UShort(channel), UInt(0), WINDOW, WINDOW, UInt(0xFFFFFFFF))))
            case End() if session:
                session.end()
                del self._sessions[channel]
                self.write(frame(channel, End()))
            case Close():
                self.write(frame(0, Close()))
                self._finish()
            # The SDK detaches links of a session that it has ended: that is not worth an answer.
            case _ if session:
                session.on_frame(performative, payload)

    def _on_open(self, opened: Open) -> None:
        self.max_frame_size = max(512, min(opened.max_frame_size or MAX_FRAME_SIZE, MAX_FRAME_SIZE))
        self.write(frame(0, Open("servicebus", opened.hostname, UInt(MAX_FRAME_SIZE), UShort(4999))))
        if opened.idle_time_out:
            self._keep_alive_every(opened.idle_time_out / 2000)
        self.operation("connect")

    def _keep_alive_every(self, seconds: float) -> None:
        if self._keep_alive:
            self.write(EMPTY_FRAME)
        self._keep_alive = self._loop.call_later(seconds, self._keep_alive_every, seconds)

    def _close(self, refused: Refused) -> None:
        log.warning("connection closed: %s", refused)
        self.write(frame(0, Close(refused.error())))
        self._finish()

    def _finish(self) -> None:
        """Hang up once everything is written."""
        self._end_sessions()
        self._flush()
        self._transport.close()

    def _end_sessions(self) -> None:
        for session in self._sessions.values():
            session.end()
        self._sessions.clear()

    # -- what happens to operations

    def operation(self, name: str, count: int = 1) -> bool:
        """Count an operation (on ``count`` messages) and let the fault happen that is to happen to it.

        ``status`` is raised as Refused: the operation is not done. After ``delay`` and ``drop`` it is done, and the
        connection's answers leave late or, with the connection closed, never. True: it is to find its lock lost.
        """
        control = self.namespace.control
        control.count(name, count)
        fault = control.fault(name)
        if fault is None:
            return False
        log.warning("fault: %s %s", fault.kind, name)
        if fault.kind == "status":
            raise failed_with(fault.status)
        if fault.kind == "delay":
            self._stalled_until = self._loop.time() + fault.seconds
        elif fault.kind == "drop":
            self._flush()
            self.dropping = True
            self._loop.call_soon(self.abort)
        return fault.kind == "lock-lost"

    def allow(self, path: str) -> None:
        self._allowed.add(path)

    def check_allowed(self, address: str) -> None:
        """Raises Refused unless a token was shown for this entity or one above it."""
        if not any(address == path or path == "" or address.startswith(path + "/") for path in self._allowed):
            raise unauthorized("Unauthorized access. A token for this entity is required.")
