"""A message: what the sender wrote, kept byte for byte, and what the broker adds.

OASIS AMQP 1.0, part 3, section 3.2; the ``x-opt-`` annotations are described at
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
"""

import uuid
from asyncio import TimerHandle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.servicebus.codec import DecodeError, Described, Int, Symbol, Timestamp, UInt, ULong, decode, encode
from local.servicebus.composites import Header, Properties, describe, undescribe
from local.servicebus.errors import Refused, not_implemented

MAX_MESSAGE_SIZE = 1024 * 1024
"""Bytes of a message or a batch: the default of Service Bus Premium."""

_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS, _PROPERTIES, _APPLICATION_PROPERTIES, _DATA = range(0x70, 0x76)
_VALUE = 0x77

_SCHEDULED = "x-opt-scheduled-enqueue-time"
_OF_THE_BROKER = {
    "x-opt-enqueued-time",
    "x-opt-sequence-number",
    "x-opt-locked-until",
    "x-opt-message-state",
    "x-opt-enqueue-sequence-number",
    "x-opt-lock-token",
}


@dataclass(slots=True)
class Lock:
    """Whoever knows the token may settle the message, until the time. Seconds since 1970."""

    token: uuid.UUID
    until: float
    timer: TimerHandle | None
    """Ends the lock; None where the session's does."""


@dataclass(slots=True, eq=False)
class Message:
    """``bare`` is the AMQP bare message: properties, application properties and body as the sender encoded them."""

    header: Header
    annotations: dict[Any, Any]
    properties: Properties
    bare: bytes
    sequence_number: int = 0
    enqueued: float = 0.0
    """Seconds since 1970; in the future while the message is scheduled."""
    delivery_count: int = 0
    """Deliveries that failed."""
    expires: float | None = None
    lock: Lock | None = None
    timer: TimerHandle | None = field(default=None, repr=False)
    """Activates a scheduled message, then ends its life."""

    @property
    def session_id(self) -> str | None:
        return self.properties.group_id

    @property
    def scheduled(self) -> float:
        """When it is to be enqueued, as its sender asked; 0 is at once."""
        return int(self.annotations.get(_SCHEDULED) or 0) / 1000

    @property
    def ttl(self) -> float | None:
        """Seconds."""
        return None if self.header.ttl is None else self.header.ttl / 1000

    def content(self) -> bytes:
        """The message as it is stored: nothing in it that the broker adds on delivery."""
        return b"".join((_section(self.header), _map_section(_ANNOTATIONS, self.annotations), self.bare))

    def encoded(self, state: int | None = None) -> bytes:
        """The message as a receiver gets it; with a state (0 active, 2 scheduled), as one who peeks does."""
        annotations = {
            **self.annotations,
            Symbol("x-opt-sequence-number"): self.sequence_number,
            Symbol("x-opt-enqueued-time"): Timestamp.of(self.enqueued),
        }
        if state is not None:
            annotations[Symbol("x-opt-message-state")] = Int(state)
        elif self.lock:
            annotations[Symbol("x-opt-locked-until")] = Timestamp.of(self.lock.until)
        header = self.header._replace(delivery_count=UInt(self.delivery_count))
        return b"".join((_section(header), _map_section(_ANNOTATIONS, annotations), self.bare))

    def add_application_properties(self, added: dict[str, str]) -> None:
        """Set application properties, leaving the others, and their types, as they are."""
        before, after = [_section(self.properties)], []
        held: dict[Any, Any] = {}
        for code, value, raw in _sections(self.bare):
            if code == _APPLICATION_PROPERTIES:
                held = _mapping(value)
            elif code != _PROPERTIES:
                after.append(raw)
        self.bare = b"".join((*before, _map_section(_APPLICATION_PROPERTIES, {**held, **added}), *after))

    def text(self) -> dict[str, Any]:
        """All of it as text, for whoever looks for what should not be in it."""
        shown: dict[str, Any] = {"annotations": self.annotations, "properties": self.properties._asdict(), "body": []}
        for code, value, _ in _sections(self.bare):
            if code == _APPLICATION_PROPERTIES:
                shown["application_properties"] = value
            elif code != _PROPERTIES:
                shown["body"].append(value)
        return {name: _text(value) for name, value in shown.items()}


def parse(data: bytes) -> Message:
    """The message that a client sent. Raises DecodeError for garbage, Refused for what is not supported."""
    header, annotations, properties = Header(), dict[Any, Any](), Properties()
    bare: list[tuple[int, bytes]] = []
    for code, value, raw in _sections(data):
        if code == _HEADER:
            header = _expect(Header, code, value)
        elif code == _ANNOTATIONS:
            annotations = {name: held for name, held in _mapping(value).items() if name not in _OF_THE_BROKER}
        elif code != _DELIVERY_ANNOTATIONS:
            bare.append((code, raw))
            if code == _PROPERTIES:
                properties = _expect(Properties, code, value)
    if properties.message_id is None:
        # The lock renewers of some SDKs break on a message without one.
        properties = properties._replace(message_id=uuid.uuid4().hex)
        bare = [(_PROPERTIES, _section(properties)), *((code, raw) for code, raw in bare if code != _PROPERTIES)]
    _refuse_unsupported(annotations, properties)
    return Message(header, annotations, properties, b"".join(raw for _, raw in bare))


def parse_batch(data: bytes) -> list[Message]:
    """The messages of a batch: each data section is one, encoded. What the envelope says of itself is ignored."""
    messages = []
    for code, value, _ in _sections(data):
        if code == _DATA and isinstance(value, bytes):
            messages.append(parse(value))
        elif code >= _DATA:
            raise DecodeError("the body of a batch is data sections")
    return messages


def _refuse_unsupported(annotations: dict[Any, Any], properties: Properties) -> None:
    if annotations.get("x-opt-partition-key", properties.group_id) != properties.group_id:
        raise not_implemented("a partition key that is not the session id")
    if "x-opt-via-partition-key" in annotations:
        raise not_implemented("sending via another entity")
    if not isinstance(annotations.get(_SCHEDULED), Timestamp | None):
        raise Refused("amqp:invalid-field", f"{_SCHEDULED} is no timestamp")


@dataclass(frozen=True, slots=True)
class Request:
    """A message to $cbs or to an entity's $management."""

    message_id: Any
    reply_to: str | None
    application_properties: dict[Any, Any]
    body: Any


def parse_request(data: bytes) -> Request:
    """A request out of its message. Raises DecodeError."""
    properties, application_properties, body = Properties(), dict[Any, Any](), None
    for code, value, _ in _sections(data):
        if code == _PROPERTIES:
            properties = _expect(Properties, code, value)
        elif code == _APPLICATION_PROPERTIES:
            application_properties = _mapping(value)
        elif code == _VALUE:
            body = value
    return Request(properties.message_id, properties.reply_to, application_properties, body)


def response(correlation_id: Any, application_properties: dict[str, Any], body: Any) -> bytes:
    """The message that answers a request."""
    properties = _section(Properties(correlation_id=correlation_id))
    value = encode(Described(ULong(_VALUE), body))
    return properties + _map_section(_APPLICATION_PROPERTIES, application_properties) + value


def _sections(data: bytes) -> Iterator[tuple[int, Any, bytes]]:
    """Descriptor code, value (of the described list as a whole for header and properties) and bytes of each section."""
    position = 0
    while position < len(data):
        section, end = decode(data, position)
        if not isinstance(section, Described) or not isinstance(section.descriptor, ULong):
            raise DecodeError("a message is made of sections")
        composite = section.descriptor in (_HEADER, _PROPERTIES)
        yield int(section.descriptor), undescribe(section) if composite else section.value, data[position:end]
        position = end


def _expect[T](kind: type[T], code: int, value: Any) -> T:
    if not isinstance(value, kind):
        raise DecodeError(f"section 0x{code:02x} is malformed")
    return value


def _mapping(value: Any) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DecodeError("a section of annotations or properties is no map")
    return value


def _section(composite: Header | Properties) -> bytes:
    return encode(describe(composite))


def _map_section(code: int, value: dict[Any, Any]) -> bytes:
    return encode(Described(ULong(code), value)) if value else b""


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {str(_text(name)): _text(held) for name, held in value.items() if held is not None}
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
