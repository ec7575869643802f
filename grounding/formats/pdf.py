"""PDF, with pypdf: the text in the order in which it was written, its headings by the size of their letters.

Tables are text here: a PDF does not say what is one.
"""

import io
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import FileNotDecryptedError, LimitReachedError, PyPdfError

from grounding.blocks import Collector, Kind
from grounding.errors import Damaged, Encrypted, Scanned, TooLarge

logging.getLogger("pypdf").addHandler(logging.NullHandler())
logging.getLogger("pypdf").propagate = False  # what it says of a damaged file can quote the file

_LARGER = 1.15
"""How many times as large as most of the text the letters of a heading are, at least."""
_LONGEST_HEADING = 200
_PARAGRAPH_GAP = 1.7
"""The distance of two lines from which on a paragraph begins, in sizes of letters."""


@dataclass(slots=True)
class _Line:
    page: int
    text: str
    size: float
    y: float


def read(data: bytes, into: Collector) -> None:
    try:
        lines = _lines(data, into)
    except LimitReachedError as error:
        raise TooLarge("The document unpacks to more than may be read.") from error
    except FileNotDecryptedError as error:
        raise Encrypted from error
    # What pypdf raises for a damaged file is of many types.
    except (PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Damaged from error
    except (RecursionError, NotImplementedError, AssertionError, OSError) as error:
        raise Damaged from error
    if not lines:
        raise Scanned
    _add_blocks(lines, into)


def _lines(data: bytes, into: Collector) -> list[_Line]:
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Encrypted
    if len(reader.pages) > into.limits.pages:
        raise TooLarge(f"The document has more than {into.limits.pages:,} pages: split it.")
    lines: list[_Line] = []
    characters = 0
    for number, page in enumerate(reader.pages, start=1):
        into.check_time()
        found = _lines_of(page, number)
        characters += sum(len(line.text) for line in found)
        if characters > into.limits.characters:
            raise TooLarge(f"The document holds more than {into.limits.characters:,} characters of text: split it.")
        lines += found
    return lines


def _lines_of(page: PageObject, number: int) -> list[_Line]:
    lines: list[_Line] = []
    whole = True

    def visit(text: str, user: list[float], matrix: list[float], _: Any, size: float) -> None:
        nonlocal whole
        scale = (abs(matrix[3]) or abs(matrix[1]) or 1.0) * (abs(user[3]) or abs(user[1]) or 1.0)
        for part in text.splitlines(keepends=True):
            if whole:
                lines.append(_Line(number, "", 0.0, 0.0))
            line = lines[-1]
            if part.strip():
                if not line.text.strip():
                    line.y = matrix[5] * user[3] + user[5]
                line.size = max(line.size, size * scale)
            line.text += part
            whole = part.endswith("\n")

    page.extract_text(visitor_text=visit)
    return [line for line in lines if line.text.strip()]


def _add_blocks(lines: list[_Line], into: Collector) -> None:
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    usual = sizes.most_common(1)[0][0]
    larger = sorted({round(line.size, 1) for line in lines if _is_heading(line, usual)}, reverse=True)
    levels = {size: level for level, size in enumerate(larger, start=1)}
    paragraph: list[_Line] = []
    for line in lines:
        level = levels.get(round(line.size, 1)) if _is_heading(line, usual) else None
        if paragraph and (level or _begins(line, paragraph[-1])):
            into.add(Kind.PARAGRAPH, _joined(paragraph), page=paragraph[0].page)
            paragraph = []
        if level:
            into.add(Kind.HEADING, line.text, level=level, page=line.page)
        else:
            paragraph.append(line)
    if paragraph:
        into.add(Kind.PARAGRAPH, _joined(paragraph), page=paragraph[0].page)


def _is_heading(line: _Line, usual: float) -> bool:
    return line.size >= usual * _LARGER and len(line.text) <= _LONGEST_HEADING


def _begins(line: _Line, before: _Line) -> bool:
    """Whether a paragraph begins here: on a new page, after a gap, or further up (in the next column)."""
    gap = before.y - line.y
    return line.page != before.page or gap < 0 or gap > _PARAGRAPH_GAP * max(line.size, before.size, 1.0)


def _joined(lines: list[_Line]) -> str:
    """The lines as one, without the hyphens that part a word."""
    text = ""
    for line in lines:
        part = line.text.strip()
        if text.endswith("-") and text[-2:-1].isalpha() and part[:1].islower():
            text = text[:-1] + part
        else:
            text = f"{text} {part}" if text else part
    return text
