"""What a document consists of, and the collector that keeps its limits."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from grounding.errors import TooLarge, TooSlow

_LONGEST_HEADING = 200
"""Characters of a heading that go into the paths below it; all of it is in its own block."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no text needs or UTF-8 can't hold: controls but for tab and line feed, and halves of surrogate pairs."""


class Kind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    TABLE = "table"
    LIST = "list"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    kind: Kind
    text: str
    """Never empty. A table has a row a line, its cells between ``|``."""
    headings: tuple[str, ...] = ()
    """The headings it is under, the outermost first; a heading is not among its own."""
    level: int | None = None
    """Of a heading: 1 is the highest below the document's title, which is 0."""
    page: int | None = None
    """From 1, where the file has pages of its own (PDF)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one document may cost. More than that is refused, never cut off."""

    bytes: int = 50 * 1024 * 1024
    """Of the file."""
    unpacked_bytes: int = 200 * 1024 * 1024
    """Of what an archive says it unpacks to; no more is unpacked."""
    pages: int = 2_000
    characters: int = 5_000_000
    """Of all blocks."""
    seconds: float = 120.0
    """Looked at between pages and blocks."""


class Collector:
    """Takes blocks in reading order. Raises :class:`TooLarge` or :class:`TooSlow` as soon as a limit is passed."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.blocks: list[Block] = []
        self._characters = 0
        self._clock = clock
        self._deadline = clock() + limits.seconds
        self._above: list[tuple[int, str]] = []
        self._path: tuple[str, ...] = ()

    def check_time(self) -> None:
        if self._clock() > self._deadline:
            raise TooSlow

    def add(self, kind: Kind, text: str, *, level: int | None = None, page: int | None = None) -> None:
        """Add a block, if its text is more than white space."""
        self.check_time()
        text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n"))
        text = text.strip("\n").rstrip() if kind is Kind.CODE else text.strip()
        if not text.strip():
            return
        self._characters += len(text)
        if self._characters > self.limits.characters:
            raise TooLarge(f"The document holds more than {self.limits.characters:,} characters of text: split it.")
        if level is not None:
            while self._above and self._above[-1][0] >= level:
                self._above.pop()
            self._path = tuple(heading for _, heading in self._above)
        self.blocks.append(Block(kind, text, self._path, level, page))
        if level is not None:
            self._above.append((level, " ".join(text.split())[:_LONGEST_HEADING]))
            self._path = tuple(heading for _, heading in self._above)


def table(rows: list[list[str]]) -> str:
    """A row a line, as Markdown writes them: the first is taken for the header."""
    lines = [
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |" for row in rows if any(row)
    ]
    if len(lines) > 1:
        lines.insert(1, "|" + " --- |" * max(len(rows[0]), 1))
    return "\n".join(lines)
