"""What is answered becomes JSON or a table here, and errors become problem+json (RFC 9457); nowhere else."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, RootModel

from governance.access import Notice
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


class Csv(RootModel[str]):
    """A table as comma-separated values (RFC 4180), with a line of names."""


class JsonLines(RootModel[str]):
    """A JSON object on each line (https://jsonlines.org)."""


class Events(RootModel[str]):
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""


def event(data: str, name: str = "") -> str:
    """One server-sent event. ``data`` is a line of JSON."""
    return f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"


@dataclass(frozen=True)
class Streamed:
    """A body that is sent while it is made; should that fail, the client sees that it was cut off."""

    shape: type[Csv | JsonLines | Events]
    pieces: AsyncIterator[str]


def response(body: BaseModel | Streamed, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, but for a table, and for what is streamed."""
    if isinstance(body, Streamed):
        return StreamingResponse(body.pieces, status, headers, media_type(body.shape))
    text = body.root if isinstance(body, Csv) else body.model_dump_json()
    return Response(text, status, headers, media_type(type(body)))


def media_type(shape: type[BaseModel]) -> str:
    """As what it is answered."""
    media_types: dict[type[BaseModel], str] = {
        Csv: "text/csv",
        JsonLines: "application/jsonl",
        Events: "text/event-stream",
    }
    return media_types.get(shape, "application/json")


def shown(notices: Sequence[Notice]) -> dict[str, Any]:
    """What an error says of the notices in force: one of them may be the reason."""
    return {"notices": [notice.model_dump(mode="json") for notice in notices]} if notices else {}


def problem_body(error: ProblemError, notices: Sequence[Notice]) -> dict[str, Any]:
    problem = error.problem()
    return {
        "type": f"/problems/{problem.type}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        **({"request_id": error.request_id} if isinstance(error, NoAnswer) else {}),
        **problem.extra,
        **shown(notices),
    }


def problem_response(error: ProblemError, notices: Sequence[Notice]) -> Response:
    body, kind = problem_body(error, notices), error.problem().kind
    headers = {}
    if kind.retry_after_seconds is not None:
        headers["Retry-After"] = str(kind.retry_after_seconds)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(json.dumps(body), kind.status, headers, "application/problem+json")
