"""The AMQP codec of the Service Bus stand-in: nothing is lost, and garbage is refused in one way only."""

import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.servicebus import codec
from local.servicebus.codec import Array, DecodeError, Described, Symbol, Timestamp, UInt, ULong, decode, encode
from local.servicebus.composites import Attach, Header, Source, Transfer, describe, undescribe
from local.servicebus.frames import EMPTY_FRAME, MAX_FRAME_SIZE, Frame, FrameReader, frame
from local.servicebus.message import parse, parse_batch

_RANGES = {
    codec.UByte: (0, 2**8 - 1),
    codec.UShort: (0, 2**16 - 1),
    codec.UInt: (0, 2**32 - 1),
    codec.ULong: (0, 2**64 - 1),
    codec.Byte: (-(2**7), 2**7 - 1),
    codec.Short: (-(2**15), 2**15 - 1),
    codec.Int: (-(2**31), 2**31 - 1),
    codec.Timestamp: (-(2**63), 2**63 - 1),
    int: (-(2**63), 2**63 - 1),
}
_OF_TYPE: dict[type, st.SearchStrategy[Any]] = {
    **{kind: st.integers(low, high).map(kind) for kind, (low, high) in _RANGES.items()},
    float: st.floats(allow_nan=False),
    codec.Float: st.floats(width=32, allow_nan=False).map(codec.Float),
    bool: st.booleans(),
    str: st.text(max_size=300),
    bytes: st.binary(max_size=300),
    Symbol: st.text(st.characters(codec="ascii"), max_size=20).map(Symbol),
    UUID: st.uuids(),
}
_arrays = st.sampled_from(list(_OF_TYPE)).flatmap(
    lambda kind: st.builds(Array, st.just(kind), st.lists(_OF_TYPE[kind], max_size=5))
)
_values = st.recursive(
    st.one_of(st.none(), *_OF_TYPE.values(), _arrays),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(_OF_TYPE[Symbol], inner, max_size=5)
        | st.builds(Described, _OF_TYPE[ULong], inner)
    ),
    max_leaves=10,
)


def typed(value: Any) -> Any:
    """The value with the type of everything in it, for a comparison that tells a uint from a long."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return [(typed(name), typed(held)) for name, held in value.items()]
    if isinstance(value, Described):
        return "described", typed(value.descriptor), typed(value.value)
    if isinstance(value, Array):
        return "array", value.of, typed(value.items)
    return type(value), value


@settings(max_examples=150, deadline=None)
@given(_values, st.binary(max_size=5))
def test_when_a_value_is_encoded_then_it_decodes_to_the_same_with_its_types(value: Any, before: bytes) -> None:
    data = before + encode(value)
    decoded, end = decode(data, len(before))
    assert typed(decoded) == typed(value)
    assert end == len(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_when_bytes_are_garbage_then_decoding_refuses_or_yields_what_can_be_sent_on(data: bytes) -> None:
    try:
        value, end = decode(data)
    except DecodeError:
        return
    assert end <= len(data)
    again, _ = decode(encode(value))
    assert repr(typed(again)) == repr(typed(value))  # repr: a NaN is no equal of itself


@settings(max_examples=60, deadline=None)
@given(_values, st.data())
def test_when_a_value_is_cut_off_then_decoding_refuses(value: Any, draw: st.DataObject) -> None:
    data = encode(value)
    with pytest.raises(DecodeError):
        decode(data[: draw.draw(st.integers(0, len(data) - 1))])


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # OASIS AMQP 1.0, part 1, section 1.6: the compact encodings that other peers choose.
        ("5600", False),
        ("5601", True),
        ("7000000007", UInt(7)),
        ("8000000000000000ff", ULong(255)),
        ("54ff", codec.Int(-1)),
        ("55fe", -2),
        ("8300000000000003e8", Timestamp(1000)),
        ("b10000000161", "a"),
        ("c00100", []),
    ],
)
def test_when_a_peer_encodes_differently_then_it_is_understood(data: str, value: Any) -> None:
    assert typed(decode(bytes.fromhex(data))[0]) == typed(value)


def test_when_an_array_has_one_byte_sizes_then_it_is_understood() -> None:
    assert decode(bytes.fromhex("e00602a301610162")) == (Array(Symbol, [Symbol("a"), Symbol("b")]), 8)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "7300000041",  # a char
        "74" + "00" * 4,  # decimals
        "94" + "00" * 16,
        "e0020541",  # an array of five trues that takes no bytes
        "c1020140",  # a map with a key and no value
        "c1040245c00100",  # a map with a list for a key
        "c0030140",  # a list that says it is longer than it is
        "a102ff41",  # a string that is not UTF-8
    ],
)
def test_when_a_type_or_shape_is_not_supported_then_decoding_refuses(data: str) -> None:
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(data))


def test_when_values_nest_without_end_then_decoding_refuses() -> None:
    with pytest.raises(DecodeError):
        decode(b"\x00" * 100_000)


def test_when_a_python_value_has_no_amqp_type_then_encoding_refuses() -> None:
    for value in (object(), (1, 2), Array(list, [])):
        with pytest.raises(TypeError):
            encode(value)


# -- composites and frames


def test_when_a_composite_is_sent_then_all_its_fields_are_there() -> None:
    described = describe(Attach("link", UInt(1), True, source=Source("q")))
    assert len(described.value) == len(Attach._fields)
    assert len(described.value[5].value) == len(Source._fields)
    assert undescribe(decode(encode(described))[0]) == Attach("link", UInt(1), True, source=Source("q"))


def test_when_trailing_fields_are_left_out_then_they_are_null() -> None:
    assert undescribe(Described(ULong(0x70), [True])) == Header(durable=True)


@pytest.mark.parametrize("fields", [["1"], [None], [UInt(1)] * 12, {}])
def test_when_a_composite_has_wrong_fields_then_it_is_refused(fields: Any) -> None:
    with pytest.raises(DecodeError):
        undescribe(Described(ULong(0x14), fields))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=100)), min_size=1, max_size=8),
    st.lists(st.integers(1, 40), min_size=1, max_size=10),
)
def test_when_a_stream_arrives_in_pieces_then_its_frames_are_the_same(
    sent: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    stream = b"AMQP\x00\x01\x00\x00"
    for channel, payload in sent:
        stream += EMPTY_FRAME + frame(channel, Transfer(UInt(channel)), payload)
    reader, read, position = FrameReader(), [], 0
    while position < len(stream):
        size = sizes[position % len(sizes)]
        read += list(reader.feed(stream[position : position + size]))
        position += size
    assert read[0] == b"AMQP\x00\x01\x00\x00"
    assert read[1:] == [Frame(channel, Transfer(UInt(channel)), payload) for channel, payload in sent]


@pytest.mark.parametrize("head", [(MAX_FRAME_SIZE + 1, 2), (7, 2), (16, 1), (16, 5)])
def test_when_a_frame_says_an_impossible_size_then_the_stream_is_refused(head: tuple[int, int]) -> None:
    size, offset = head
    with pytest.raises(DecodeError):
        list(FrameReader().feed(struct.pack(">IBBH", size, offset, 0, 0) + b"\x00" * 8))


# -- messages


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.sampled_from([parse, parse_batch]))
def test_when_a_message_is_garbage_then_it_is_refused_as_undecodable(data: bytes, read: Any) -> None:
    try:
        read(b"\x00\x53\x75" + data)
    except DecodeError:
        return


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_OF_TYPE[str], st.one_of(*_OF_TYPE.values()), max_size=5), st.binary(max_size=50))
def test_when_properties_are_added_to_a_message_then_the_rest_of_it_stays(held: dict[str, Any], body: bytes) -> None:
    properties, data = encode(Described(ULong(0x74), held)), encode(Described(ULong(0x75), body))
    message = parse(properties + data)
    assert message.bare.endswith(properties + data)
    message.add_application_properties({"DeadLetterReason": "why"})
    wanted = encode(Described(ULong(0x74), {**held, "DeadLetterReason": "why"})) + data
    assert message.bare.endswith(wanted)
    assert parse(message.content()).bare == message.bare
