"""Calls of a model: who makes one, what it asks, and the most tokens that it can take."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from routing.endpoints import Endpoint
from routing.messages import Asked, Completion, Embeddings, Message, Provider

MESSAGE_OVERHEAD_TOKENS = 16
"""What a chat template adds around one message, at most."""
TEXT_OVERHEAD_TOKENS = 4
"""What an embedding model adds around one text, at most: a mark of its beginning and of its end."""


class Relay(Protocol):
    """Where an answer goes while it is made."""

    @property
    def begun(self) -> bool:
        """Something has left: there is no other attempt."""

    async def add(self, piece: str) -> None: ...


@dataclass(frozen=True)
class Call[Result: (Completion, Embeddings)](ABC):
    """Who calls a model, and where it may be."""

    request_id: str
    purpose: str
    """``answer``, ``judge-<side>-<n>``, ...: two calls of a request are the same if their purpose is."""
    team: str
    person: str
    assistant: str
    residency: Literal["any", "azure"]
    endpoints: Sequence[str]
    """Ids, in the order in which they are to be asked."""

    @abstractmethod
    def most_tokens(self, endpoint: Endpoint) -> tuple[int, int]:
        """Of input and of output. No tokenizer makes more tokens of a text than it has UTF-8 bytes: a reservation must
        never be too small."""

    @abstractmethod
    async def made(self, provider: Provider, endpoint: Endpoint, timeout_seconds: float, relay: Relay | None) -> Result:
        """Raises :class:`routing.providers.errors.ModelError`."""

    @abstractmethod
    def result(self, kept: dict[str, Any]) -> Result: ...


@dataclass(frozen=True)
class ModelCall(Call[Completion]):
    """Asks for an answer."""

    messages: list[Message]
    temperature: float
    max_output_tokens: int

    def most_tokens(self, endpoint: Endpoint) -> tuple[int, int]:
        most_input = sum(len(message["content"].encode()) + MESSAGE_OVERHEAD_TOKENS for message in self.messages)
        return most_input, min(self.max_output_tokens, endpoint.output_tokens)

    async def made(
        self, provider: Provider, endpoint: Endpoint, timeout_seconds: float, relay: Relay | None
    ) -> Completion:
        _, most_output = self.most_tokens(endpoint)
        asked = Asked(self.messages, self.temperature, most_output, timeout_seconds=timeout_seconds)
        return await (provider.complete(asked) if relay is None else _relayed(provider, asked, relay))

    def result(self, kept: dict[str, Any]) -> Completion:
        return Completion.model_validate(kept)


@dataclass(frozen=True)
class EmbeddingCall(Call[Embeddings]):
    """Asks for the vectors of some texts."""

    texts: Sequence[str]

    def most_tokens(self, endpoint: Endpoint) -> tuple[int, int]:  # noqa: ARG002
        return sum(len(text.encode()) + TEXT_OVERHEAD_TOKENS for text in self.texts), 0

    async def made(
        self,
        provider: Provider,
        endpoint: Endpoint,  # noqa: ARG002
        timeout_seconds: float,
        relay: Relay | None,  # noqa: ARG002
    ) -> Embeddings:
        return await provider.embed(self.texts, timeout_seconds)

    def result(self, kept: dict[str, Any]) -> Embeddings:
        return Embeddings.model_validate(kept)


async def _relayed(provider: Provider, asked: Asked, relay: Relay) -> Completion:
    async for piece in provider.stream(asked):
        if isinstance(piece, Completion):
            return piece
        await relay.add(piece)
    raise AssertionError("a stream ends with all of its answer")
