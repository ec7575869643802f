"""OpenAI's API over the assistants, for the clients that speak it already: an assistant is a model, an Entra access
token is the key. Answers, errors and what is not there are in OpenAI's shapes.

https://platform.openai.com/docs/api-reference/chat, https://platform.openai.com/docs/guides/error-codes
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

import azure.durable_functions as df
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from api.asking import AnswerStopped, Asked, Piece, ask, hand_over, stream, withheld
from api.body import Malformed
from api.operation import Call, Reply, operation
from api.problems import Events, NoAnswer, NotAvailable, Streamed, event, shown
from governance.access import Notice
from governance.problems import Problem, ProblemError
from governance.request import Request, Source, Turn
from routing.assistants import Assistant, find_assistant, list_assistants
from services.documents import StoreError

bp = df.Blueprint()

FIXED = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "metadata", "modalities",
    "parallel_tool_calls", "prediction", "presence_penalty", "reasoning_effort", "response_format", "seed",
    "service_tier", "stop", "store", "temperature", "top_logprobs", "top_p", "user", "verbosity",
})  # fmt: skip
"""What a client may send and the assistant decides: it is ignored, and the answer says so."""
UNSUPPORTED = ("tools", "functions", "audio", "web_search_options")

CODES = {
    "policy-blocked": (400, "invalid_request_error", "content_filter"),
    "model-declined": (400, "invalid_request_error", "content_filter"),
    "too-large": (400, "invalid_request_error", "context_length_exceeded"),
    "team-cap-reached": (429, "insufficient_quota", "insufficient_quota"),
    "token-refused": (401, "invalid_request_error", "invalid_api_key"),
    "not-found": (404, "invalid_request_error", "model_not_found"),
}
"""By the problem's type: status, type and code, where OpenAI has a word for it."""


class StillRunning(ProblemError):
    """The answer takes longer than a client can wait."""

    type = "answer-late"
    detail = "The answer takes longer. Send the same again with the same Idempotency-Key to get it."


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A question with what was said before it, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=100)]
    """The id of an assistant."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=500)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1


class ChatAnswer(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    index: Literal[0] = 0
    message: ChatAnswer
    finish_reason: str
    logprobs: None = None


class ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """An assistant's answer as OpenAI's clients know it; its id is the request's."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    sources: list[Source] = []
    """Not OpenAI's: what the answer was grounded in."""
    notices: list[Notice] = []
    """Not OpenAI's: those in force, the latest first."""


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    index: Literal[0] = 0
    delta: Delta
    finish_reason: str | None = None
    logprobs: None = None


class ChatChunk(BaseModel):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    sources: list[Source] | None = None
    """Not OpenAI's: in the last chunk that has a choice, if there are any."""
    notices: list[Notice] | None = None
    """The same."""


class Model(BaseModel):
    """An assistant, as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


def openai_error(error: ProblemError, notices: Sequence[Notice]) -> Response:
    """Why there is no answer, in OpenAI's shape. Nothing is to be tried again by itself: the client's SDK would."""
    headers = {"x-should-retry": "false"}
    if isinstance(error, NoAnswer):
        headers["x-request-id"] = error.request_id
    return Response(json.dumps(_said(error, notices)), _kind(error.problem())[0], headers, "application/json")


def _said(error: ProblemError, notices: Sequence[Notice]) -> dict[str, Any]:
    problem = error.problem()
    _, type_, code = _kind(problem)
    said = {"message": f"{problem.kind.title}. {problem.detail}", "type": type_, "param": None, "code": code}
    return {"error": {**said, **problem.extra, **shown(notices)}}


def _kind(problem: Problem) -> tuple[int, str, str]:
    """Status, type and code."""
    status = problem.kind.status
    return CODES.get(problem.type, (status, "invalid_request_error" if status < 500 else "server_error", problem.type))


@operation(
    bp,
    "POST",
    "openai/v1/chat/completions",
    body=ChatRequest,
    answers={200: ChatCompletion},
    streams=True,
    errors=openai_error,
)
async def chat_completions(call: Call[ChatRequest]) -> Reply:
    """Ask an assistant as OpenAI's clients do."""
    body = await call.body(call.services.settings.max_prompt_characters)
    assistant = await find_assistant(call.services.store.config, body.model, call.caller.groups)
    asked = _asked(call, body, assistant)
    if asked.stream:
        return await _streamed(call, asked, body)
    request = await ask(call, asked)
    headers = {"x-request-id": request.id, **_ignored(body)}
    if not request.answerable:
        raise NoAnswer(StillRunning().problem(), request.id)
    try:
        text = await hand_over(call.services, request)
        return Reply(_completion(request, text, call.access.notices), 200, headers)
    except AnswerStopped as stop:
        await withheld(call.services, stop)
        raise
    except StoreError:
        raise NoAnswer(NotAvailable().problem(), request.id) from None


async def _streamed(call: Call[ChatRequest], asked: Asked, body: ChatRequest) -> Reply:
    """A refusal or a delay that is known before anything has left is told as if nothing were streamed."""
    parts = stream(call, asked)
    first = await anext(parts)
    if isinstance(first, Request):
        if not first.answerable:
            raise NoAnswer(StillRunning().problem(), first.id)
        if first.problem is not None:
            raise NoAnswer(first.problem, first.id)
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    chunks = _chunks(call, asked.assistant.id, first, parts, wants_usage=wants_usage)
    request_id = first.request_id if isinstance(first, Piece) else first.id
    return Reply(Streamed(Events, chunks), 200, {"x-request-id": request_id, **_ignored(body)})


async def _chunks(
    call: Call[ChatRequest],
    model: str,
    first: Piece | Request,
    parts: AsyncIterator[Piece | Request],
    *,
    wants_usage: bool,
) -> AsyncIterator[str]:
    """The answer in OpenAI's chunks. What goes wrong when some have left comes as an error among them."""
    request_id = first.request_id if isinstance(first, Piece) else first.id
    name, created = f"chatcmpl-{request_id}", int(time.time())

    def chunk(*choices: ChunkChoice, **more: Any) -> str:
        made = ChatChunk(id=name, created=created, model=model, choices=list(choices), **more)
        return event(made.model_dump_json(exclude_none=True))

    part, sent, notices = first, 0, call.access.notices
    try:
        yield chunk(ChunkChoice(delta=Delta(role="assistant", content="")))
        while isinstance(part, Piece):
            yield chunk(ChunkChoice(delta=Delta(content=part.text)))
            sent += len(part.text)
            part = await anext(parts)
        text = await hand_over(call.services, part)
        if rest := text[sent:]:
            yield chunk(ChunkChoice(delta=Delta(content=rest)))
        completion = _completion(part, text, notices)
        end = ChunkChoice(delta=Delta(), finish_reason=completion.choices[0].finish_reason)
        yield chunk(end, sources=completion.sources or None, notices=notices or None)
        if wants_usage:
            yield chunk(usage=completion.usage)
        yield event("[DONE]")
    except AnswerStopped as stop:
        await withheld(call.services, stop)
        yield event(json.dumps(_said(stop, notices)))
    except ProblemError as error:
        yield event(json.dumps(_said(error, notices)))
    except StoreError:
        yield event(json.dumps(_said(NotAvailable(), notices)))


@operation(bp, "GET", "openai/v1/models", answers={200: Models}, errors=openai_error)
async def list_models(call: Call[None]) -> Reply:
    """The assistants that the caller may ask, as models."""
    usable = await list_assistants(call.services.store.config, call.caller.groups)
    return Reply(Models(data=[_model(each) for each in usable]))


@operation(bp, "GET", "openai/v1/models/{assistant_id}", answers={200: Model}, errors=openai_error)
async def get_model(call: Call[None]) -> Reply:
    """One assistant that the caller may ask, as a model."""
    return Reply(
        _model(await find_assistant(call.services.store.config, call.path("assistant_id"), call.caller.groups))
    )


def _asked(call: Call[ChatRequest], body: ChatRequest, assistant: Assistant) -> Asked:
    """A client's instructions are what its user says: the assistant has its own.

    Raises :class:`api.body.Malformed` for what no assistant does here.
    """
    sent = body.model_extra or {}
    if unsupported := [name for name in UNSUPPORTED if sent.get(name)]:
        raise Malformed(f"{', '.join(unsupported)}: not supported")
    if unknown := sorted(sent.keys() - FIXED - {*UNSUPPORTED, "tool_choice", "function_call"}):
        raise Malformed(f"{', '.join(unknown)[:200]}: not known")
    *before, last = body.messages
    if last.role == "assistant":
        raise Malformed("messages: the last one must be the question")
    if not any(character.isprintable() and not character.isspace() for character in last.text):
        raise Malformed("messages: the last one is blank")
    return Asked(
        assistant=assistant,
        prompt=last.text,
        team=call.req.headers.get("OpenAI-Organization"),
        wait_seconds=call.services.settings.answer_wait_seconds,
        stream=bool(body.stream),
        turns=[Turn(role="assistant" if each.role == "assistant" else "user", content=each.text) for each in before],
    )


def _ignored(body: ChatRequest) -> dict[str, str]:
    ignored = sorted(name for name in body.model_extra or {} if name in FIXED)
    return {"x-ignored-parameters": ", ".join(ignored)} if ignored else {}


def _completion(request: Request, text: str, notices: list[Notice]) -> ChatCompletion:
    assert request.model is not None
    asked, said = request.model.input_tokens or 0, request.model.output_tokens or 0
    return ChatCompletion(
        id=f"chatcmpl-{request.id}",
        created=int(request.created_at.timestamp()),
        model=request.assistant,
        choices=[ChatChoice(message=ChatAnswer(content=text), finish_reason=request.model.finish_reason)],
        usage=ChatUsage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said),
        sources=request.sources,
        notices=notices,
    )


def _model(assistant: Assistant) -> Model:
    return Model(id=assistant.id, owned_by=assistant.owner_team)
