"""What every stage of a request has in common.

A stage is an activity that may run more than once: it reads the request's document, does its one thing, and saves what
it found in one conditional patch; if it finds that it ran before, it says again what it said then. What it returns is
a decision, never content: ``proceed``, ``refuse`` (the document says why), ``over`` (nothing left to do) or ``wait``
until a time.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from governance import requests
from governance.problems import Problem, ProblemError
from governance.request import Request, Stage
from governance.requests import RequestOver
from guardrails.check import Checked
from guardrails.errors import DetectorRefused, GuardrailTimeout
from guardrails.verdict import Verdict
from routing.governed_call import CallUnderWay
from services.clock import utc_now, utc_text
from services.platform import Platform, platform

log = logging.getLogger(__name__)


class Job(TypedDict):
    """What the orchestrator tells a stage: ids and decisions, never content."""

    request_id: str
    reply_session: str | None
    failed: NotRequired[str | None]
    """To ``record``: the stage that failed for good."""
    recorded: NotRequired[bool]
    """To ``release``."""


class Step(TypedDict):
    """What a stage tells the orchestrator."""

    next: Literal["proceed", "refuse", "over", "wait"]
    until: NotRequired[str]
    """With ``wait``."""


PROCEED: Step = {"next": "proceed"}
REFUSE: Step = {"next": "refuse"}
OVER: Step = {"next": "over"}


MOST_FINDINGS = 50
"""Of one text, kept with the request and in the trail: some 7 KB, where a column holds 64."""

TOO_SLOW = Problem(type="not-available", detail="The text could not be checked in time; nothing was let through.")


CANCELLED = Problem(type="cancelled", detail="Whoever asked has cancelled the request.")


class StageFailed(Exception):
    """A stage did not do its work; Durable runs it again. The message names the error's type and no more, since it
    is kept in the orchestration's history."""


type Work = Callable[[Platform, Request, datetime], Awaitable[Step]]


def stage(work: Work) -> Callable[[Job], Awaitable[Step]]:
    """What every stage before ``record`` has in common: load, skip if done, name what goes wrong."""

    async def run(job: Job) -> Step:
        try:
            services = await platform()
            request = await requests.load(services.store.requests, job["request_id"])
            if request is None or request.over:
                return OVER
            if request.problem is not None:
                return REFUSE
            if request.cancelled:
                await requests.save_problem(services.store.requests, request, CANCELLED)
                return REFUSE
            if work.__name__ in request.stages:
                return PROCEED
            try:
                try:
                    return await work(services, request, utc_now())
                except DetectorRefused as refused:
                    raise refused.reason from None
            except ProblemError as error:
                await requests.save_problem(services.store.requests, request, error.problem())
                return REFUSE
            except GuardrailTimeout:
                # The same text would take as long again, and hold up the others.
                await requests.save_problem(services.store.requests, request, TOO_SLOW)
                return REFUSE
        except RequestOver:
            return OVER
        except CallUnderWay as under_way:
            return {"next": "wait", "until": utc_text(under_way.until)}
        except Exception as error:
            log.warning("request %s: %s failed: %s", job["request_id"], work.__name__, type(error).__name__)
            raise StageFailed(type(error).__name__) from None

    run.__name__ = work.__name__
    run.__doc__ = work.__doc__
    return run


def ran(started_at: datetime, checked: Checked | None = None) -> Stage:
    milliseconds = round((utc_now() - started_at).total_seconds() * 1000)
    return Stage(
        started_at=started_at, milliseconds=milliseconds, verdict=None if checked is None else kept(checked.verdict)
    )


def kept(verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is stored and audited: a long text may have thousands of findings, the trail holds the first."""
    kept = verdict.model_dump(mode="json")
    return {**kept, "findings": kept["findings"][:MOST_FINDINGS], "findings_in_all": len(kept["findings"])}
