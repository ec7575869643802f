"""A recogniser: a pattern for one category, what makes a match valid, and the words that make it likely."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from guardrails.detection import Detection

BEFORE, AFTER = 60, 25
"""How near, in characters, a context word must be."""


@dataclass(frozen=True)
class Recogniser:
    """Finds a category by a pattern whose time is in proportion to the text's length.

    A match counts with `confidence`, or `with_context` if one of the context words stands near. A match that is not
    valid, where there is a test, does not count at all, or with `invalid_with_context` where a context word names it.
    """

    category: str
    name: str
    pattern: re.Pattern[str]
    confidence: float
    valid: Callable[[str], bool] | None = None
    context: re.Pattern[str] | None = None
    with_context: float = 0.85
    invalid_with_context: float = 0.0

    def find(self, text: str) -> Iterator[Detection]:
        """Every match that counts; its place is that of the group `it`, if the pattern has one."""
        group = "it" if "it" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            start, end = match.span(group)
            confidence = self._confidence(text, start, end)
            if confidence > 0:
                yield Detection(self.category, f"pii/{self.name}", start, end, confidence)

    def _confidence(self, text: str, start: int, end: int) -> float:
        invalid = self.valid is not None and not self.valid(text[start:end])
        if (
            self.context is None
            or (invalid and not self.invalid_with_context)
            or not near(text, start, end, self.context)
        ):
            return 0.0 if invalid else self.confidence
        return self.invalid_with_context if invalid else max(self.confidence, self.with_context)


def near(text: str, start: int, end: int, context: re.Pattern[str]) -> bool:
    """Whether a context word stands before `[start, end)` or shortly after it."""
    return bool(context.search(text[max(0, start - BEFORE) : start]) or context.search(text[end : end + AFTER]))


def words(alternatives: str) -> re.Pattern[str]:
    """A pattern for context words: whole words or the beginnings of words, in any case."""
    return re.compile(rf"(?<![^\W_])(?:{alternatives})", re.IGNORECASE)
