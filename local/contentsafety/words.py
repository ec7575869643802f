"""What the stand-in takes for harmful, and for an attack: texts in which a pattern is found."""

import re
from collections.abc import Sequence
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator

type Category = Literal["Hate", "SelfHarm", "Sexual", "Violence"]
CATEGORIES: tuple[Category, ...] = get_args(Category.__value__)


class Line(BaseModel):
    """One line of a script: what a text is in which the pattern is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: re.Pattern[str]
    categories: dict[Category, Literal[2, 4, 6]] = {}
    """How harmful."""
    attack: bool = False
    """Whether Prompt Shields see an attack, in a prompt and in a document alike."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.categories or self.attack):
            raise ValueError("says neither a category nor an attack")
        return self


def _line(words: str, *, attack: bool = False, **categories: Literal[2, 4, 6]) -> Line:
    return Line.model_validate({"match": rf"(?i)\b(?:{words})\b", "categories": categories, "attack": attack})


BUILT_IN = (
    _line(r"subhuman|vermin like (?:you|them)", Hate=4),
    _line(r"suicid(?:e|al)|self-harm", SelfHarm=2),
    _line(r"(?:kill|hurt|cut) myself", SelfHarm=6),
    _line(r"erotic|nude", Sexual=2),
    _line(r"porn(?:o|ographic|ography)?", Sexual=4),
    _line(r"punch|fistfight", Violence=2),
    _line(r"murder|stab (?:him|her|them)|kill (?:him|her|them|people)", Violence=4),
    _line(r"massacre|behead(?:ing)?", Violence=6),
    _line(r"(?:ignore|disregard) (?:all |any )?(?:the |your )?(?:previous|prior|above) instructions", attack=True),
    _line(r"do anything now|developer mode|reveal your (?:system )?prompt", attack=True),
    _line(r"system annotation|(?:if you are|to) (?:the|an|any) (?:AI|digital) assistant reading this", attack=True),
)
"""A few plain words for demonstrations. The service itself has models in their place."""


def severity(lines: Sequence[Line], category: Category, text: str) -> int:
    """The worst that any of the lines says."""
    return max((line.categories.get(category, 0) for line in lines if line.match.search(text)), default=0)


def is_attack(lines: Sequence[Line], text: str) -> bool:
    return any(line.attack and line.match.search(text) for line in lines)
