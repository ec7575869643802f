"""The AMQP 1.0 type system: Python values to bytes and back, keeping every type.

AMQP has more types than Python; each gets a class of its own here, so that what a client sent goes back out as the
same type. ``int`` is an AMQP long, ``float`` a double, ``str`` a string, ``bytes`` a binary, ``list`` a list, ``dict``
a map.
``char`` and the decimals are refused: nothing here sends them.

OASIS AMQP 1.0, part 1: types.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID


class DecodeError(ValueError):
    """The bytes are no AMQP value, or one of a type that is not supported."""


class Symbol(str):
    """An ASCII name out of a fixed vocabulary."""

    __slots__ = ()


class UByte(int):
    __slots__ = ()


class UShort(int):
    __slots__ = ()


class UInt(int):
    __slots__ = ()


class ULong(int):
    __slots__ = ()


class Byte(int):
    __slots__ = ()


class Short(int):
    __slots__ = ()


class Int(int):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01 UTC."""

    __slots__ = ()

    @classmethod
    def of(cls, seconds: float) -> "Timestamp":
        return cls(int(seconds * 1000))


class Float(float):
    """A 32-bit float."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it is."""

    descriptor: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, named by its Python class: ``Array(UUID, [token])``."""

    of: type
    items: list[Any]


_FIXED: dict[type, tuple[int, struct.Struct]] = {
    UByte: (0x50, struct.Struct(">B")),
    Byte: (0x51, struct.Struct(">b")),
    UShort: (0x60, struct.Struct(">H")),
    Short: (0x61, struct.Struct(">h")),
    UInt: (0x70, struct.Struct(">I")),
    Int: (0x71, struct.Struct(">i")),
    Float: (0x72, struct.Struct(">f")),
    ULong: (0x80, struct.Struct(">Q")),
    int: (0x81, struct.Struct(">q")),
    float: (0x82, struct.Struct(">d")),
    Timestamp: (0x83, struct.Struct(">q")),
}
"""Each type's full-width constructor."""

_SMALL: dict[int, tuple[type, struct.Struct]] = {
    0x52: (UInt, struct.Struct(">B")),
    0x53: (ULong, struct.Struct(">B")),
    0x54: (Int, struct.Struct(">b")),
    0x55: (int, struct.Struct(">b")),
}
"""The one-byte constructors of the wider integers."""

_VARIABLE: dict[type, int] = {bytes: 0xA0, str: 0xA1, Symbol: 0xA3}
"""Constructors with a one-byte length; 0x10 more has a four-byte length."""

_ARRAY_TYPES = {*_FIXED, *_VARIABLE, UUID, bool}

_UINT32 = struct.Struct(">I")


# -- encoding


def encode(value: Any) -> bytes:
    """The bytes of a value. Raises TypeError for a Python type that has no AMQP type."""
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: Any) -> None:
    kind = type(value)
    if value is None:
        out.append(0x40)
    elif kind is bool:
        out.append(0x41 if value else 0x42)
    elif kind is UInt or kind is ULong:
        _write_unsigned(out, value)
    elif kind in _FIXED:
        code, layout = _FIXED[kind]
        out.append(code)
        out += layout.pack(value)
    elif kind in _VARIABLE:
        data = value if kind is bytes else value.encode()
        short = len(data) < 256
        out.append(_VARIABLE[kind] + (0 if short else 0x10))
        out += bytes((len(data),)) if short else _UINT32.pack(len(data))
        out += data
    elif kind is UUID:
        out.append(0x98)
        out += value.bytes
    elif kind is list:
        _write_compound(out, 0xC0, value)
    elif kind is dict:
        _write_compound(out, 0xC1, [part for pair in value.items() for part in pair])
    elif kind is Described:
        out.append(0x00)
        _write(out, value.descriptor)
        _write(out, value.value)
    elif kind is Array:
        _write_array(out, value)
    else:
        raise TypeError(f"{kind.__name__} has no AMQP type")


def _write_unsigned(out: bytearray, value: int) -> None:
    code, layout = _FIXED[type(value)]
    if value == 0:
        out.append(0x43 if code == 0x70 else 0x44)
    elif value < 256:
        out += bytes((0x52 if code == 0x70 else 0x53, value))
    else:
        out.append(code)
        out += layout.pack(value)


def _write_compound(out: bytearray, code: int, items: list[Any]) -> None:
    if not items and code == 0xC0:
        out.append(0x45)
        return
    body = bytearray()
    for item in items:
        _write(body, item)
    if len(body) < 255 and len(items) < 256:
        out += bytes((code, len(body) + 1, len(items)))
    else:
        out.append(code + 0x10)
        out += _UINT32.pack(len(body) + 4)
        out += _UINT32.pack(len(items))
    out += body


def _write_array(out: bytearray, array: Array) -> None:
    if array.of in _FIXED:
        code, layout = _FIXED[array.of]
        body = b"".join(layout.pack(item) for item in array.items)
    elif array.of is UUID:
        code, body = 0x98, b"".join(item.bytes for item in array.items)
    elif array.of is bool:
        code, body = 0x56, bytes(array.items)
    elif array.of in _VARIABLE:
        code = _VARIABLE[array.of] + 0x10
        parts = [item if array.of is bytes else item.encode() for item in array.items]
        body = b"".join(_UINT32.pack(len(part)) + part for part in parts)
    else:
        raise TypeError(f"no arrays of {array.of.__name__}")
    out.append(0xF0)
    out += _UINT32.pack(len(body) + 5)
    out += _UINT32.pack(len(array.items))
    out.append(code)
    out += body


# -- decoding


def decode(data: bytes, position: int = 0) -> tuple[Any, int]:
    """The value that starts at ``position``, and the position after it. Raises DecodeError, and nothing else."""
    try:
        return _read(data, position)
    except DecodeError:
        raise
    except (IndexError, struct.error):
        raise DecodeError("the value is cut off") from None
    except UnicodeDecodeError:
        raise DecodeError("a string is not UTF-8") from None
    except RecursionError:
        raise DecodeError("the value is nested too deeply") from None


def _read(data: bytes, position: int) -> tuple[Any, int]:
    code = data[position]
    if code == 0x00:
        descriptor, position = _read(data, position + 1)
        value, position = _read(data, position)
        return Described(descriptor, value), position
    return _reader(code)[1](data, position + 1)


type _Read = Callable[[bytes, int], tuple[Any, int]]


def _reader(code: int) -> tuple[type, _Read]:
    reader = _READERS.get(code)
    if reader is None:
        raise DecodeError(f"constructor 0x{code:02x} is not supported")
    return reader


def _bytes(data: bytes, start: int, size: int) -> bytes:
    value = data[start : start + size]
    if len(value) < size:
        raise DecodeError("the value is cut off")
    return value


def _constant(value: Any) -> _Read:
    return lambda _, position: (value, position)


def _fixed(kind: type, layout: struct.Struct) -> _Read:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        (value,) = layout.unpack_from(data, position)
        return (value if kind is int or kind is float else kind(value)), position + layout.size

    return read


def _variable(kind: type, width: int) -> _Read:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        size = int.from_bytes(_bytes(data, position, width))
        value = _bytes(data, position + width, size)
        end = position + width + size
        if kind is bytes:
            return value, end
        return (str(value, "utf-8") if kind is str else Symbol(value, "utf-8")), end

    return read


def _boolean(data: bytes, position: int) -> tuple[Any, int]:
    return data[position] == 1, position + 1


def _uuid(data: bytes, position: int) -> tuple[Any, int]:
    return UUID(bytes=_bytes(data, position, 16)), position + 16


def _list(width: int) -> _Read:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        end, count, position = _sizes(data, position, width)
        items = []
        for _ in range(count):
            item, position = _read(data, position)
            items.append(item)
        if position != end:
            raise DecodeError("a compound value is not as long as it says")
        return items, end

    return read


def _map(width: int) -> _Read:
    read_items = _list(width)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        items, end = read_items(data, position)
        if len(items) % 2:
            raise DecodeError("a map has a key without a value")
        try:
            return dict(zip(items[::2], items[1::2], strict=True)), end
        except TypeError:
            raise DecodeError("a map has a key that is no plain value") from None

    return read


def _array(width: int) -> _Read:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        end, count, position = _sizes(data, position, width)
        kind, read_item = _reader(data[position])
        position += 1
        if kind not in _ARRAY_TYPES:
            raise DecodeError(f"arrays of {kind.__name__} are not supported")
        # Items of no width (null, true, 0) would let a few bytes stand for a list of any length.
        if count > end - position:
            raise DecodeError("an array is not as long as it says")
        items = []
        for _ in range(count):
            item, position = read_item(data, position)
            items.append(item)
        if position != end:
            raise DecodeError("an array is not as long as it says")
        return Array(kind, items), end

    return read


def _sizes(data: bytes, position: int, width: int) -> tuple[int, int, int]:
    """The end of the compound value at ``position``, its count of items, and where they start."""
    size = int.from_bytes(_bytes(data, position, width))
    count = int.from_bytes(_bytes(data, position + width, width))
    end = position + width + size
    if end > len(data) or size < width:
        raise DecodeError("the value is cut off")
    return end, count, position + 2 * width


_READERS: dict[int, tuple[type, _Read]] = {
    0x40: (type(None), _constant(None)),
    0x41: (bool, _constant(True)),
    0x42: (bool, _constant(False)),
    0x43: (UInt, _constant(UInt(0))),
    0x44: (ULong, _constant(ULong(0))),
    0x45: (list, lambda _, position: ([], position)),
    0x56: (bool, _boolean),
    0x98: (UUID, _uuid),
    0xC0: (list, _list(1)),
    0xC1: (dict, _map(1)),
    0xD0: (list, _list(4)),
    0xD1: (dict, _map(4)),
    0xE0: (Array, _array(1)),
    0xF0: (Array, _array(4)),
    **{code: (kind, _fixed(kind, layout)) for kind, (code, layout) in _FIXED.items()},
    **{code: (kind, _fixed(kind, layout)) for code, (kind, layout) in _SMALL.items()},
    **{code: (kind, _variable(kind, 1)) for kind, code in _VARIABLE.items()},
    **{code + 0x10: (kind, _variable(kind, 4)) for kind, code in _VARIABLE.items()},
}
"""What each constructor byte stands for: the Python class, and how to read what follows."""
