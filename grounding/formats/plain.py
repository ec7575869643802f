"""Plain text: paragraphs between empty lines."""

import codecs
import re

from grounding.blocks import Collector, Kind
from grounding.errors import UnknownType

_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read(data: bytes, into: Collector) -> None:
    for paragraph in re.split(r"\n[ \t]*\n", decoded(data).replace("\r\n", "\n")):
        into.add(Kind.PARAGRAPH, paragraph)


def decoded(data: bytes) -> str:
    """The text: by its byte order mark, as UTF-8, else as Windows-1252. Raises :class:`UnknownType` if it is none."""
    try:
        text = data.decode(next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8"))
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if _BINARY.search(text):
        raise UnknownType
    return text
