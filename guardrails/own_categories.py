"""Personal data of the customer's own kinds: staff numbers, project names, the ids of their systems.

A pattern that runs out of its time limit fails the check, which refuses the text.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.checksums import CHECKSUMS
from guardrails.detection import Detection
from guardrails.patterns import Pattern, Phrase, compiled, words

SEARCH_SECONDS = 1.0
CONTEXT_CHARACTERS = 60
"""How near a context word must be."""


class OwnCategory(BaseModel):
    """A kind of personal data that the customer adds.

    A finding is a match of a pattern (of the `regex` package, letter case ignored) that passes the checksum, or a
    phrase of the deny list as a whole word. With context words, a match without one of them near by counts for less.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str = Field(pattern="^[A-Z][A-Z0-9]*(_[A-Z0-9]*[A-Z][A-Z0-9]*)*$", min_length=2, max_length=50)
    """No part is a number alone: `<STAFF_1>` is the first STAFF."""
    patterns: Annotated[list[Pattern], Field(max_length=20)] = []
    deny_list: Annotated[list[Phrase], Field(max_length=1000)] = []
    context: Annotated[list[Phrase], Field(max_length=50)] = []
    checksum: str | None = None
    confidence: float = Field(default=0.8, ge=0, le=1)
    confidence_without_context: float = Field(default=0.3, ge=0, le=1)

    @field_validator("patterns")
    @classmethod
    def _can_be_searched(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            compiled(pattern)
        return patterns

    @field_validator("checksum")
    @classmethod
    def _known_checksum(cls, checksum: str | None) -> str | None:
        if checksum is not None and checksum not in CHECKSUMS:
            raise ValueError(f"no such checksum; there are {', '.join(sorted(CHECKSUMS))}")
        return checksum

    @model_validator(mode="after")
    def _finds_something(self) -> Self:
        if not self.patterns and not self.deny_list:
            raise ValueError("has neither patterns nor a deny list")
        return self


def detect_own(text: str, categories: Sequence[OwnCategory]) -> list[Detection]:
    """What the text has of these categories. Raises TimeoutError for a pattern that takes too long."""
    return [found for category in categories for found in _detect(text, category)]


def _detect(text: str, category: OwnCategory) -> Iterator[Detection]:
    rule = f"own/{category.category}"
    valid: Callable[[str], bool] = CHECKSUMS[category.checksum] if category.checksum else lambda _: True
    for pattern in category.patterns:
        for match in compiled(pattern).finditer(text, timeout=SEARCH_SECONDS):
            start, end = match.span()
            if start < end and valid(match.group()):
                near = not category.context or _near(text, start, end, tuple(category.context))
                confidence = category.confidence if near else category.confidence_without_context
                yield Detection(category.category, rule, start, end, confidence)
    if category.deny_list:
        for match in words(tuple(category.deny_list)).finditer(text, timeout=SEARCH_SECONDS):
            start, end = match.span()
            yield Detection(category.category, rule, start, end, 1.0)


def _near(text: str, start: int, end: int, context: tuple[str, ...]) -> bool:
    around = text[max(0, start - CONTEXT_CHARACTERS) : start] + "\n" + text[end : end + CONTEXT_CHARACTERS]
    return words(context).search(around, timeout=SEARCH_SECONDS) is not None
