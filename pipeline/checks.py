"""The guardrails' stages: on what is asked before a model sees it, and on what it answers before anybody does."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from governance import requests
from governance.problems import Problem, ProblemError
from governance.request import Request, Turn
from governance.request_events import transcript
from governance.sealed import seal
from grounding.citations import cited, without_unfounded
from guardrails.check import About, Checked, check, for_trail
from guardrails.numbering import Numbering
from guardrails.policy import Policy, Trail
from guardrails.topics import Side
from guardrails.verdict import Action, Verdict
from pipeline.detectors import Detectors
from pipeline.rules import assistant_of, numbering_of, policy_of, secret_of, without_remote
from pipeline.stage import PROCEED, REFUSE, Step, kept, ran, stage
from services.documents import put
from services.platform import Platform

bp = df.Blueprint()


class PolicyBlocked(ProblemError):
    """The guardrails block the prompt or the answer."""

    type = "policy-blocked"

    def __init__(self, where: str, verdicts: Iterable[Verdict]) -> None:
        super().__init__(where)
        self.where = where
        findings = [each for verdict in verdicts for each in verdict.findings]
        self.rules = sorted({each.rule for each in findings if each.action is Action.BLOCK})

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=f"The policy blocks the {self.where}.", extra={"rules": self.rules})


class WindowsDiffer(ProblemError):
    """With all of the answer in sight, the guardrails would have left something else of what left already."""

    type = "stream-broken"
    detail = "The answer is broken off: with all of it in sight the policy would have had more removed from it."


ON_NO_DOCUMENT = "\n\n(This answer stands on none of the organisation's documents.)"
"""What an answer without sources ends with, where the assistant is to warn of that."""


async def _trail(what: str, text: str, policy: Policy) -> list[dict[str, Any]]:
    """What the audit trail keeps of a text, where that is not the text itself."""
    return [] if policy.trail is Trail.FULL else [put(f"/trail/{what}", await for_trail(text, policy))]


@bp.activity_trigger(input_name="job")
@stage
async def check_prompt(services: Platform, request: Request, started_at: datetime) -> Step:
    """Guardrails on the prompt as typed, which is erased with the same patch, whatever they say."""
    assert request.prompt is not None
    assistant = await assistant_of(services, request)
    remote = Detectors(services, request, assistant, Side.PROMPT)
    numbering = numbering_of(services, request)
    policy = await policy_of(services, assistant)
    said = [await _turn(turn, policy, numbering) for turn in request.turns]
    checked = await check(request.prompt, policy, remote=remote, numbering=numbering)
    verdicts = [each.verdict for each in (*said, checked)]
    blocked = PolicyBlocked("prompt", verdicts) if Verdict.strictest(verdicts) is Action.BLOCK else None
    turns = [Turn(role=turn.role, content=each.text) for turn, each in zip(request.turns, said, strict=True)]
    restores = policy.restore and numbering.values and not blocked
    changes = [
        put("/state", "running"),
        put("/checked_prompt", checked.text),
        put("/placeholders", numbering.known),
        *await _trail("prompt", transcript(request, turns, checked.text) or "", policy),
        {"op": "remove", "path": "/prompt"},
        *([put("/turns", []), put("/checked_turns", [turn.model_dump() for turn in turns])] if turns else []),
        *([put("/problem", blocked.problem().model_dump())] if blocked else []),
        *([put("/turn_days", policy.conversation_days)] if request.conversation else []),
        *([put("/sealed", seal(secret_of(services), request.id, numbering.values))] if restores else []),
    ]
    found = ran(started_at, checked)
    if found.verdict is not None and said:
        found.verdict |= {"action": Verdict.strictest(verdicts), "turns": [kept(each.verdict) for each in said]}
    await requests.save_stage(services.store.requests, request, "check_prompt", found, changes)
    return REFUSE if blocked else PROCEED


async def _turn(turn: Turn, policy: Policy, numbering: Numbering) -> Checked:
    """What was said before, as today's policy has it: of the person as a question is, of the assistant as data."""
    side = Side.PROMPT if turn.role == "user" else Side.DOCUMENT
    return await check(turn.content, without_remote(policy), side=side, numbering=numbering)


@bp.activity_trigger(input_name="job")
@stage
async def check_answer(services: Platform, request: Request, started_at: datetime) -> Step:
    """Guardrails on the model's answer, which is erased as it was with the same patch."""
    assert request.unchecked_answer is not None
    assistant = await assistant_of(services, request)
    about = About(sources=len(request.sources), instructions=assistant.system_prompt)
    policy = await policy_of(services, assistant)
    remote = Detectors(services, request, assistant, Side.ANSWER)
    raw, unfounded = request.unchecked_answer, 0
    if assistant.collections:
        raw, unfounded = without_unfounded(raw, len(request.sources))
        if not request.sources and assistant.without_sources == "warn":
            raw += ON_NO_DOCUMENT
    checked = await check(
        raw,
        policy,
        side=Side.ANSWER,
        about=about,
        remote=remote,
        numbering=numbering_of(services, request),
    )
    blocked: ProblemError | None = None
    if checked.verdict.action is Action.BLOCK:
        blocked = PolicyBlocked("answer", [checked.verdict])
    elif not checked.text.startswith(request.streamed):
        blocked = WindowsDiffer()
    numbers = cited(checked.text)
    changes = [
        {"op": "remove", "path": "/unchecked_answer"},
        put("/problem", blocked.problem().model_dump()) if blocked else put("/answer", checked.text),
        *await _trail("answer", checked.text, policy),
        put("/sources", [each.model_dump() | {"cited": each.number in numbers} for each in request.sources]),
    ]
    found = ran(started_at, checked)
    if found.verdict is not None and unfounded:
        found.verdict["unfounded_citations"] = unfounded
    await requests.save_stage(services.store.requests, request, "check_answer", found, changes)
    return REFUSE if blocked else PROCEED
