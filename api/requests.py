"""``POST /api/assistants/{assistant_id}/requests``: ask; ``GET /api/requests/{request_id}``: what became of it."""

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.body import read_body
from api.caller import caller_of
from api.problems import NOT_AVAILABLE, RequestUnknown, TooLarge, answering_problems, json_response, problem_response
from governance import requests
from governance.access import team_of
from governance.audit import announce, reference_to_request
from governance.identity import Caller
from governance.requests import Person, Request
from governance.switches import Stopped, check_switches, require_running
from routing.assistants import Assistant, find_assistant
from services.bus import REQUESTS, BusUnavailable
from services.clock import utc_now, uuid7
from services.documents import StoreError
from services.platform import Platform, platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

POLL_SECONDS = 5.0
"""How often a waiting ``ingest`` looks at the request's document, should a reply go missing."""


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


@bp.route("assistants/{assistant_id}/requests", methods=["POST"])
@answering_problems
async def ingest(req: func.HttpRequest) -> func.HttpResponse:
    """Accept a question and, if the answer comes in time, give it; else 202 and where it will be."""
    services = await platform()
    caller = await caller_of(req, services.settings)
    assistant = await find_assistant(services.store.config, req.route_params["assistant_id"], caller)
    limit = services.settings.max_prompt_characters
    question = read_body(req, Question, limit)
    if len(question.prompt) > limit:
        raise TooLarge(limit)
    team = await team_of(services.store.config, caller, question.team)
    request = _new_request(caller, team.id, assistant, question.prompt, req.headers.get("traceparent", ""))
    try:
        await check_switches(services.store.control, assistant.id)
    except Stopped as stop:
        await requests.refuse(services.store.requests, request, stop.problem(), services.settings.request_ttl_seconds)
        await announce(services.bus, reference_to_request(request.id), request.id)
        return problem_response(stop.problem(), request.id)
    try:
        return await _response(services, await _ask(services, request))
    except (StoreError, BusUnavailable) as error:
        # It may have been accepted: whoever asked can look it up.
        log.warning("request %s: %s: %s", request.id, type(error).__name__, error)
        return problem_response(NOT_AVAILABLE, request.id)


@bp.route("requests/{request_id}", methods=["GET"])
@answering_problems
async def get_request(req: func.HttpRequest) -> func.HttpResponse:
    """What became of a request of the caller's own."""
    services = await platform()
    caller = await caller_of(req, services.settings)
    request = await requests.load(services.store.requests, req.route_params["request_id"])
    if request is None or request.person.oid != caller.oid:
        raise RequestUnknown
    return await _response(services, request)


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
        await services.bus.send(
            REQUESTS,
            {"v": 1, "request_id": request.id, "traceparent": request.trace_parent},
            message_id=request.id,
            reply_to_session_id=session,
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


async def _load(services: Platform, request_id: str) -> Request:
    request = await requests.load(services.store.requests, request_id)
    if request is None:
        raise RequestUnknown
    return request


async def _response(services: Platform, request: Request) -> func.HttpResponse:
    if not request.answerable:
        url = f"/api/requests/{request.id}"
        body = {"request_id": request.id, "status": "running", "status_url": url}
        return json_response(body, 202, {"Location": url, "Retry-After": "2"})
    if request.problem is not None:
        return problem_response(request.problem, request.id)
    try:
        # Once more: what was recorded before a stop does not leave after it.
        await require_running(services.store.control, request.assistant)
    except Stopped as stop:
        return problem_response(stop.problem(), request.id)
    return json_response(_answer(request))


def _answer(request: Request) -> dict[str, Any]:
    assert request.model is not None
    return {
        "request_id": request.id,
        "assistant": {"id": request.assistant, "version": request.assistant_version},
        "team": request.team,
        "answer": request.answer,
        "sources": request.sources,
        "guardrails": {name: stage.verdict for name, stage in request.stages.items() if stage.verdict is not None},
        "model": {"endpoint": request.model.endpoint, "name": request.model.model, "region": request.model.region},
        "usage": {"input_tokens": request.model.input_tokens, "output_tokens": request.model.output_tokens},
        "cost": {"micro_units": request.cost_micro, "currency": request.model.currency},
    }
