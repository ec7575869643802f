"""OpenAI's API over the assistants, for the clients that speak it already: an assistant is a model, an Entra access
token is the key. Answers, errors and what is not there are in OpenAI's shapes.

https://platform.openai.com/docs/api-reference/chat, https://platform.openai.com/docs/guides/error-codes
"""

import json
from typing import Annotated, Literal

import azure.durable_functions as df
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from api.asking import AnswerStopped, Asked, ask, hand_over, withheld
from api.body import Malformed
from api.operation import Call, Reply, operation
from api.problems import NoAnswer, NotAvailable
from governance.problems import Problem, ProblemError
from governance.requests import Request, Turn
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


class ChatRequest(BaseModel):
    """A question with what was said before it, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=100)]
    """The id of an assistant."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=500)]
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


class Model(BaseModel):
    """An assistant, as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


def openai_error(error: ProblemError) -> Response:
    """Why there is no answer, in OpenAI's shape. Nothing is to be tried again by itself: the client's SDK would."""
    problem = error.problem()
    status, type_, code = CODES.get(problem.type, (problem.kind.status, _type(problem), problem.type))
    said = {"message": f"{problem.kind.title}. {problem.detail}", "type": type_, "param": None, "code": code}
    headers = {"x-should-retry": "false"}
    if isinstance(error, NoAnswer):
        headers["x-request-id"] = error.request_id
    return Response(json.dumps({"error": {**said, **problem.extra}}), status, headers, "application/json")


def _type(problem: Problem) -> str:
    return "invalid_request_error" if problem.kind.status < 500 else "server_error"


@operation(
    bp, "POST", "openai/v1/chat/completions", body=ChatRequest, answers={200: ChatCompletion}, errors=openai_error
)
async def chat_completions(call: Call[ChatRequest]) -> Reply:
    """Ask an assistant as OpenAI's clients do."""
    body = await call.body(call.services.settings.max_prompt_characters)
    assistant = await find_assistant(call.services.store.config, body.model, call.caller.groups)
    request = await ask(call, _asked(call, body, assistant))
    headers = {"x-request-id": request.id, **_ignored(body)}
    if not request.answerable:
        raise NoAnswer(StillRunning().problem(), request.id)
    try:
        return Reply(_completion(request, await hand_over(call.services, request)), 200, headers)
    except AnswerStopped as stop:
        await withheld(call.services, stop)
        raise
    except StoreError:
        raise NoAnswer(NotAvailable().problem(), request.id) from None


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
        turns=[Turn(role="assistant" if each.role == "assistant" else "user", content=each.text) for each in before],
    )


def _ignored(body: ChatRequest) -> dict[str, str]:
    ignored = sorted(name for name in body.model_extra or {} if name in FIXED)
    return {"x-ignored-parameters": ", ".join(ignored)} if ignored else {}


def _completion(request: Request, text: str) -> ChatCompletion:
    assert request.model is not None
    asked, said = request.model.input_tokens or 0, request.model.output_tokens or 0
    return ChatCompletion(
        id=f"chatcmpl-{request.id}",
        created=int(request.created_at.timestamp()),
        model=request.assistant,
        choices=[ChatChoice(message=ChatAnswer(content=text), finish_reason=request.model.finish_reason)],
        usage=ChatUsage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said),
    )


def _model(assistant: Assistant) -> Model:
    return Model(id=assistant.id, owned_by=assistant.owner_team)
