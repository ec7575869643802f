"""A file into blocks: the one way in.

The type is found from the content, never from a name. Nothing in a file is run, fetched or expanded: macros, scripts
and external entities are not looked at. Reading takes processor time; the limits bound it, the output and the memory.
"""

from grounding.blocks import Block, Collector, Limits
from grounding.errors import TooLarge, WithoutText
from grounding.formats import html, markdown, pdf, plain, word
from grounding.kinds import FileKind, kind_of

_READERS = {
    FileKind.PDF: pdf.read,
    FileKind.WORD: word.read,
    FileKind.HTML: html.read,
    FileKind.MARKDOWN: markdown.read,
    FileKind.TEXT: plain.read,
}


def extract(data: bytes, limits: Limits | None = None) -> list[Block]:
    """The blocks of a document, in reading order; at least one.

    Raises :class:`grounding.errors.DocumentRefused`, whose text is a reason for whoever uploaded it, and nothing else.
    """
    limits = limits or Limits()
    if len(data) > limits.bytes:
        raise TooLarge(f"The file is larger than {limits.bytes // 1024**2} MB: split it.")
    into = Collector(limits)
    _READERS[kind_of(data)](data, into)
    if not into.blocks:
        raise WithoutText
    return into.blocks
