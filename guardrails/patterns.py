"""Patterns and phrases that a customer writes: untrusted input, since a pattern can be made to search for ever.

A pattern is bounded in length, tried on texts that make bad ones backtrack before a policy is saved, and given a time
limit whenever it runs.
"""

import functools
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Annotated

import regex  # type: ignore[import-untyped]  # unlike `re` it can give up in time
from pydantic import Field

from guardrails.reading import WINDOW

TRIAL_SECONDS = 0.05
"""How long a new pattern may take for a window of any text that it is tried on; ordinary ones take a tenth of it."""

type Pattern = Annotated[str, Field(min_length=1, max_length=1000)]
"""A regular expression of the `regex` package; letter case is ignored."""
type Phrase = Annotated[str, Field(min_length=2, max_length=200)]


class PatternBacktracks(ValueError):
    """There are texts for which the pattern takes too long."""


@functools.lru_cache(1000)
def compiled(pattern: str) -> regex.Pattern[str]:
    """Raises ValueError for what is no regular expression, or matches the empty text and so every text."""
    try:
        searched = regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if searched.search("") is not None:
        raise ValueError("matches the empty text, so every text")
    return searched


def require_harmless(patterns: Iterable[str]) -> None:
    """Raises PatternBacktracks, which names the pattern by its place.

    Whether a pattern can be made to backtrack is tried on repetitions of what it itself is made of, followed by
    something that it does not expect: that is what sets a bad one off.
    """
    for number, pattern in enumerate(patterns, start=1):
        try:
            for probe in _probes(pattern):
                for _ in compiled(pattern).finditer(probe, timeout=TRIAL_SECONDS):
                    pass
        except TimeoutError:
            raise PatternBacktracks(f"pattern {number} takes too long for some texts: it backtracks") from None


def _probes(pattern: str) -> Iterator[str]:
    own = sorted({character for character in pattern if character.isalnum() or character in " -.,@/_:"})[:6]
    units = [*own, "a", "0", " ", "a0", "a ", "0-", "é", "."]
    # The last end has every character that the pattern may insist on, so that it is not given up before it is tried.
    ends = ("", "!", "\n", "§" + "".join(dict.fromkeys(pattern)))
    for start, unit, end in product(("", "0", "a"), dict.fromkeys(units), ends):
        yield start + unit * (WINDOW // len(unit)) + end


@functools.lru_cache(1000)
def words(phrases: tuple[str, ...]) -> regex.Pattern[str]:
    """The phrases as whole words, in any case, with any white space between their words."""
    longest_first = sorted(phrases, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(regex.escape, phrase.split())) for phrase in longest_first)
    return regex.compile(rf"(?<!\w)(?:{either})(?!\w)", regex.IGNORECASE)
