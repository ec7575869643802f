"""What a text that goes on could still become: from where on the rules can't be sure of it yet."""

from collections.abc import Iterator

import regex  # type: ignore[import-untyped]

from guardrails.patterns import compiled, words
from guardrails.policy import Policy
from guardrails.readings import forget, readings
from guardrails.topics import SEARCH_SECONDS, Side, concerning

HELD_CHARACTERS = 120
"""What personal data may take, and a name with what is around it."""


def undecided_from(text: str, policy: Policy) -> int:
    """The place in an answer from which on something that the policy looks for may have begun and not ended.

    Phrases and patterns are followed exactly, as far as they have matched; for the rest what may be long enough is held
    back. Raises TimeoutError for a pattern that takes too long.
    """
    place = max(0, len(text) - HELD_CHARACTERS)
    try:
        for reading in readings(text):
            for pattern in _searched(policy):
                for match in pattern.finditer(reading.text, partial=True, timeout=SEARCH_SECONDS):
                    if match.partial and match.start() < match.end():
                        place = min(place, reading.source(*match.span())[0])
    finally:
        forget()
    return place


def _searched(policy: Policy) -> Iterator[regex.Pattern[str]]:
    for topic in concerning(policy.acceptable_use, Side.ANSWER):
        yield from map(compiled, topic.patterns)
        if topic.phrases:
            yield words(tuple(topic.phrases))
    for category in policy.own_categories:
        yield from map(compiled, category.patterns)
        if category.deny_list:
            yield words(tuple(category.deny_list))
