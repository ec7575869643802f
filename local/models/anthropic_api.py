"""Anthropic's messages: requests, answers, stream events and errors.

https://platform.claude.com/docs/en/api/messages
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from local.models.scripted import Answer, FinishReason, Prompt, Refusal

_STOP_REASONS: dict[FinishReason, str] = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Text(_Strict):
    type: Literal["text"]
    text: str


def _text(content: str | list[_Text]) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)


class _Message(_Strict):
    role: Literal["user", "assistant"]
    content: str | list[_Text]


class Request(_Strict):
    """What of the API is served; any other parameter is refused."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[_Message], Field(min_length=1)]
    system: str | list[_Text] = ""
    stream: bool = False

    def prompt(self) -> Prompt:
        return Prompt(
            last_user_message=next((_text(m.content) for m in reversed(self.messages) if m.role == "user"), ""),
            characters=len(_text(self.system)) + sum(len(_text(message.content)) for message in self.messages),
            max_tokens=self.max_tokens,
        )

    def body(self, answer: Answer) -> dict[str, Any]:
        body = self._message([{"type": "text", "text": answer.text}], _STOP_REASONS[answer.finish_reason])
        if answer.usage is None:
            return body
        usage = {"input_tokens": answer.usage.prompt_tokens, "output_tokens": answer.usage.completion_tokens}
        return body | {"usage": usage}

    def events(self, answer: Answer) -> Iterator[bytes]:
        """The server-sent events of a streamed answer."""
        start = self._message([], None)
        delta: dict[str, Any] = {
            "delta": {"stop_reason": _STOP_REASONS[answer.finish_reason], "stop_sequence": None},
        }
        if answer.usage is not None:
            start["usage"] = {"input_tokens": answer.usage.prompt_tokens, "output_tokens": 1}
            delta["usage"] = {"output_tokens": answer.usage.completion_tokens}
        yield _event("message_start", message=start)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in answer.pieces():
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", **delta)
        yield _event("message_stop")

    def _message(self, content: list[dict[str, str]], stop_reason: str | None) -> dict[str, Any]:
        return {
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
        }


def refusal(kind: Refusal) -> dict[str, Any]:
    """What comes with the status 400."""
    messages: dict[Refusal, str] = {
        "content_filter": "Output blocked by content filtering policy",
        "context_length": "prompt is too long: 9 tokens > 8 maximum",
    }
    return error(400, messages[kind])


def error(status: int, message: str) -> dict[str, Any]:
    kind = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid4().hex}"}


def _event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
