"""What goes to a model and what comes back, whatever the provider."""

from typing import Literal, TypedDict

from pydantic import BaseModel, ConfigDict


class Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


class Completion(BaseModel):
    """What a model answered, and what the provider says it used; None where it doesn't say."""

    model_config = ConfigDict(frozen=True)

    text: str
    model: str
    finish_reason: str
    input_tokens: int | None
    """All of the prompt."""
    cached_input_tokens: int | None = None
    """Of these, the ones that the provider had in its cache."""
    output_tokens: int | None
