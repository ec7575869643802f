"""Anthropic's messages. They take no temperature (any more), and there are no embeddings.

https://platform.claude.com/docs/en/api/messages
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import anthropic
from anthropic.types import MessageParam
from anthropic.types import Usage as AnthropicUsage

from governance.reservations import Usage
from routing.endpoints import Endpoint
from routing.messages import Asked, Completion, Embeddings, Message
from routing.providers.errors import (
    CONNECT_SECONDS,
    ContextTooLong,
    EmptyAnswer,
    ModelDeclined,
    ModelError,
    ModelOutcomeUnknown,
    NotOffered,
    refused,
    unconnected,
)

TOO_LONG = ("prompt is too long", "exceed context limit")
DECLINED = "content filtering policy"
"""In the messages of errors that have no code of their own."""


@cache
def _client(base_url: str, loop: asyncio.AbstractEventLoop) -> anthropic.AsyncAnthropic:  # noqa: ARG001
    """One an address and event loop, whose its connections are. The key goes with each call.

    No traces: they could hold what is said.
    """
    http = anthropic.DefaultAsyncHttpxClient(follow_redirects=False)
    return anthropic.AsyncAnthropic(
        base_url=base_url, api_key="unused", max_retries=0, http_client=http, open_telemetry=False
    )


class AnthropicApi:
    def __init__(self, endpoint: Endpoint, key: str) -> None:
        self._client = _client(endpoint.base_url, asyncio.get_running_loop())
        self._model = endpoint.model
        self._headers = {"Authorization": f"Bearer {key}"}

    async def complete(self, asked: Asked) -> Completion:
        with _errors():
            answer = await self._client.messages.create(**self._options(asked))
            text = "".join(block.text for block in answer.content if block.type == "text")
            return _completion(text, answer.model, answer.stop_reason, _used(getattr(answer, "usage", None)))

    async def stream(self, asked: Asked) -> AsyncIterator[str | Completion]:
        text, model, stop_reason, used, over = "", "", None, Usage(), False
        with _errors():
            events = await self._client.messages.create(**self._options(asked), stream=True)
            async with events:
                async for event in events:
                    match event.type:
                        case "message_start":
                            # How many tokens come out is not known yet, whatever it says.
                            model, used = event.message.model, _used(getattr(event.message, "usage", None))
                            used.output_tokens = None
                        case "content_block_delta" if event.delta.type == "text_delta" and event.delta.text:
                            text += event.delta.text
                            yield event.delta.text
                        case "message_delta":
                            stop_reason = event.delta.stop_reason or stop_reason
                            if (usage := getattr(event, "usage", None)) is not None:
                                used.output_tokens = usage.output_tokens
                        case "message_stop":
                            over = True
            yield _completion(text, model, stop_reason if over else None, used)

    async def embed(self, texts: Sequence[str], timeout_seconds: float) -> Embeddings:  # noqa: ARG002
        raise NotOffered("no embeddings")

    def _options(self, asked: Asked) -> Any:
        system = "\n\n".join(message["content"] for message in asked.messages if message["role"] == "system")
        return {
            "model": self._model,
            "messages": [_param(message) for message in asked.messages if message["role"] != "system"],
            "max_tokens": asked.max_output_tokens,
            **({"system": system} if system else {}),
            "extra_headers": self._headers,
            "timeout": _timeout(asked.timeout_seconds),
        }


def _param(message: Message) -> MessageParam:
    if message["role"] == "assistant":
        return {"role": "assistant", "content": message["content"]}
    return {"role": "user", "content": message["content"]}


def _used(usage: AnthropicUsage | None) -> Usage:
    if usage is None:
        return Usage()
    cached = usage.cache_read_input_tokens or 0
    return Usage(
        input_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
        cached_input_tokens=cached,
        output_tokens=usage.output_tokens,
    )


def _completion(text: str, model: str, stop_reason: str | None, used: Usage) -> Completion:
    match stop_reason:
        case None:
            raise ModelOutcomeUnknown("an answer without an end")
        case "refusal":
            raise ModelDeclined(used)
    if not text.strip():
        raise EmptyAnswer(used)
    cut = stop_reason in ("max_tokens", "model_context_window_exceeded")
    return Completion(text=text, model=model, finish_reason="length" if cut else "stop", **used.model_dump())


def _timeout(seconds: float) -> anthropic.Timeout:
    return anthropic.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


@contextmanager
def _errors() -> Iterator[None]:
    """What the SDK raises becomes a :class:`ModelError`, and so does what is no answer of this API's."""
    try:
        yield
    except ModelError:
        raise
    except anthropic.APIStatusError as error:
        if error.status_code == 400 and DECLINED in error.message:
            raise ModelDeclined from None
        if error.status_code == 400 and any(words in error.message for words in TOO_LONG):
            raise ContextTooLong from None
        raise refused(error.status_code, error.response.headers) from None
    except anthropic.APIConnectionError as error:
        raise unconnected(error) from None
    except Exception as error:
        raise ModelOutcomeUnknown(type(error).__name__) from None
