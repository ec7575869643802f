"""A request's document: what is known of it from the moment it is accepted until it expires.

::

    queued --check_prompt--> running --record--> recorded --release--> released
       |                        |                    |
       +------- sweep ----------+--> recorded        +--> withheld (the audit send failed for good)

The prompt as typed is in ``prompt`` until ``check_prompt`` has passed it; a model's answer in ``calls``, then in
``unchecked_answer``, until ``check_answer`` has passed it. They are then removed.
Everything else holds text as the guardrails left it.
Every change is one conditional patch, so a stage that runs twice, or still runs when another has taken over, changes
nothing the second time.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from governance.audit import AuditEvent, measured, pending
from governance.problems import Problem
from governance.reservations import Reservation
from services.clock import Timestamp, utc_now, utc_text
from services.documents import ConditionFailed, Document, ItemExists, Items

type State = Literal["queued", "running", "recorded", "released", "withheld"]


class RequestOver(Exception):
    """The request is not running any more: a duplicate of a stage has nothing left to do."""


class Person(BaseModel):
    oid: str
    tenant_id: str
    groups: list[str]


class Stage(BaseModel):
    """One stage that has run."""

    started_at: Timestamp
    milliseconds: int
    verdict: dict[str, Any] | None = None


class Turn(BaseModel):
    """What was said before a question."""

    role: Literal["user", "assistant"]
    content: str


class Source(BaseModel):
    """A passage that an answer was grounded in, as it is shown and audited: where it is, and none of its text."""

    number: int
    """By which the answer cites it: ``[1]``."""
    title: str
    link: str | None = None
    page: int | None = None
    last_page: int | None = None
    collection: str
    document: str
    version: str
    """Of the document: what it said then."""
    chunk: str
    score: float
    """Cosine similarity to the question."""
    cited: bool = False


class Given(BaseModel):
    """The text of a source, as the guardrails left it."""

    title: str
    text: str


class ModelUse(BaseModel):
    """Which endpoint served a request, and what it took."""

    endpoint: str
    model: str
    """As the provider names it."""
    region: str
    currency: str
    input_tokens: int | None
    cached_input_tokens: int | None = None
    output_tokens: int | None
    finish_reason: str = "stop"


class Request(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    v: Literal[1] = 1
    id: str
    state: State
    created_at: Timestamp
    person: Person
    team: str
    assistant: str
    assistant_version: int
    trace_parent: str
    """W3C Trace Context, version 00."""
    prompt: str | None = None
    checked_prompt: str | None = None
    conversation: str | None = None
    """In which it was asked; its answer becomes a turn of it."""
    turn_days: int = 30
    """How long the policy lets that turn be kept."""
    turns: list[Turn] = []
    """What was said before, as the client says or the conversation has it, until ``check_prompt`` has passed it."""
    checked_turns: list[Turn] = []
    placeholders: dict[str, str] = {}
    """Which placeholder stands for which value, by the value's keyed hash."""
    sealed: str | None = None
    """What the caller's own placeholders stand for, encrypted (:mod:`governance.sealed`), until it is handed over."""
    stages: dict[str, Stage] = {}
    sources: list[Source] = []
    passages: list[Given] = []
    """Their texts, until the model has been asked."""
    calls: dict[str, dict[str, Any]] = {}
    stream: bool = False
    """Whether the answer may leave while it is made."""
    reply_session: str | None = None
    """Whom to tell of its windows."""
    streamed: str = ""
    """What of the answer has left."""
    cancelled: bool = False
    """Whoever asked does not want the answer any more."""
    unchecked_answer: str | None = None
    answer: str | None = None
    model: ModelUse | None = None
    cost_micro: int = 0
    """Of all attempts, in micro-units of the model's currency."""
    trail: dict[str, str | None] = {}
    """What the audit trail keeps of ``prompt`` and ``answer`` where that is not the text; None for nothing."""
    outcome: str | None = None
    problem: Problem | None = None
    audit: dict[str, Any] | None = None
    ended_at: Timestamp | None = None
    etag: str | None = Field(default=None, validation_alias="_etag", exclude=True)
    """Of the document that it was loaded from."""

    @property
    def over(self) -> bool:
        """Its outcome is recorded."""
        return self.state not in ("queued", "running")

    @property
    def answerable(self) -> bool:
        """A client may be told how it ended: a refusal once it is recorded, an answer once it is released."""
        return self.over and (self.problem is not None or self.state == "released")


def put(path: str, value: Any) -> dict[str, Any]:
    return {"op": "set", "path": path, "value": value}


async def load(requests: Items, request_id: str) -> Request | None:
    document = await requests.read(request_id, request_id)
    return None if document is None else Request.model_validate(document)


async def accept(requests: Items, request: Request) -> None:
    """Store a request that is about to be queued."""
    with suppress(ItemExists):  # its id is new, so whatever is there is this request, stored by the SDK's first try
        await requests.create(request.model_dump(mode="json", exclude_none=True))


async def refuse(requests: Items, request: Request, problem: Problem, ttl_seconds: int) -> None:
    """Store a request that was refused before it was queued: its outcome, its audit event, nothing that was typed."""
    ended_at = utc_now()
    refused = request.model_copy(
        update={
            "prompt": None,
            "turns": [],
            "state": "recorded",
            "outcome": outcome_of(problem),
            "problem": problem,
            "ended_at": ended_at,
            "audit": pending(audit_event(request, problem, [], ended_at)),
        }
    )
    with suppress(ItemExists):
        await requests.create({**refused.model_dump(mode="json", exclude_none=True), "ttl": ttl_seconds})


async def save_stage(requests: Items, request: Request, name: str, stage: Stage, changes: list[dict[str, Any]]) -> None:
    """What a stage found, with its time.

    Raises :class:`services.documents.ConditionFailed` if another run of the stage saved before, or the request is over:
    whoever loads it again sees which.
    """
    operations = [put(f"/stages/{name}", stage.model_dump(mode="json", exclude_none=True)), *changes]
    where = f"from c where c.state IN ('queued', 'running') and not is_defined(c.stages.{name})"
    await requests.patch(request.id, request.id, operations, where=where)


async def stream(requests: Items, request_id: str, text: str) -> None:
    """All of the answer that may have left from now on. Raises :class:`RequestOver`."""
    where = "from c where c.state = 'running' and c.cancelled = false"
    try:
        await requests.patch(request_id, request_id, [put("/streamed", text)], where=where)
    except ConditionFailed:
        raise RequestOver(request_id) from None


def started_event(request: Request) -> AuditEvent:
    """That an answer begins to leave, before its end is known; the request's own event tells all."""
    now = utc_now()
    return AuditEvent(
        TimeGenerated=now,
        EventTime=now,
        EventId=f"{request.id}-started",
        EventType="answer.started",
        Outcome="done",
        Actor=request.person.oid,
        Team=request.team,
        Assistant=request.assistant,
        AssistantVersion=request.assistant_version,
        RequestId=request.id,
        TraceId=request.trace_parent.split("-")[1],
    )


async def cancel(requests: Items, request: Request) -> None:
    """Whatever stage is next, or under way, ends the request. Raises :class:`RequestOver`."""
    where = "from c where c.state IN ('queued', 'running')"
    try:
        await requests.patch(request.id, request.id, [put("/cancelled", value=True)], where=where)
    except ConditionFailed:
        raise RequestOver(request.id) from None


async def save_problem(requests: Items, request: Request, problem: Problem) -> None:
    """Why the request gets no answer; ``record`` ends it so. Raises :class:`RequestOver`."""
    try:
        await requests.patch(
            request.id,
            request.id,
            [put("/problem", problem.model_dump())],
            where="from c where c.state IN ('queued', 'running')",
        )
    except ConditionFailed:
        raise RequestOver(request.id) from None


def outcome_of(problem: Problem | None) -> str:
    return "answered" if problem is None else problem.kind.outcome


def transcript(request: Request, turns: list[Turn], prompt: str | None) -> str | None:
    """A question as the trail tells it: with what was said before it, unless the trail has that already."""
    if not turns or prompt is None or request.conversation is not None:
        return prompt
    said = [*turns, Turn(role="user", content=prompt)]
    return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in said)


def audit_event(
    request: Request, problem: Problem | None, attempts: list[Reservation], ended_at: datetime
) -> AuditEvent:
    """The request's one audit event; its id is the request's.

    Which model was called, and what it cost, is what the ledger says, so that calls which brought no answer are told.
    """
    asked = transcript(request, request.checked_turns, request.checked_prompt)
    prompt = measured(asked)
    left = (request.streamed or None) if problem else request.answer
    answer = measured(left)
    used, called = request.model, next((each for each in reversed(attempts) if ":answer:" in each.id), None)
    return AuditEvent(
        TimeGenerated=ended_at,
        EventTime=ended_at,
        EventId=request.id,
        EventType="request",
        Outcome=outcome_of(problem),
        Reason=problem.type if problem else "",
        Actor=request.person.oid,
        Team=request.team,
        Assistant=request.assistant,
        AssistantVersion=request.assistant_version,
        RequestId=request.id,
        Conversation=request.conversation or "",
        TraceId=request.trace_parent.split("-")[1],
        Prompt=request.trail.get("prompt", asked) or "",
        PromptCharacters=prompt[0],
        PromptSha256=prompt[1],
        Answer=("" if left is None else request.trail.get("answer", left)) or "",
        AnswerCharacters=answer[0],
        AnswerSha256=answer[1],
        Verdicts={name: stage.verdict for name, stage in request.stages.items() if stage.verdict is not None},
        Stages={
            name: {"started_at": utc_text(stage.started_at), "ms": stage.milliseconds}
            for name, stage in request.stages.items()
        },
        Sources=[source.model_dump(exclude_none=True) for source in request.sources],
        Attempts=[each.as_told() for each in attempts],
        Endpoint=called.endpoint if called else "",
        Provider=called.provider if called else "",
        Model=called.model if called else "",
        Region=called.region if called else "",
        Residency=called.residency if called else "",
        InputTokens=used.input_tokens if used else None,
        CachedInputTokens=used.cached_input_tokens if used else None,
        OutputTokens=used.output_tokens if used else None,
        CostMicro=sum(attempt.charged_micro for attempt in attempts),
        Currency=attempts[-1].currency if attempts else "",
    )


async def record(
    requests: Items, request: Request, problem: Problem | None, attempts: list[Reservation], ttl_seconds: int
) -> None:
    """queued | running -> recorded: the outcome and the pending audit event, in one operation.

    Whatever raw text is still there goes in the same operation. Raises :class:`services.documents.ConditionFailed` if
    the request changed since it was loaded: the event would tell of what it was, and raw text that came since would
    stay.
    """
    assert request.etag is not None, "only what was loaded is recorded"
    ended_at = utc_now()
    operations = [
        put("/state", "recorded"),
        put("/outcome", outcome_of(problem)),
        put("/ended_at", utc_text(ended_at)),
        put("/cost_micro", sum(attempt.charged_micro for attempt in attempts)),
        put("/audit", pending(audit_event(request, problem, attempts, ended_at))),
        put("/ttl", ttl_seconds),
        put("/calls", {}),
    ]
    if problem is not None:
        operations.append(put("/problem", problem.model_dump()))
        if request.answer is not None:
            operations.append({"op": "remove", "path": "/answer"})
    if request.prompt is not None:
        operations.append({"op": "remove", "path": "/prompt"})
    if request.turns:
        operations.append(put("/turns", []))
    if request.unchecked_answer is not None:
        operations.append({"op": "remove", "path": "/unchecked_answer"})
    if problem is not None and request.sealed is not None:
        operations.append({"op": "remove", "path": "/sealed"})
    await requests.patch(request.id, request.id, operations, etag=request.etag)


async def release(requests: Items, request_id: str) -> None:
    """recorded -> released: from here on the answer may be read. Does nothing the second time."""
    try:
        await requests.patch(
            request_id, request_id, [put("/state", "released")], where="from c where c.state = 'recorded'"
        )
    except ConditionFailed:
        return


async def withhold_unrecorded(requests: Items, request: Request) -> bool:
    """recorded -> withheld: the audit writer could not be told, so the answer does not leave.

    The pending event says so from now on. False if the event was written after all: the answer may then leave.
    """
    problem = Problem(type="not-recorded", detail="The answer is withheld, since its record could not be queued.")
    try:
        await _withhold(
            requests, request, problem, outcome_of(problem), "c.state = 'recorded' and c.audit.status = 'pending'"
        )
    except ConditionFailed:
        return False
    return True


async def withhold_stopped(requests: Items, request: Request, problem: Problem) -> None:
    """recorded | released -> withheld: a stop came after the outcome was recorded, before the answer was handed over.

    The event's next revision says so, and that of the answer, if it was in the trail already, stays there. Raises
    :class:`services.documents.ConditionFailed` if the request changed since it was loaded.
    """
    await _withhold(requests, request, problem, "withheld", "c.state IN ('recorded', 'released')")


async def _withhold(requests: Items, request: Request, problem: Problem, outcome: str, where: str) -> None:
    assert request.audit is not None
    told = AuditEvent.model_validate(request.audit["event"])
    untold = {"Outcome": outcome, "Reason": problem.type, "Revision": told.Revision + 1}
    characters, sha256 = measured(request.streamed or None)
    no_answer = {"Answer": request.streamed, "AnswerCharacters": characters, "AnswerSha256": sha256}
    operations = [
        put("/state", "withheld"),
        put("/outcome", outcome),
        put("/problem", problem.model_dump()),
        put("/audit", pending(told.model_copy(update={**untold, **no_answer}))),
    ]
    operations += [
        {"op": "remove", "path": f"/{name}"} for name in ("answer", "sealed") if getattr(request, name) is not None
    ]
    as_loaded = f"c.audit.revision = {told.Revision}"
    await requests.patch(request.id, request.id, operations, where=f"from c where {where} and {as_loaded}")


async def forget_sealed(requests: Items, request_id: str) -> None:
    """The caller's values are gone from the request. Does nothing the second time."""
    with suppress(ConditionFailed):
        operation = {"op": "remove", "path": "/sealed"}
        await requests.patch(request_id, request_id, [operation], where="from c where is_defined(c.sealed)")


class KeptResults:
    """Keeps a model's raw answer in the request's document, until ``check_answer`` has passed it."""

    def __init__(self, requests: Items, request_id: str) -> None:
        self._requests = requests
        self._request_id = request_id

    async def kept(self, reservation: str) -> dict[str, Any] | None:
        document: Document | None = await self._requests.read(self._request_id, self._request_id)
        return None if document is None else document["calls"].get(reservation)

    async def keep(self, reservation: str, completion: dict[str, Any]) -> None:
        """Raises :class:`RequestOver` if the request ended meanwhile."""
        try:
            await self._requests.patch(
                self._request_id,
                self._request_id,
                [put(f"/calls/{reservation}", completion)],
                where="from c where c.state IN ('queued', 'running')",
            )
        except ConditionFailed:
            raise RequestOver(self._request_id) from None
