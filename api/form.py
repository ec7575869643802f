"""A file and what is said of it, as browsers and curl send them: multipart/form-data (RFC 7578), read while it comes.

The fields stand before the file, so that it is known what the file is for when it begins, and nothing of it is held.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.body import Malformed, WrongContentType

MOST_FIELD_BYTES = 20_000
"""Of all fields together, their headers included."""


class WrongForm(WrongContentType):
    detail = "Send multipart/form-data."


@dataclass(frozen=True)
class Form:
    """What came before the file, and the file, which is read once."""

    fields: dict[str, str]
    filename: str
    file: AsyncIterator[bytes] | None
    """None if the form has none. Reading it raises :class:`api.body.Malformed` if it is cut off or is not the last
    part."""


async def read_form(req: Request) -> Form:
    """Everything up to the file, which is the part named ``file``.

    Raises :class:`WrongForm`, :class:`api.body.Malformed`.
    """
    kind, options = parse_options_header(req.headers.get("Content-Type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise WrongForm
    parts = _Parts(options[b"boundary"])
    coming = aiter(req.stream())
    while not parts.file_begun and not parts.ended:
        try:
            parts.take(await anext(coming))
        except StopAsyncIteration:
            raise Malformed("The form is cut off.") from None
    return Form(parts.fields, parts.filename, _pieces(parts, coming) if parts.file_begun else None)


async def _pieces(parts: "_Parts", coming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        if piece := parts.taken_out():
            yield piece
        if parts.ended:
            return
        try:
            parts.take(await anext(coming))
        except StopAsyncIteration:
            raise Malformed("The form is cut off.") from None


class _Parts:
    """What the parser finds."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.file_begun = False
        self.ended = False
        self._name = ""
        self._header = self._value = b""
        self._held = bytearray()
        self._field_bytes = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def take(self, piece: bytes) -> None:
        """Raises :class:`api.body.Malformed`."""
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise Malformed("The form is not multipart/form-data.") from None

    def taken_out(self) -> bytes:
        """What of the file has come since the last time."""
        piece = bytes(self._held)
        self._held.clear()
        return piece

    def _count(self, number: int) -> None:
        self._field_bytes += number
        if self._field_bytes > MOST_FIELD_BYTES:
            raise Malformed("The fields are too long.")

    def _on_part_begin(self) -> None:
        if self.file_begun:
            raise Malformed("The file must be the last part.")
        self._name = ""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode(errors="replace")
            if self._name == "file":
                self.file_begun = True
                self.filename = options.get(b"filename", b"").decode(errors="replace")
        self._header = self._value = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self.file_begun:
            self._count(end - start)
        self._held += data[start:end]

    def _on_part_end(self) -> None:
        if self.file_begun:
            return
        if self._name in self.fields:
            raise Malformed(f"{self._name[:100]}: it is there twice")
        self.fields[self._name] = self.taken_out().decode(errors="replace")

    def _on_end(self) -> None:
        self.ended = True
