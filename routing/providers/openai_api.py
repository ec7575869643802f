"""OpenAI's API: OpenAI's own, Azure OpenAI's and Foundry's (v1), and that of whatever server speaks it.

https://platform.openai.com/docs/api-reference/chat,
https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (v1)
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam

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
    refused,
    unconnected,
)

DECLINED = ("content_filter", "content_policy_violation", "invalid_prompt")
TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
"""OpenAI's and Azure's word, and llama.cpp's."""
ALSO_TOO_LONG = "maximum context length"
"""In vLLM's messages, which have no code."""


@cache
def _client(base_url: str, loop: asyncio.AbstractEventLoop) -> openai.AsyncOpenAI:  # noqa: ARG001
    """One an address and event loop, whose its connections are. The key goes with each call."""
    http = openai.DefaultAsyncHttpxClient(follow_redirects=False)
    return openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, http_client=http)


class OpenAIApi:
    def __init__(self, endpoint: Endpoint, key: str, *, limit: Literal["max_tokens", "max_completion_tokens"]) -> None:
        """``limit``: by which name the server takes the most tokens of an answer. OpenAI's newer models refuse the
        older name, many servers do not know the newer one."""
        self._client = _client(endpoint.base_url, asyncio.get_running_loop())
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {key}"}
        self._limit = limit

    async def complete(self, asked: Asked) -> Completion:
        with _errors():
            answer = await self._client.chat.completions.create(**self._options(asked))
            choice = answer.choices[0]
            declined = bool(choice.message.refusal)
            text = choice.message.content or ""
            return _completion(text, answer.model, choice.finish_reason, answer.usage, declined=declined)

    async def stream(self, asked: Asked) -> AsyncIterator[str | Completion]:
        text, model, finish_reason, usage, declined = "", "", None, None, False
        with _errors():
            chunks = await self._client.chat.completions.create(
                **self._options(asked), stream=True, stream_options={"include_usage": True}
            )
            async with chunks:
                async for chunk in chunks:
                    model, usage = chunk.model or model, chunk.usage or usage
                    for choice in chunk.choices:  # none in the one that tells the usage
                        finish_reason = choice.finish_reason or finish_reason
                        declined = declined or bool(choice.delta.refusal)
                        if piece := choice.delta.content:
                            text += piece
                            yield piece
            yield _completion(text, model, finish_reason, usage, declined=declined)

    async def embed(self, texts: Sequence[str], timeout_seconds: float) -> Embeddings:
        with _errors():
            answer = await self._client.embeddings.create(
                model=self._endpoint.model,
                input=list(texts),
                encoding_format="float",
                extra_headers=self._headers,
                timeout=_timeout(timeout_seconds),
            )
            vectors = [each.embedding for each in sorted(answer.data, key=lambda each: each.index)]
            if len(vectors) != len(texts):
                raise ModelOutcomeUnknown("not a vector for each text")
            usage = getattr(answer, "usage", None)
            return Embeddings(vectors=vectors, model=answer.model, input_tokens=usage.prompt_tokens if usage else None)

    def _options(self, asked: Asked) -> Any:
        return {
            "model": self._endpoint.model,
            "messages": [_param(message) for message in asked.messages],
            self._limit: asked.max_output_tokens,
            **({"temperature": asked.temperature} if self._endpoint.takes_temperature else {}),
            "extra_headers": self._headers,
            "timeout": _timeout(asked.timeout_seconds),
        }


def _completion(
    text: str, model: str, finish_reason: str | None, usage: CompletionUsage | None, *, declined: bool
) -> Completion:
    details = usage.prompt_tokens_details if usage else None
    used = Usage(
        input_tokens=usage.prompt_tokens if usage else None,
        cached_input_tokens=details.cached_tokens if details else None,
        output_tokens=usage.completion_tokens if usage else None,
    )
    if declined or finish_reason == "content_filter":
        raise ModelDeclined(used)
    if finish_reason is None:
        raise ModelOutcomeUnknown("an answer without an end")
    if not text.strip():
        raise EmptyAnswer(used)
    cut = finish_reason == "length"
    return Completion(text=text, model=model, finish_reason="length" if cut else "stop", **used.model_dump())


def _timeout(seconds: float) -> openai.Timeout:
    return openai.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


@contextmanager
def _errors() -> Iterator[None]:
    """What the SDK raises becomes a :class:`ModelError`, and so does what is no answer of this API's."""
    try:
        yield
    except ModelError:
        raise
    except openai.APIStatusError as error:
        raise _refused(error) from None
    except openai.APIConnectionError as error:
        raise unconnected(error) from None
    except Exception as error:
        raise ModelOutcomeUnknown(type(error).__name__) from None


def _refused(error: openai.APIStatusError) -> ModelError:
    said = {error.code, error.type}
    if said & {*DECLINED}:
        return ModelDeclined()
    if said & {*TOO_LONG} or (error.status_code == 400 and ALSO_TOO_LONG in error.message):
        return ContextTooLong()
    return refused(error.status_code, error.response.headers)


def _param(message: Message) -> ChatCompletionMessageParam:
    match message["role"]:
        case "system":
            return {"role": "system", "content": message["content"]}
        case "user":
            return {"role": "user", "content": message["content"]}
        case "assistant":
            return {"role": "assistant", "content": message["content"]}
