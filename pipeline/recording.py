"""The last stages: the outcome is recorded, and only then may anything leave."""

import logging

import azure.durable_functions as df

from governance import requests, reservations
from governance.audit import announce, reference_to_request
from governance.problems import Problem
from governance.release import release as let_go
from governance.request import Request
from governance.switches import Stopped, require_running
from pipeline.stage import OVER, PROCEED, Job, StageFailed, Step
from services.bus import REPLIES
from services.platform import Platform, platform
from services.replies import REPLY_TTL

log = logging.getLogger(__name__)

bp = df.Blueprint()


@bp.activity_trigger(input_name="job")
async def record(job: Job) -> Step:
    """The outcome and the pending audit event in one operation, then the audit queue: before anything leaves."""
    try:
        services = await platform()
        request = await requests.load(services.store.requests, job["request_id"])
        if request is None:
            return OVER
        if not request.over:
            problem = await _how_it_ended(services, request, job.get("failed"))
            attempts = await reservations.attempts_of(services.store.budgets, request.team, request.id)
            ttl = services.settings.request_ttl_seconds
            await requests.record(services.store.requests, request, problem, attempts, ttl)
        await announce(services.bus, reference_to_request(request.id))
    except Exception as error:
        log.warning("request %s: record failed: %s", job["request_id"], type(error).__name__)
        raise StageFailed(type(error).__name__) from None
    return PROCEED


async def _how_it_ended(services: Platform, request: Request, failed: str | None) -> Problem | None:
    """Why there is no answer; None if there is one. A stop that came while it was made withholds it."""
    if request.problem is not None:
        return request.problem
    if failed is not None:
        return Problem(type="not-available", detail=f"The stage {failed} failed; nothing was let through.")
    assert request.answer is not None, "every stage has run"
    try:
        await require_running(services.store.control, request.assistant)
    except Stopped as stop:
        return stop.problem()
    return None


@bp.activity_trigger(input_name="job")
async def release(job: Job) -> Step:
    """Let the answer, or the refusal, go to whoever waits for it.

    A stop that came since it was recorded withholds an answer. If it could not be recorded it is withheld, too, and who
    waits is told to look: they find a refusal, or nothing.
    """
    request_id = job["request_id"]
    try:
        services = await platform()
        request = await requests.load(services.store.requests, request_id)
        if request is not None and (job.get("recorded") or not await _unrecorded(services, request)):
            await let_go(services.store, services.bus, request)
        if job["reply_session"]:
            await services.bus.send(
                REPLIES,
                {"v": 1, "request_id": request_id},
                message_id=request_id,
                session_id=job["reply_session"],
                correlation_id=request_id,
                time_to_live=REPLY_TTL,
            )
    except Exception as error:
        log.warning("request %s: release failed: %s", request_id, type(error).__name__)
        raise StageFailed(type(error).__name__) from None
    return PROCEED


async def _unrecorded(services: Platform, request: Request) -> bool:
    """Whether it is withheld, since its event is not in the trail and nobody could be told to put it there."""
    return request.state == "recorded" and await requests.withhold_unrecorded(services.store.requests, request)
