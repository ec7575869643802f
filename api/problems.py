"""Errors become problem+json (RFC 9457) here, and nowhere else."""

import json

import azure.functions as func
from pydantic import BaseModel

from governance.problems import Problem, ProblemError


class NotAvailable(ProblemError):
    """A service that the operation needs does not answer, or something failed that nobody foresaw."""

    type = "not-available"
    detail = "A service that this needs does not answer."


class NoAnswer(ProblemError):
    """A request ended without an answer, or it is not known how; the problem says why."""

    def __init__(self, problem: Problem, request_id: str) -> None:
        super().__init__(problem.type)
        self._problem = problem
        self.request_id = request_id

    def problem(self) -> Problem:
        return self._problem


def json_response(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(body.model_dump_json(), status_code=status, headers=headers, mimetype="application/json")


def problem_response(error: ProblemError) -> func.HttpResponse:
    problem = error.problem()
    kind = problem.kind
    body = {
        "type": f"/problems/{problem.type}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        **({"request_id": error.request_id} if isinstance(error, NoAnswer) else {}),
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
