"""What the trail is told of a request."""

from datetime import datetime

from governance.audit import AuditEvent, measured
from governance.problems import Problem
from governance.request import Request, Turn
from governance.reservations import Reservation
from services.clock import utc_now, utc_text


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
