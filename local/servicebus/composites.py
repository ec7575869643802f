"""AMQP 1.0 composites: described lists with named fields. Performatives, outcomes, termini, message sections.

Each is a NamedTuple whose annotations are checked when one is decoded, so that the rest of the broker need not. All
fields are sent, trailing nulls included: releases of the SDK before 7.15 index them without looking at the length.

OASIS AMQP 1.0: part 2 (transport), part 3 (messaging), part 5 (security).
"""

from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from local.servicebus.codec import Array, DecodeError, Described, Symbol, UByte, UInt, ULong, UShort

# -- transport


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None
    """Milliseconds without a frame after which the sender of this gives the connection up."""
    outgoing_locales: Symbol | Array | None = None
    incoming_locales: Symbol | Array | None = None
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: dict[Any, Any] | None = None


class Begin(NamedTuple):
    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: dict[Any, Any] | None = None


class Attach(NamedTuple):
    name: str
    handle: UInt
    role: bool
    """True: whoever sends this receives on the link."""
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Any = None
    target: Any = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: Symbol | Array | None = None
    desired_capabilities: Symbol | Array | None = None
    properties: dict[Any, Any] | None = None


class Flow(NamedTuple):
    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: dict[Any, Any] | None = None


class Transfer(NamedTuple):
    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


class Detach(NamedTuple):
    handle: UInt
    closed: bool | None = None
    error: Any = None


class End(NamedTuple):
    error: Any = None


class Close(NamedTuple):
    error: Any = None


class Error(NamedTuple):
    condition: Symbol
    description: str | None = None
    info: dict[Any, Any] | None = None


class SaslMechanisms(NamedTuple):
    mechanisms: Symbol | Array


class SaslInit(NamedTuple):
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    code: UByte
    additional_data: bytes | None = None


# -- messaging: outcomes and termini


class Received(NamedTuple):
    section_number: UInt
    section_offset: ULong


class Accepted(NamedTuple):
    pass


class Rejected(NamedTuple):
    error: Any = None


class Released(NamedTuple):
    pass


class Modified(NamedTuple):
    delivery_failed: bool | None = None
    undeliverable_here: bool | None = None
    message_annotations: dict[Any, Any] | None = None


class Source(NamedTuple):
    address: Any = None
    durable: UInt | None = None
    expiry_policy: Symbol | None = None
    timeout: UInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: dict[Any, Any] | None = None
    distribution_mode: Symbol | None = None
    filter: dict[Any, Any] | None = None
    default_outcome: Any = None
    outcomes: Symbol | Array | None = None
    capabilities: Symbol | Array | None = None


class Target(NamedTuple):
    address: Any = None
    durable: UInt | None = None
    expiry_policy: Symbol | None = None
    timeout: UInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: dict[Any, Any] | None = None
    capabilities: Any = None


# -- messaging: sections of a message


class Header(NamedTuple):
    durable: bool | None = None
    priority: UByte | None = None
    ttl: UInt | None = None
    """Milliseconds."""
    first_acquirer: bool | None = None
    delivery_count: UInt | None = None


class Properties(NamedTuple):
    message_id: Any = None
    user_id: bytes | None = None
    to: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    correlation_id: Any = None
    content_type: str | None = None
    content_encoding: str | None = None
    absolute_expiry_time: Any = None
    creation_time: Any = None
    group_id: str | None = None
    """The session id."""
    group_sequence: UInt | None = None
    reply_to_group_id: str | None = None


_CODES: dict[type, int] = {
    Open: 0x10,
    Begin: 0x11,
    Attach: 0x12,
    Flow: 0x13,
    Transfer: 0x14,
    Disposition: 0x15,
    Detach: 0x16,
    End: 0x17,
    Close: 0x18,
    Error: 0x1D,
    Received: 0x23,
    Accepted: 0x24,
    Rejected: 0x25,
    Released: 0x26,
    Modified: 0x27,
    Source: 0x28,
    Target: 0x29,
    SaslMechanisms: 0x40,
    SaslInit: 0x41,
    SaslOutcome: 0x44,
    Header: 0x70,
    Properties: 0x73,
}


def _checks(composite: type) -> tuple[Any, ...]:
    """What each field must be an instance of."""
    return tuple(_check(hint) for hint in get_type_hints(composite).values())


def _check(hint: Any) -> Any:
    """``dict[Any, Any] | None`` as isinstance takes it: ``(dict, NoneType)``."""
    if hint is Any:
        return object
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(get_origin(member) or member for member in members)


_COMPOSITES: dict[int, tuple[Any, tuple[Any, ...]]] = {
    code: (composite, _checks(composite)) for composite, code in _CODES.items()
}


def describe(value: Any) -> Any:
    """A composite, and those inside it, as the described lists that the codec encodes; other values as they are."""
    code = _CODES.get(type(value))
    return value if code is None else Described(ULong(code), [describe(field) for field in value])


def undescribe(value: Any) -> Any:
    """The composite that a described list stands for; what is none of ours stays as it is. Raises DecodeError."""
    if not isinstance(value, Described) or not isinstance(value.descriptor, ULong):
        return value
    if value.descriptor not in _COMPOSITES:
        return value
    composite, checks = _COMPOSITES[value.descriptor]
    if not isinstance(value.value, list) or len(value.value) > len(checks):
        raise DecodeError(f"{composite.__name__} has too many fields")
    fields = [undescribe(field) for field in value.value] + [None] * (len(checks) - len(value.value))
    for name, field, check in zip(composite._fields, fields, checks, strict=True):
        if not isinstance(field, check):
            raise DecodeError(f"{composite.__name__}.{name} can't be {type(field).__name__}")
    return composite(*fields)
