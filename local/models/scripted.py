"""The scripted model: what it answers and what it says that this used."""

import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

CHARACTERS_PER_TOKEN = 4
DIMENSIONS = 384
"""Of its embeddings."""
_QUOTED = 60

type FinishReason = Literal["stop", "length", "content_filter"]
type Refusal = Literal["content_filter", "context_length"]


@dataclass(frozen=True)
class Prompt:
    """What the scripted model looks at in a request, whichever API it came by."""

    last_user_message: str
    characters: int
    """Of all the messages together."""
    max_tokens: int | None


class Usage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt_tokens: Annotated[int, Field(ge=0)]
    cached_tokens: Annotated[int, Field(ge=0)] | None = None
    """Of the prompt's; OpenAI's API only."""
    completion_tokens: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Answer:
    text: str
    finish_reason: FinishReason
    usage: Usage | None
    refusal: Refusal | None = None
    malformed: bool = False
    pause_seconds: float = 0.0
    drop_after: int | None = None
    piece_characters: int | None = None

    def pieces(self) -> list[str]:
        """Those in which it is streamed; joined they are the text."""
        if self.piece_characters is None:
            return re.findall(r"\s*\S+|\s+$", self.text)
        return ["".join(piece) for piece in itertools.batched(self.text, self.piece_characters, strict=False)]


def _is_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


class Line(BaseModel):
    """One line of a script: the first whose pattern is found in the user's last message gives the answer."""

    model_config = ConfigDict(extra="forbid")

    match: Annotated[str, AfterValidator(_is_pattern)] | None
    """A regular expression; null for any message."""
    answer: str
    usage: Usage | Literal["estimated"] | None = "estimated"
    """Null: the answer says nothing of usage."""
    finish_reason: FinishReason = "stop"
    refusal: Refusal | None = None
    """Instead of the answer, the error with which the API says that it will not, or can't, look at the prompt."""
    malformed: bool = False
    """What is answered is no JSON: it is cut short."""
    pause_seconds: float = 0.0
    """Before each piece of a streamed answer."""
    drop_after: int | None = None
    """After so many pieces of a streamed answer the connection ends."""
    piece_characters: Annotated[int, Field(ge=1)] | None = None
    """Of each piece of a streamed answer; else each is a word."""


def answer(script: list[Line], prompt: Prompt) -> Answer:
    """What the script says, or the default answer: it quotes the question, so that what leaks is seen."""
    for line in script:
        if line.match is None or re.search(line.match, prompt.last_user_message):
            break
    else:
        line = Line(match=None, answer=f"Here is what I can say about “{prompt.last_user_message[:_QUOTED]}”.")
    text, finish_reason = line.answer, line.finish_reason
    if prompt.max_tokens is not None and tokens(len(text)) > prompt.max_tokens:
        text, finish_reason = text[: prompt.max_tokens * CHARACTERS_PER_TOKEN], "length"
    usage = line.usage
    if usage == "estimated":
        usage = Usage(prompt_tokens=tokens(prompt.characters), completion_tokens=tokens(len(text)))
    return Answer(
        text,
        finish_reason,
        usage,
        line.refusal,
        line.malformed,
        line.pause_seconds,
        line.drop_after,
        line.piece_characters,
    )


def embed(texts: Sequence[str]) -> tuple[list[list[float]], int]:
    """A vector for each, and the tokens that they have together."""
    return [_embedding(text) for text in texts], sum(tokens(len(text)) for text in texts)


def _embedding(text: str) -> list[float]:
    """Texts with words in common have vectors that are near each other. Of length 1."""
    vector = [1e-6] * DIMENSIONS
    for word in re.findall(r"\w+", text.casefold()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) % DIMENSIONS] += 1
    length = math.hypot(*vector)
    return [each / length for each in vector]


def tokens(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)
