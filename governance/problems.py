"""What a client is told when it doesn't get an answer: RFC 9457 problem types, each with its HTTP status.

An exception that a client hears of derives from :class:`ProblemError` and names its type; ``api`` turns it into
problem+json, and the pipeline keeps it with the request. Its detail is in plain words and holds no content.
"""

from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel


class ProblemType(NamedTuple):
    status: int
    title: str
    outcome: str
    """What the audit trail says of a request that ended so."""
    retry_after_seconds: int | None = None


PROBLEM_TYPES = {
    "malformed": ProblemType(400, "The request is malformed", "refused"),
    "team-ambiguous": ProblemType(400, "Name one of your teams", "refused"),
    "token-refused": ProblemType(401, "The access token was refused", "refused"),
    "team-cap-reached": ProblemType(402, "The team's cost cap is reached", "refused"),
    "groups-unresolved": ProblemType(403, "Your groups could not be resolved", "refused"),
    "no-team": ProblemType(403, "You are in no team", "refused"),
    "role-missing": ProblemType(403, "You do not hold the role", "refused"),
    "residency-refused": ProblemType(403, "The model is outside the required residency", "refused"),
    "support-only": ProblemType(403, "Support may not do this", "refused"),
    "not-found": ProblemType(404, "Not found", "refused"),
    "conflict": ProblemType(409, "It does not fit what there is", "refused"),
    "outdated": ProblemType(412, "It was changed meanwhile", "refused"),
    "too-large": ProblemType(413, "The request is too large", "refused"),
    "wrong-content-type": ProblemType(415, "The content type is not supported", "refused"),
    "precondition-required": ProblemType(428, "Say what you are changing", "refused"),
    "model-declined": ProblemType(422, "The model declines to answer", "refused"),
    "cancelled": ProblemType(409, "Cancelled", "cancelled"),
    "policy-blocked": ProblemType(422, "The acceptable use policy blocks this", "refused"),
    "no-sources": ProblemType(422, "The documents say nothing on this", "refused"),
    "stopped": ProblemType(423, "Stopped by the kill switch", "stopped"),
    "too-many-queries": ProblemType(429, "Too many at once", "refused", 10),
    "answer-late": ProblemType(504, "The answer takes longer", "failed"),
    "model-failed": ProblemType(502, "The model did not answer", "failed", 30),
    "stream-broken": ProblemType(502, "The answer broke off", "failed"),
    "not-available": ProblemType(503, "Not available", "failed", 30),
    "not-recorded": ProblemType(503, "The answer could not be recorded", "failed", 30),
    "abandoned": ProblemType(503, "The request was given up", "abandoned", 30),
}


class Problem(BaseModel):
    """A problem as it is kept with a request and told to a client."""

    type: str
    detail: str
    extra: dict[str, Any] = {}
    """Members of its own, such as the teams to choose from."""

    @property
    def kind(self) -> ProblemType:
        return PROBLEM_TYPES[self.type]


class ProblemError(Exception):
    """The base of every exception that a client is told of."""

    type: ClassVar[str]
    detail: ClassVar[str]

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=self.detail)
