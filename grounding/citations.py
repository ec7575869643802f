"""Sources as a model is given them, and what it cites of them."""

import re
from collections.abc import Sequence
from typing import Protocol

_CITATION = re.compile(r"[ \t]*\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]")
_MARK = re.compile(r"<\s*(/?)\s*(source)", re.IGNORECASE)


class Source(Protocol):
    """What a model is given of a document."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str: ...


def as_data(sources: Sequence[Source], question: str) -> str:
    """The question with its sources before it, numbered from 1, marked as what they are: data, not instructions.

    Nothing in a source can end its mark.
    """
    marked = [
        f'<source number="{number}" title="{_unmarked(source.title.replace(chr(34), chr(39)))}">\n'
        f"{_unmarked(source.text)}\n</source>"
        for number, source in enumerate(sources, start=1)
    ]
    return "\n\n".join([*marked, question])


def _unmarked(text: str) -> str:
    return _MARK.sub(r"(\1\2", text)


def cited(answer: str) -> set[int]:
    """The numbers that an answer cites: ``[1]``, ``[2, 3]``."""
    return {int(number) for match in _CITATION.finditer(answer) for number in re.findall(r"\d+", match[1])}


def without_unfounded(answer: str, sources: int) -> tuple[str, int]:
    """The answer without what it cites beyond its sources, and how many citations that took."""
    removed = 0

    def kept(match: re.Match[str]) -> str:
        nonlocal removed
        numbers = re.findall(r"\d+", match[1])
        good = [number for number in numbers if 1 <= int(number) <= sources]
        if len(good) == len(numbers):
            return match[0]
        removed += len(numbers) - len(good)
        space = match[0][: match[0].index("[")]
        return f"{space}[{', '.join(good)}]" if good else ""

    return _CITATION.sub(kept, answer), removed
