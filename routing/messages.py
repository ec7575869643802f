"""What goes to a model and what comes back, whatever the provider."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict

from pydantic import BaseModel, ConfigDict

from governance.reservations import Usage


class Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Asked:
    """What a model is asked to go on with."""

    messages: Sequence[Message]
    temperature: float
    max_output_tokens: int
    timeout_seconds: float
    """For the connection, and for each piece of the answer."""


class Completion(BaseModel):
    """What a model answered, and what the provider says it used; None where it doesn't say."""

    model_config = ConfigDict(frozen=True)

    text: str
    model: str
    finish_reason: Literal["stop", "length"]
    """Whether it came to an end, or to the most tokens that it may have."""
    input_tokens: int | None
    """All of the prompt."""
    cached_input_tokens: int | None = None
    """Of these, the ones that the provider had in its cache."""
    output_tokens: int | None

    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            output_tokens=self.output_tokens,
        )


class Embeddings(BaseModel):
    """What a model makes of some texts: a vector for each, in their order."""

    model_config = ConfigDict(frozen=True)

    vectors: list[list[float]]
    model: str
    input_tokens: int | None

    def usage(self) -> Usage:
        return Usage(input_tokens=self.input_tokens, output_tokens=0)


class Provider(Protocol):
    """One endpoint, with its credential at hand. What it can't do raises :class:`routing.providers.errors.ModelError`,
    as named in its subclasses, and nothing else."""

    async def complete(self, asked: Asked) -> Completion: ...

    def stream(self, asked: Asked) -> AsyncIterator[str | Completion]:
        """The answer's text in pieces that are not empty, and at the end all of it with its usage."""

    async def embed(self, texts: Sequence[str], timeout_seconds: float) -> Embeddings: ...
