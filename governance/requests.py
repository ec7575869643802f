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

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from governance.audit import AuditEvent, measured, pending
from governance.problems import Problem
from governance.request import Request, Stage
from governance.request_events import audit_event, outcome_of
from governance.reservations import Reservation
from services.clock import utc_now, utc_text
from services.documents import ConditionFailed, Document, ItemExists, Items, put


class RequestOver(Exception):
    """The request is not running any more: a duplicate of a stage has nothing left to do."""


async def load(requests: Items, request_id: str) -> Request | None:
    document = await requests.read(request_id, request_id)
    return None if document is None else Request.model_validate(document)


async def load_each(requests: Items, request_ids: Sequence[str]) -> Sequence[Request | None]:
    """As :func:`load`, in their order, by one reading that begins now."""
    found = await requests.read_own(frozenset(request_ids))
    return [Request.model_validate(found[each]) if each in found else None for each in request_ids]


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
