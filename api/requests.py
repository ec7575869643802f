"""``POST /api/assistants/{assistant_id}/requests``: ask; ``GET /api/requests/{request_id}``: what became of it."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.asking import AnswerStopped, Asked, Piece, ask, hand_over, stream, withheld
from api.operation import Call, Reply, operation
from api.problems import Events, NoAnswer, NotAvailable, Streamed, event, problem_body
from governance import requests
from governance.access import Notice
from governance.changes import Conflict
from governance.problems import ProblemError
from governance.request import Request, Source
from governance.requests import RequestOver
from routing.assistants import AssistantUnknown, find_assistant
from services.documents import StoreError

bp = df.Blueprint()


ENDED = "The request has ended already."


class RequestUnknown(ProblemError):
    """There is no such request, or it is another person's, or about an assistant that is not the caller's any more."""

    type = "not-found"
    detail = "There is no such request."


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    team: str | None = None
    """Which of the caller's teams it is for, if they are in several."""
    conversation: str | None = Field(default=None, min_length=1, max_length=100)
    """The caller's conversation that it goes on with, or `new` to begin one."""
    stream: bool = False
    """Whether the answer is wanted as server-sent events, while it is made."""

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not any(character.isprintable() and not character.isspace() for character in prompt):
            raise ValueError("blank")
        return prompt


class Accepted(BaseModel):
    """The answer takes longer; the status URL will have it."""

    request_id: str
    conversation_id: str | None
    status: Literal["running"] = "running"
    status_url: str
    notices: list[Notice]


class Window(BaseModel):
    """What of an answer has left: it goes on where the one before ended."""

    text: str


class AssistantUsed(BaseModel):
    id: str
    version: int


class ModelUsed(BaseModel):
    endpoint: str
    name: str
    """As the provider names it."""
    region: str


class Usage(BaseModel):
    input_tokens: int | None
    output_tokens: int | None


class Cost(BaseModel):
    micro_units: int
    """Millionths of the currency."""
    currency: str


class Answer(BaseModel):
    request_id: str
    conversation_id: str | None
    assistant: AssistantUsed
    team: str
    answer: str | None
    sources: list[Source]
    """What it was grounded in: title, page and link of each, by the number that the answer cites."""
    guardrails: dict[str, dict[str, Any]]
    """By stage: the action, and the findings without their text."""
    model: ModelUsed
    usage: Usage
    cost: Cost
    notices: list[Notice]
    """Those in force when it was asked for, the latest first: of incidents and planned stops, to be shown as text."""


@operation(
    bp,
    "POST",
    "assistants/{assistant_id}/requests",
    body=Question,
    answers={200: Answer, 202: Accepted},
    streams=True,
)
async def ingest(call: Call[Question]) -> Reply:
    """Ask an assistant: the answer, if it comes in time, else where it will be."""
    assistant = await find_assistant(call.services.store.config, call.path("assistant_id"), call.caller.groups)
    question = await call.body(call.services.settings.max_prompt_characters)
    wait_seconds, applied = _preferred(call)
    asked = Asked(
        assistant,
        question.prompt,
        question.team,
        wait_seconds,
        stream=question.stream,
        conversation=question.conversation,
    )
    if question.stream:
        return replace(await _streamed(call, asked), headers=applied)
    request = await ask(call, asked)
    try:
        reply = await _reply(call, request)
    except AnswerStopped as stop:
        await withheld(call.services, stop)
        raise
    except StoreError:
        raise NoAnswer(NotAvailable().problem(), request.id) from None
    return replace(reply, headers={**reply.headers, **applied})


async def _streamed(call: Call[Question], asked: Asked) -> Reply:
    """A refusal or a delay that is known before anything has left is told as if nothing were streamed."""
    parts = stream(call, asked)
    first = await anext(parts)
    if isinstance(first, Request) and not (first.answerable and first.problem is None):
        return await _reply(call, first)
    return Reply(Streamed(Events, _events(call, first, parts)))


async def _events(
    call: Call[Question], first: Piece | Request, parts: AsyncIterator[Piece | Request]
) -> AsyncIterator[str]:
    """Each window as ``window``; at the end all of it as ``answer``, or why there is none as ``problem``."""
    part, sent, notices = first, 0, call.access.notices
    try:
        while isinstance(part, Piece):
            yield event(Window(text=part.text).model_dump_json(), "window")
            sent += len(part.text)
            part = await anext(parts)
        text = await hand_over(call.services, part)
        if rest := text[sent:]:
            yield event(Window(text=rest).model_dump_json(), "window")
        yield event(_answer(part, text, notices).model_dump_json(), "answer")
    except AnswerStopped as stop:
        await withheld(call.services, stop)
        yield event(json.dumps(problem_body(stop, notices)), "problem")
    except ProblemError as error:
        yield event(json.dumps(problem_body(error, notices)), "problem")
    except StoreError:
        yield event(json.dumps(problem_body(NotAvailable(), notices)), "problem")


def _preferred(call: Call[Question]) -> tuple[float, dict[str, str]]:
    """How long to wait, and what is said of having been asked to (RFC 7240): ``wait=N`` seconds, ``respond-async``."""
    longest = call.services.settings.answer_wait_seconds
    prefers = ",".join(call.req.headers.getlist("Prefer")).lower()
    if "respond-async" in [each.strip() for each in prefers.split(",")]:
        return 0.0, {"Preference-Applied": "respond-async"}
    if wait := re.search(r"(?:^|,)\s*wait=(\d{1,6})\s*(?:,|$)", prefers):
        seconds = min(float(wait[1]), longest)
        return seconds, {"Preference-Applied": f"wait={seconds:.0f}"}
    return longest, {}


@operation(bp, "GET", "requests/{request_id}", answers={200: Answer, 202: Accepted})
async def get_request(call: Call[None]) -> Reply:
    """What became of a request of the caller's own, as long as the assistant is still theirs to ask."""
    return await _reply(call, await _own(call))


@operation(bp, "DELETE", "requests/{request_id}", answers={202: Accepted})
async def cancel_request(call: Call[None]) -> Reply:
    """Cancel a question of the caller's own that has no answer yet: its model call ends, what it cost stays."""
    request = await _own(call)
    if request.over:
        raise Conflict(ENDED)
    try:
        await requests.cancel(call.services.store.requests, request)
    except RequestOver:
        raise Conflict(ENDED) from None
    return _later(call, request)


async def _own(call: Call[None]) -> Request:
    request = await requests.load(call.services.store.requests, call.path("request_id"))
    if request is None or request.person.oid != call.caller.oid:
        raise RequestUnknown
    try:
        await find_assistant(call.services.store.config, request.assistant, call.caller.groups)
    except AssistantUnknown:
        raise RequestUnknown from None
    return request


async def _reply(call: Call[Any], request: Request) -> Reply:
    if not request.answerable:
        return _later(call, request)
    return Reply(_answer(request, await hand_over(call.services, request), call.access.notices))


def _later(call: Call[Any], request: Request) -> Reply:
    url, notices = f"/api/requests/{request.id}", call.access.notices
    return Reply(
        Accepted(request_id=request.id, conversation_id=request.conversation, status_url=url, notices=notices),
        202,
        {"Location": url, "Retry-After": "2"},
    )


def _answer(request: Request, text: str, notices: list[Notice]) -> Answer:
    assert request.model is not None
    return Answer(
        request_id=request.id,
        conversation_id=request.conversation,
        assistant=AssistantUsed(id=request.assistant, version=request.assistant_version),
        team=request.team,
        answer=text,
        sources=request.sources,
        guardrails={name: stage.verdict for name, stage in request.stages.items() if stage.verdict is not None},
        model=ModelUsed(endpoint=request.model.endpoint, name=request.model.model, region=request.model.region),
        usage=Usage(input_tokens=request.model.input_tokens, output_tokens=request.model.output_tokens),
        cost=Cost(micro_units=request.cost_micro, currency=request.model.currency),
        notices=notices,
    )
