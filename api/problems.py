"""Errors become problem+json (RFC 9457) here, and nowhere else."""

import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from governance.problems import Problem, ProblemError
from services.bus import BusUnavailable
from services.documents import StoreError

log = logging.getLogger(__name__)

NOT_AVAILABLE = Problem(type="not-available", detail="A service that this needs does not answer.")

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


class Malformed(ProblemError):
    """The body is not what this route takes; the detail says what is wrong with it, without quoting it."""

    type = "malformed"

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=str(self))


class WrongContentType(ProblemError):
    """The body is not JSON by its Content-Type."""

    type = "wrong-content-type"
    detail = "Send application/json."


class TooLarge(ProblemError):
    """The text is longer than the limit."""

    type = "too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._limit = limit

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=f"The text may have at most {self._limit:,} characters.")


class RequestUnknown(ProblemError):
    """There is no such request, or it is another person's."""

    type = "not-found"
    detail = "There is no such request."


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, headers=headers, mimetype="application/json")


def problem_response(problem: Problem, request_id: str | None = None) -> func.HttpResponse:
    kind = problem.kind
    body = {
        "type": f"/problems/{problem.type}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        **({"request_id": request_id} if request_id else {}),
        **problem.extra,
    }
    headers = {}
    if kind.retry_after_seconds is not None:
        headers["Retry-After"] = str(kind.retry_after_seconds)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return func.HttpResponse(
        json.dumps(body), status_code=kind.status, headers=headers, mimetype="application/problem+json"
    )


def answering_problems(handler: Handler) -> Handler:
    """Whatever a handler raises is answered as a problem."""

    @functools.wraps(handler)
    async def answered(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await handler(req)
        except ProblemError as error:
            return problem_response(error.problem())
        except (StoreError, BusUnavailable) as error:
            log.warning("%s: %s: %s", handler.__name__, type(error).__name__, error)
            return problem_response(NOT_AVAILABLE)
        except Exception as error:
            # Its message may hold anything, so only its type is logged.
            log.error("%s: %s", handler.__name__, type(error).__name__)
            return problem_response(NOT_AVAILABLE)

    return answered
