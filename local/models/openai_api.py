"""OpenAI's chat completions: requests, answers, stream chunks and errors.

https://platform.openai.com/docs/api-reference/chat
"""

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from local.models.scripted import Answer, Prompt, Refusal, Usage


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Text(_Strict):
    type: Literal["text"]
    text: str


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Text]

    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class _StreamOptions(_Strict):
    include_usage: bool = False


class Request(_Strict):
    """What of the API is served; any other parameter is refused."""

    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()

    def prompt(self) -> Prompt:
        return Prompt(
            last_user_message=next((m.text() for m in reversed(self.messages) if m.role == "user"), ""),
            characters=sum(len(message.text()) for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
        )

    def body(self, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
        body = {**self._head("chat.completion"), "choices": [choice]}
        return body if answer.usage is None else body | {"usage": _usage(answer.usage)}

    def events(self, answer: Answer) -> Iterator[bytes]:
        """The server-sent events of a streamed answer."""
        head = self._head("chat.completion.chunk")
        if self.stream_options.include_usage:
            head["usage"] = None
        deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in answer.pieces()]
        for delta in deltas:
            yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]})
        if self.stream_options.include_usage and answer.usage is not None:
            yield _event(head | {"choices": [], "usage": _usage(answer.usage)})
        yield b"data: [DONE]\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": self.model}


class Embed(_Strict):
    """A request for embeddings; any other parameter is refused."""

    model: str
    input: Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float"]

    def body(self, vectors: list[list[float]], used: int) -> dict[str, Any]:
        """With the vectors of the texts, and the tokens that they have together."""
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        usage = {"prompt_tokens": used, "total_tokens": used}
        return {"object": "list", "data": data, "model": self.model, "usage": usage}


def refusal(kind: Refusal) -> dict[str, Any]:
    """What comes with the status 400."""
    message, code = {
        "content_filter": ("The response was filtered by the content management policy.", "content_filter"),
        "context_length": ("This model's maximum context length is 8 tokens.", "context_length_exceeded"),
    }[kind]
    return {"error": {"message": message, "type": "invalid_request_error", "param": "messages", "code": code}}


def error(status: int, message: str) -> dict[str, Any]:
    kind, code = {
        401: ("invalid_request_error", "invalid_api_key"),
        429: ("requests", "rate_limit_exceeded"),
    }.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _usage(usage: Usage) -> dict[str, Any]:
    cached = {} if usage.cached_tokens is None else {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        **cached,
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
