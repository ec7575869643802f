"""``POST /api/assistants/{assistant_id}/requests``: ask; ``GET /api/requests/{request_id}``: what became of it."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.body import TooLarge
from api.operation import Call, Reply, operation
from api.problems import NoAnswer, NotAvailable
from governance import requests
from governance.audit import announce, reference_to_request
from governance.identity import Caller
from governance.problems import Problem, ProblemError
from governance.release import withhold
from governance.requests import Person, Request
from governance.sealed import SealBroken, unseal
from governance.switches import Stopped, check_switches, require_fresh, require_running
from guardrails.numbering import restored
from routing.assistants import Assistant, AssistantUnknown, find_assistant
from services.bus import REQUESTS, BusUnavailable
from services.clock import utc_now, uuid7
from services.documents import StoreError
from services.platform import Platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

BUS_SECONDS = 8.0
"""How long a Service Bus that takes nothing is tried again before the question is refused."""
BUS_PAUSE_SECONDS = 0.5
POLL_SECONDS = 5.0
"""How often a waiting ``ingest`` looks at the request's document, should a reply go missing."""


class RequestUnknown(ProblemError):
    """There is no such request, or it is another person's, or about an assistant that is not the caller's any more."""

    type = "not-found"
    detail = "There is no such request."


class AnswerStopped(NoAnswer):
    """The answer was released, and a switch is on: it stays here."""

    def __init__(self, problem: Problem, request: Request) -> None:
        super().__init__(problem, request.id)
        self.request = request


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    team: str | None = None
    """Which of the caller's teams it is for, if they are in several."""

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not any(character.isprintable() and not character.isspace() for character in prompt):
            raise ValueError("blank")
        return prompt


class Accepted(BaseModel):
    """The answer takes longer; the status URL will have it."""

    request_id: str
    status: Literal["running"] = "running"
    status_url: str


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
    assistant: AssistantUsed
    team: str
    answer: str | None
    sources: list[dict[str, Any]]
    guardrails: dict[str, dict[str, Any]]
    """By stage: the action, and the findings without their text."""
    model: ModelUsed
    usage: Usage
    cost: Cost


@operation(bp, "POST", "assistants/{assistant_id}/requests", body=Question, answers={200: Answer, 202: Accepted})
async def ingest(call: Call[Question]) -> Reply:
    """Ask an assistant: the answer, if it comes in time, else where it will be."""
    services, caller = call.services, call.caller
    assistant = await find_assistant(services.store.config, call.path("assistant_id"), caller.groups)
    limit = services.settings.max_prompt_characters
    question = await call.body(limit)
    if len(question.prompt) > limit:
        raise TooLarge(limit)
    team = call.access.team_for(question.team)
    trace_parent = call.req.headers.get("traceparent", "")
    request = _new_request(caller, team.id, assistant, question.prompt, trace_parent)
    try:
        await check_switches(services.store.control, assistant.id)
    except Stopped as stop:
        await requests.refuse(services.store.requests, request, stop.problem(), services.settings.request_ttl_seconds)
        await announce(services.bus, reference_to_request(request.id), request.id)
        raise NoAnswer(stop.problem(), request.id) from None
    try:
        return await _reply(services, await _ask(services, request))
    except AnswerStopped as stop:
        await _withhold(services, stop)
        raise
    except (StoreError, BusUnavailable) as error:
        # It may have been accepted: whoever asked can look it up.
        log.warning("request %s: %s: %s", request.id, type(error).__name__, error)
        raise NoAnswer(NotAvailable().problem(), request.id) from None


@operation(bp, "GET", "requests/{request_id}", answers={200: Answer, 202: Accepted})
async def get_request(call: Call[None]) -> Reply:
    """What became of a request of the caller's own, as long as the assistant is still theirs to ask."""
    request = await requests.load(call.services.store.requests, call.path("request_id"))
    if request is None or request.person.oid != call.caller.oid:
        raise RequestUnknown
    try:
        await find_assistant(call.services.store.config, request.assistant, call.caller.groups)
    except AssistantUnknown:
        raise RequestUnknown from None
    return await _reply(call.services, request)


def _new_request(caller: Caller, team: str, assistant: Assistant, prompt: str, trace_parent: str) -> Request:
    return Request(
        id=uuid7(),
        state="queued",
        created_at=utc_now(),
        person=Person(oid=caller.oid, tenant_id=caller.tenant_id, groups=sorted(caller.groups)),
        team=team,
        assistant=assistant.id,
        assistant_version=assistant.version,
        trace_parent=_child_of(trace_parent),
        prompt=prompt,
    )


def _child_of(trace_parent: str) -> str:
    """A span of the caller's trace, or of a new one (W3C Trace Context, section 3.2)."""
    version, _, rest = trace_parent.partition("-")
    trace_id = rest.partition("-")[0]
    hexadecimal = len(trace_id) == 32 and not set(trace_id) - set("0123456789abcdef") and set(trace_id) != {"0"}
    if version != "00" or not hexadecimal:
        trace_id = secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


async def _ask(services: Platform, request: Request) -> Request:
    """Store, send and wait. The request as it is when the wait is over."""
    with services.replies.expecting(request.id) as reply:
        session = await services.replies.session()
        await requests.accept(services.store.requests, request)
        await _patiently(
            lambda: services.bus.send(
                REQUESTS,
                {"v": 1, "request_id": request.id, "traceparent": request.trace_parent},
                message_id=request.id,
                reply_to_session_id=session,
            )
        )
        try:
            async with asyncio.timeout(services.settings.answer_wait_seconds):
                while not (await asyncio.wait({reply}, timeout=POLL_SECONDS))[0]:
                    with suppress(StoreError):
                        if (current := await _load(services, request.id)).answerable:
                            return current
        except TimeoutError:
            pass
    return await _load(services, request.id)


async def _patiently(send: Callable[[], Awaitable[None]]) -> None:
    """Sends, should Service Bus be away for some seconds. Raises :class:`services.bus.BusUnavailable`."""
    give_up = time.monotonic() + BUS_SECONDS
    while True:
        try:
            await send()
            return
        except BusUnavailable:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(BUS_PAUSE_SECONDS)


async def _load(services: Platform, request_id: str) -> Request:
    request = await requests.load(services.store.requests, request_id)
    if request is None:
        raise RequestUnknown
    return request


async def _reply(services: Platform, request: Request) -> Reply:
    if not request.answerable:
        url = f"/api/requests/{request.id}"
        return Reply(Accepted(request_id=request.id, status_url=url), 202, {"Location": url, "Retry-After": "2"})
    if request.problem is not None:
        raise NoAnswer(request.problem, request.id)
    control = services.store.control
    try:
        # Once more: what was recorded before a stop does not leave after it.
        reading = await require_running(control, request.assistant)
        values = await _own_values(services, request)
        await require_fresh(control, request.assistant, reading)  # taking out the values may have taken long
    except Stopped as stop:
        raise AnswerStopped(stop.problem(), request) from None
    return Reply(_answer(request, values))


async def _own_values(services: Platform, request: Request) -> Mapping[str, str]:
    """What the caller's placeholders stand for, which nothing keeps from now on."""
    if request.sealed is None:
        return {}
    try:
        values = unseal(services.settings.redaction_key.get_secret_value(), request.id, request.sealed)
    except SealBroken:
        log.warning("request %s: its values can't be read; the answer keeps its placeholders", request.id)
        values = {}
    try:
        await requests.forget_sealed(services.store.requests, request.id)
        request.sealed = None
    except StoreError as error:
        log.warning("request %s: its values stay for the sweep: %s", request.id, error)
    return values


async def _withhold(services: Platform, stop: AnswerStopped) -> None:
    """Whoever asked is told of the stop instead of the answer, and so is the trail."""
    try:
        await withhold(services.store, services.bus, stop.request, stop.problem())
    except StoreError as error:
        log.warning("request %s: the trail says that it was answered: %s", stop.request_id, type(error).__name__)


def _answer(request: Request, values: Mapping[str, str]) -> Answer:
    """What the caller gets, their own values in the places of the placeholders."""
    assert request.model is not None
    assert request.answer is not None
    return Answer(
        request_id=request.id,
        assistant=AssistantUsed(id=request.assistant, version=request.assistant_version),
        team=request.team,
        answer=restored(request.answer, values),
        sources=request.sources,
        guardrails={name: stage.verdict for name, stage in request.stages.items() if stage.verdict is not None},
        model=ModelUsed(endpoint=request.model.endpoint, name=request.model.model, region=request.model.region),
        usage=Usage(input_tokens=request.model.input_tokens, output_tokens=request.model.output_tokens),
        cost=Cost(micro_units=request.cost_micro, currency=request.model.currency),
    )
