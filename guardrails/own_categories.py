"""Personal data of the customer's own kinds: staff numbers, project names, the ids of their systems.

What a customer writes is untrusted: a pattern is bounded in length, tried on texts that make bad ones backtrack before
it is taken, and given a time limit whenever it runs. One that runs out of it fails the check, which refuses the text.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Annotated, Self

import regex  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.checksums import CHECKSUMS
from guardrails.pii import Detection
from guardrails.reading import WINDOW

TRIAL_SECONDS = 0.05
"""How long a new pattern may take for a window of any text that it is tried on; ordinary ones take a tenth of it."""
SEARCH_SECONDS = 1.0
CONTEXT_CHARACTERS = 60
"""How near a context word must be."""

type Pattern = Annotated[str, Field(min_length=1, max_length=500)]
type Phrase = Annotated[str, Field(min_length=2, max_length=200)]


class OwnCategory(BaseModel):
    """A kind of personal data that the customer adds.

    A finding is a match of a pattern (of the `regex` package, letter case ignored) that passes the checksum, or a
    phrase of the deny list as a whole word. With context words, a match without one of them near by counts for less.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str = Field(pattern="^[A-Z][A-Z0-9_]{1,49}$")
    patterns: Annotated[list[Pattern], Field(max_length=20)] = []
    deny_list: Annotated[list[Phrase], Field(max_length=1000)] = []
    context: Annotated[list[Phrase], Field(max_length=50)] = []
    checksum: str | None = None
    confidence: float = Field(default=0.8, ge=0, le=1)
    confidence_without_context: float = Field(default=0.3, ge=0, le=1)

    @field_validator("patterns")
    @classmethod
    def _harmless(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            require_harmless(pattern)
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


def require_harmless(pattern: str) -> None:
    """Raises ValueError for a pattern that does not compile, matches the empty text, or backtracks for too long.

    Whether a pattern can be made to backtrack is tried on repetitions of what it itself is made of, followed by
    something that it does not expect: that is what sets a bad one off.
    """
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if compiled.search("") is not None:
        raise ValueError("matches the empty text, so every text")
    try:
        for probe in _probes(pattern):
            for _ in compiled.finditer(probe, timeout=TRIAL_SECONDS):
                pass
    except TimeoutError:
        raise ValueError("backtracks: it takes too long for some texts") from None


def _probes(pattern: str) -> Iterator[str]:
    own = sorted({character for character in pattern if character.isalnum() or character in " -.,@/_:"})[:6]
    units = [*own, "a", "0", " ", "a0", "a ", "0-", "é", "."]
    for unit, end in product(dict.fromkeys(units), ("", "!", "\n")):
        yield unit * (WINDOW // len(unit)) + end


def detect_own(text: str, categories: Sequence[OwnCategory]) -> list[Detection]:
    """What the text has of these categories. Raises TimeoutError for a pattern that takes too long."""
    return [found for category in categories for found in _detect(text, category)]


def _detect(text: str, category: OwnCategory) -> Iterator[Detection]:
    rule = f"own/{category.category}"
    valid: Callable[[str], bool] = CHECKSUMS[category.checksum] if category.checksum else lambda _: True
    for pattern in category.patterns:
        for match in regex.compile(pattern, regex.IGNORECASE).finditer(text, timeout=SEARCH_SECONDS):
            start, end = match.span()
            if start < end and valid(match.group()):
                near = not category.context or _near(text, start, end, tuple(category.context))
                confidence = category.confidence if near else category.confidence_without_context
                yield Detection(category.category, rule, start, end, confidence)
    if category.deny_list:
        for match in _words(tuple(category.deny_list)).finditer(text, timeout=SEARCH_SECONDS):
            start, end = match.span()
            yield Detection(category.category, rule, start, end, 1.0)


def _near(text: str, start: int, end: int, context: tuple[str, ...]) -> bool:
    around = text[max(0, start - CONTEXT_CHARACTERS) : start] + "\n" + text[end : end + CONTEXT_CHARACTERS]
    return _words(context).search(around, timeout=SEARCH_SECONDS) is not None


@functools.lru_cache(256)
def _words(phrases: tuple[str, ...]) -> regex.Pattern[str]:
    """The phrases as whole words, in any case, with any white space between their words."""
    longest_first = sorted(phrases, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(regex.escape, phrase.split())) for phrase in longest_first)
    return regex.compile(rf"(?<!\w)(?:{either})(?!\w)", regex.IGNORECASE)
