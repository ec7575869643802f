"""AMQP 1.0 framing: bytes of a connection to frames and back. OASIS AMQP 1.0, part 2, section 2.3."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from local.servicebus.codec import DecodeError, decode, encode
from local.servicebus.composites import describe, undescribe

MAX_FRAME_SIZE = 65536
"""Bytes: the largest frame taken or sent."""

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"

EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
"""Says nothing, and keeps the connection from being taken for dead."""

_HEAD = struct.Struct(">IBBH")


class Frame(NamedTuple):
    channel: int
    performative: Any
    payload: bytes


def frame(channel: int, performative: Any, payload: bytes = b"", *, sasl: bool = False) -> bytes:
    """The bytes of one frame."""
    body = encode(describe(performative))
    return _HEAD.pack(8 + len(body) + len(payload), 2, 1 if sasl else 0, channel) + body + payload


class FrameReader:
    """Cuts a byte stream into protocol headers (``bytes``) and frames. Empty frames are swallowed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Frame]:
        """What the stream holds now that ``data`` has arrived. Raises DecodeError: the stream is then useless."""
        self._buffer += data
        while len(self._buffer) >= 8:
            if self._buffer.startswith(b"AMQP"):
                yield self._take(8)
                continue
            size, offset, _, channel = _HEAD.unpack_from(self._buffer)
            start = offset * 4
            if not 8 <= start <= size <= MAX_FRAME_SIZE:
                raise DecodeError("the frame's size is impossible")
            if len(self._buffer) < size:
                return
            data = self._take(size)
            if size > start:
                value, end = decode(data, start)
                yield Frame(channel, undescribe(value), data[end:])

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data
