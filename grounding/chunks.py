"""Blocks into chunks: the pieces that are embedded, searched and cited.

A heading begins a chunk and stays with what follows it. A table, a list and code are kept whole if they fit into one
chunk; a table that does not is parted between its rows and each part begins with its header. Where a section goes on
in the next chunk, that one begins with the end of the one before.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from grounding.blocks import Block, Kind

_SEPARATOR = "\n\n"
_CUTS = [re.compile(r"\n\s*"), re.compile(r"(?<=[.!?:;])\s+"), re.compile(r"\s+")]
"""Where a text is parted, best first: between lines, sentences, words."""
_RULE = re.compile(r"\|?[\s:|-]*-{3,}[\s:|-]*")


class Chunking(BaseModel):
    """In characters: a token is three or four of most languages, and the counts of all models differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=1_600, ge=50, le=20_000)
    """The most that a chunk's text has."""
    overlap: int = Field(default=200, ge=0)
    """The most that it repeats of the one before: at most half of the size."""

    @model_validator(mode="after")
    def _goes_on(self) -> "Chunking":
        if self.overlap > self.size // 2:
            raise ValueError("the overlap is at most half of the size")
        return self


@dataclass(frozen=True, slots=True)
class Chunk:
    id: str
    """Of the document's version and the position: the same each time."""
    position: int
    """From 0, in reading order."""
    text: str
    repeated: int
    """How many of its first characters another chunk has too: the end of the one before, or a table's header."""
    headings: tuple[str, ...]
    """What it stands under, the outermost first, its own heading last."""
    page: int | None
    last_page: int | None
    """The pages that its own text is on."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is not parted any further."""

    text: str
    block: Block
    header: str = ""
    """Of a table, for a piece that lacks it."""

    @property
    def headings(self) -> tuple[str, ...]:
        block = self.block
        return (*block.headings, " ".join(block.text.split())) if block.kind is Kind.HEADING else block.headings


def chunks(blocks: Iterable[Block], version: str, chunking: Chunking | None = None) -> list[Chunk]:
    """The chunks of a document in reading order, each at most ``chunking.size`` characters long.

    ``version`` names the document and its version, and becomes the beginning of the ids. Without what they repeat,
    the chunks hold all the text of the blocks, in order; only white space at the cuts may differ.
    """
    chunking = chunking or Chunking()
    packer = _Packer(version, chunking)
    for block in blocks:
        for piece in _pieces(block, chunking.size - chunking.overlap - len(_SEPARATOR)):
            packer.add(piece)
    packer.close()
    return packer.done


class _Packer:
    def __init__(self, version: str, chunking: Chunking) -> None:
        self.done: list[Chunk] = []
        self._version = version
        self._chunking = chunking
        self._pieces: list[_Piece] = []
        self._prefix = ""

    def add(self, piece: _Piece) -> None:
        begins_section = piece.block.kind is Kind.HEADING and any(
            before.block.kind is not Kind.HEADING for before in self._pieces
        )
        if begins_section:
            self.close()
        elif self._pieces and len(self._text([*self._pieces, piece])) > self._chunking.size:
            self._go_on(piece)
        self._pieces.append(piece)

    def _go_on(self, piece: _Piece) -> None:
        """Close the chunk; the next begins with a table's header or the end of this one, if ``piece`` leaves room."""
        last = self._pieces[-1]
        text = self._text(self._pieces)
        self.close()
        prefix = piece.header or ("" if last.block.kind is Kind.TABLE else _end_of(text, self._chunking.overlap))
        if prefix and len(prefix) + len(_SEPARATOR) + len(piece.text) <= self._chunking.size:
            self._prefix = prefix

    def close(self) -> None:
        """End the chunk, if there is one."""
        if not self._pieces:
            return
        text = self._text(self._pieces)
        pages = [piece.block.page for piece in self._pieces if piece.block.page is not None]
        position = len(self.done)
        self.done.append(
            Chunk(
                id=f"{self._version}:{position}",
                position=position,
                text=text,
                repeated=len(self._prefix),
                headings=self._pieces[-1].headings,
                page=min(pages, default=None),
                last_page=max(pages, default=None),
            )
        )
        self._pieces, self._prefix = [], ""

    def _text(self, pieces: list[_Piece]) -> str:
        text = self._prefix
        before = pieces[0].block if self._prefix and pieces[0].header else None
        for piece in pieces:
            separator = "\n" if piece.block is before else _SEPARATOR
            text = f"{text}{separator}{piece.text}" if text else piece.text
            before = piece.block
        return text


def _pieces(block: Block, size: int) -> Iterator[_Piece]:
    """The block as one piece, or parted into pieces of at most ``size`` characters."""
    if len(block.text) <= size:
        yield _Piece(block.text, block)
        return
    lines = block.text.split("\n")
    header = ""
    if block.kind is Kind.TABLE and len(lines) > 1 and _RULE.fullmatch(lines[1]):
        header = "\n".join(lines[:2])
    room = size - len(header) - 1
    if not header or room < size // 2:  # a header that leaves no room for rows is not repeated
        yield from (_Piece(text, block) for text in _parted(block.text, size))
        return
    yield _Piece(header, block)
    for row in lines[2:]:
        yield from (_Piece(text, block, header) for text in _parted(row, room))


def _parted(text: str, size: int) -> Iterator[str]:
    while len(text) > size:
        at, after = _cut(text, size)
        yield text[:at]
        text = text[after:]
    if text:
        yield text


def _cut(text: str, size: int) -> tuple[int, int]:
    """Where the first part ends and where the next one begins."""
    for pattern in _CUTS:
        found = [match for match in pattern.finditer(text, size // 3, size + 1) if match.start() <= size]
        if found and found[-1].end() < len(text):
            return found[-1].span()
    return size, size


def _end_of(text: str, length: int) -> str:
    """The last words or sentences, at most ``length`` characters of them."""
    if length == 0 or len(text) <= length:
        return ""
    end = text[-length:]
    for pattern in _CUTS[1:]:
        if (match := pattern.search(end)) and match.end() < len(end):
            return end[match.end() :]
    return ""
