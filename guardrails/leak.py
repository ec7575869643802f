"""Whether an answer gives away the instructions that the model was given."""

import regex  # type: ignore[import-untyped]

from guardrails.readings import readings
from guardrails.verdict import Action, Finding

CATEGORY = "system-prompt-leak"
WORDS_IN_A_ROW = 12
"""Of the instructions, that an answer has by quoting them rather than by chance."""

_WORD = regex.compile(r"[\p{L}\p{N}]+")


def leaks(answer: str, instructions: str) -> set[Finding]:
    """Where the answer quotes the instructions: so many of their words in a row, or all of them if there are fewer."""
    secret = [match.group().casefold() for match in _WORD.finditer(instructions)]
    length = min(WORDS_IN_A_ROW, len(secret))
    if length < WORDS_IN_A_ROW // 2:  # so few words say nothing
        return set()
    runs = {tuple(secret[start : start + length]) for start in range(len(secret) - length + 1)}
    found = set()
    for reading in readings(answer):
        matches = list(_WORD.finditer(reading.text))
        said = [match.group().casefold() for match in matches]
        places = [start for start in range(len(said) - length + 1) if tuple(said[start : start + length]) in runs]
        if places:
            start, end = reading.source(matches[places[0]].start(), matches[places[-1] + length - 1].end())
            found.add(
                Finding(category=CATEGORY, rule=CATEGORY, start=start, end=end, confidence=1.0, action=Action.BLOCK)
            )
    return found
