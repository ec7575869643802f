"""Acceptable use: what must not be said, or not without notice, and how it is told.

A topic has detectors of several kinds, any of which is enough: phrases and patterns here, Azure AI Content Safety and a
model as judge through what the caller hands in. A detector that is asked for and not there fails the check.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Protocol, Self

import regex  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.errors import GuardrailFailed
from guardrails.patterns import Pattern, Phrase, compiled, words
from guardrails.readings import readings
from guardrails.verdict import Action, Finding

SEARCH_SECONDS = 1.0
"""How long one pattern may search one reading of a text; ordinary ones take milliseconds for 100,000 characters."""


class Side(StrEnum):
    """Where a text comes from."""

    PROMPT = "prompt"
    ANSWER = "answer"
    DOCUMENT = "document"
    """What was found to ground an answer in, and earlier turns: data, never instructions."""


type Harm = Literal[
    "harm", "violence", "weapons", "self-harm", "hate", "sexual", "crime", "cyber", "privacy", "fraud", "deception"
]


class Topic(BaseModel):
    """Something that the policy does not want, or wants to know of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    category: str = Field(min_length=1, max_length=100)
    action: Literal[Action.BLOCK, Action.WARN, Action.LOG]
    sides: Annotated[list[Literal[Side.PROMPT, Side.ANSWER]], Field(min_length=1)] = [Side.PROMPT, Side.ANSWER]
    phrases: Annotated[list[Phrase], Field(max_length=1000)] = []
    patterns: Annotated[list[Pattern], Field(max_length=100)] = []
    content_safety: dict[Literal["Hate", "SelfHarm", "Sexual", "Violence"], Annotated[int, Field(ge=1, le=6)]] = {}
    """From which severity on (2 low, 4 medium, 6 high) Azure AI Content Safety's finding counts."""
    classifier: Annotated[list[Harm], Field(max_length=20)] = []
    """Kinds of harm that this process's classifier flags; `harm` is any of them. A flag, not a judgment: figures are in
    docs/guardrails-flags.md."""
    prompt_shield: bool = False
    """Whether an attack that Azure's Prompt Shields see in the prompt counts."""
    judge: Annotated[str, Field(max_length=1000)] = ""
    """A question about the text that a model answers with yes or no; yes counts."""

    @property
    def is_remote(self) -> bool:
        """Whether it needs a detector beyond this process."""
        return bool(self.content_safety or self.prompt_shield or self.judge)

    @model_validator(mode="after")
    def _detects_something(self) -> Self:
        if not (self.phrases or self.patterns or self.classifier or self.is_remote):
            raise ValueError("has no detector")
        return self

    @field_validator("patterns")
    @classmethod
    def _can_be_searched(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            compiled(pattern)
        return patterns


class Remote(Protocol):
    """Detectors beyond this process, which the caller hands in."""

    async def severities(self, text: str) -> Mapping[str, int]:
        """Azure AI Content Safety's severity by category."""

    async def attacks(self, prompt: str) -> bool:
        """Whether Prompt Shields see an attack in a prompt."""

    async def judges(self, question: str, text: str) -> bool:
        """What a model answers to a question about a text."""


def matches(text: str, topics: Sequence[Topic]) -> set[Finding]:
    """Every phrase and pattern of every topic, and what the classifier flags, which is all of the text.

    Raises TimeoutError for a pattern that backtracks for too long, GuardrailFailed without the classifier's weights.
    """
    found = _flagged(text, [topic for topic in topics if topic.classifier])
    for reading in readings(text):
        for topic in topics:
            for pattern in _searched(tuple(topic.patterns), tuple(topic.phrases)):
                for match in pattern.finditer(reading.text, timeout=SEARCH_SECONDS):
                    start, end = reading.source(*match.span())
                    found.add(_finding(topic, start, end))
    return found


def _flagged(text: str, topics: Sequence[Topic]) -> set[Finding]:
    if not topics:
        return set()
    from guardrails.flags import flagged  # late: it takes time, and not every process checks

    scores = flagged(text)
    return {
        Finding(
            category=topic.category,
            rule=topic.id,
            start=0,
            end=len(text),
            confidence=max(scores[kind] for kind in topic.classifier if kind in scores),
            action=topic.action,
        )
        for topic in topics
        if any(kind in scores for kind in topic.classifier)
    }


async def asked(text: str, topics: Sequence[Topic], side: Side, remote: Remote | None) -> list[Finding]:
    """What the detectors beyond this process say. Raises what they raise, and GuardrailFailed if one is missing."""
    found = []
    if needs := [topic for topic in topics if topic.content_safety]:
        severities = await _there(remote).severities(text)
        found += [_finding(topic, 0, len(text)) for topic in needs if _reaches(severities, topic)]
    if side is Side.PROMPT and (needs := [topic for topic in topics if topic.prompt_shield]):
        attack = await _there(remote).attacks(text)
        found += [_finding(topic, 0, len(text)) for topic in needs if attack]
    for topic in topics:
        if topic.judge and await _there(remote).judges(topic.judge, text):
            found.append(_finding(topic, 0, len(text)))
    return found


def concerning(topics: Collection[Topic], side: Side) -> list[Topic]:
    return [topic for topic in topics if side in topic.sides]


def _there(remote: Remote | None) -> Remote:
    if remote is None:
        raise GuardrailFailed("the policy asks for a detector that is not there")
    return remote


def _reaches(severities: Mapping[str, int], topic: Topic) -> bool:
    return any(severities[category] >= severity for category, severity in topic.content_safety.items())


def _finding(topic: Topic, start: int, end: int) -> Finding:
    return Finding(category=topic.category, rule=topic.id, start=start, end=end, confidence=1.0, action=topic.action)


@functools.lru_cache(1000)
def _searched(patterns: tuple[str, ...], phrases: tuple[str, ...]) -> list[regex.Pattern[str]]:
    return [*map(compiled, patterns), *([words(phrases)] if phrases else [])]
