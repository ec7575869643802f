"""The stages of a request, each an activity that may run more than once.

A stage reads the request's document, does its one thing, and saves what it found in one conditional patch; if it
finds that it ran before, it says again what it said then. What it returns is a decision, never content:
``proceed``, ``refuse`` (the document says why), ``over`` (nothing left to do) or ``wait`` until a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

import azure.durable_functions as df

from governance import requests, reservations
from governance.audit import announce, note_started, reference_to_request
from governance.policies import PolicyUnknown, find_policy
from governance.problems import Problem, ProblemError
from governance.release import release as let_go
from governance.requests import KeptResults, ModelUse, Request, RequestOver, Stage, Turn, put, transcript
from governance.sealed import hashing_key, seal
from governance.switches import Stopped, require_running
from guardrails.analysis_thread import analyse
from guardrails.check import About, Checked, check, for_trail
from guardrails.errors import DetectorRefused, GuardrailTimeout
from guardrails.numbering import Numbering
from guardrails.policy import Policy, Trail, strictest, tightened
from guardrails.topics import Side
from guardrails.undecided import undecided_from
from guardrails.verdict import Action, Verdict
from pipeline.detectors import Detectors
from pipeline.windows import Windows, may_stream
from routing.assistants import Assistant, assistant_in_use
from routing.governed_call import CallUnderWay, ModelCall, StreamBroken, governed_call
from routing.grounding import ground as retrieve
from routing.messages import Message
from routing.routes import find_route
from routing.worker import governor
from services.bus import REPLIES, REPLY_TTL
from services.clock import utc_now, utc_text, uuid7
from services.documents import StoreError
from services.platform import Platform, platform

log = logging.getLogger(__name__)

bp = df.Blueprint()


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


ON_PLACEHOLDERS = "\n\nWords such as <PERSON_1> stand for what was left out on purpose: use them as they are."
"""What the model is told of them, so that it does not drop or change them."""

TOO_SLOW = Problem(type="not-available", detail="The text could not be checked in time; nothing was let through.")


CANCELLED = Problem(type="cancelled", detail="Whoever asked has cancelled the request.")
CANCEL_POLL_SECONDS = 1.0
"""How often is looked whether a request is cancelled, while its model is called."""


class StageFailed(Exception):
    """A stage did not do its work; Durable runs it again. The message names the error's type and no more, since it
    is kept in the orchestration's history."""


class PolicyMissing(ProblemError):
    """The assistant names a guardrail policy that isn't configured: nothing can be checked, so nothing passes."""

    type = "not-available"
    detail = "The assistant's guardrail policy is not configured."


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


def _ran(started_at: datetime, checked: Checked | None = None) -> Stage:
    milliseconds = round((utc_now() - started_at).total_seconds() * 1000)
    return Stage(
        started_at=started_at, milliseconds=milliseconds, verdict=None if checked is None else _kept(checked.verdict)
    )


def _kept(verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is stored and audited: a long text may have thousands of findings, the trail holds the first."""
    kept = verdict.model_dump(mode="json")
    return {**kept, "findings": kept["findings"][:MOST_FINDINGS], "findings_in_all": len(kept["findings"])}


async def _assistant(services: Platform, request: Request) -> Assistant:
    return await assistant_in_use(
        services.store.config, request.assistant, request.assistant_version, request.person.groups
    )


async def _policy(services: Platform, assistant: Assistant) -> Policy:
    """The assistant's rules, read now. A policy that there is none of, or that can't be enforced, lets nothing pass."""
    policies = []
    for policy_id in assistant.policies:
        try:
            kept, _ = await find_policy(services.store.config, policy_id)
        except PolicyUnknown:
            raise PolicyMissing(policy_id) from None
        policies.append(Policy.model_validate({**kept.rules, "id": kept.id, "version": kept.version}))
    return tightened(strictest(policies), {category: Action(action) for category, action in assistant.pii.items()})


def _numbering(services: Platform, request: Request) -> Numbering:
    """The placeholders of this request, under a key of its own: hashes of two requests can't be compared."""
    return Numbering(hashing_key(_secret(services), request.id), request.placeholders)


def _secret(services: Platform) -> bytes:
    return services.settings.redaction_key.get_secret_value()


async def _trail(what: str, text: str, policy: Policy) -> list[dict[str, Any]]:
    """What the audit trail keeps of a text, where that is not the text itself."""
    return [] if policy.trail is Trail.FULL else [put(f"/trail/{what}", await for_trail(text, policy))]


@bp.activity_trigger(input_name="job")
@stage
async def check_prompt(services: Platform, request: Request, started_at: datetime) -> Step:
    """Guardrails on the prompt as typed, which is erased with the same patch, whatever they say."""
    assert request.prompt is not None
    assistant = await _assistant(services, request)
    remote = Detectors(services, request, assistant, Side.PROMPT)
    numbering = _numbering(services, request)
    policy = await _policy(services, assistant)
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
        *await _trail("prompt", transcript(turns, checked.text) or "", policy),
        {"op": "remove", "path": "/prompt"},
        *([put("/turns", []), put("/checked_turns", [turn.model_dump() for turn in turns])] if turns else []),
        *([put("/problem", blocked.problem().model_dump())] if blocked else []),
        *([put("/sealed", seal(_secret(services), request.id, numbering.values))] if restores else []),
    ]
    ran = _ran(started_at, checked)
    if ran.verdict is not None and said:
        ran.verdict |= {"action": Verdict.strictest(verdicts), "turns": [_kept(each.verdict) for each in said]}
    await requests.save_stage(services.store.requests, request, "check_prompt", ran, changes)
    return REFUSE if blocked else PROCEED


async def _turn(turn: Turn, policy: Policy, numbering: Numbering) -> Checked:
    """What a client says was said before: of the person as a question is, of the assistant as data."""
    side = Side.PROMPT if turn.role == "user" else Side.DOCUMENT
    here = [topic for topic in policy.acceptable_use if not topic.is_remote]
    return await check(turn.content, policy.model_copy(update={"acceptable_use": here}), side=side, numbering=numbering)


@bp.activity_trigger(input_name="job")
@stage
async def ground(services: Platform, request: Request, started_at: datetime) -> Step:
    """What the customer's documents say on it."""
    sources = [source.model_dump() for source in await retrieve()]
    await requests.save_stage(services.store.requests, request, "ground", _ran(started_at), [put("/sources", sources)])
    return PROCEED


@bp.activity_trigger(input_name="job")
@stage
async def infer(services: Platform, request: Request, started_at: datetime) -> Step:
    """The one call to the model; its raw answer stays in the request's document until it is checked."""
    assert request.checked_prompt is not None
    if request.streamed:
        raise StreamBroken  # whoever made it is gone
    assistant = await _assistant(services, request)
    route = await find_route(services.store.config, assistant.route)
    instructions = assistant.system_prompt + (ON_PLACEHOLDERS if request.placeholders else "")
    said: list[Message] = [{"role": turn.role, "content": turn.content} for turn in request.checked_turns]
    messages: list[Message] = [
        {"role": "system", "content": instructions},
        *said,
        {"role": "user", "content": request.checked_prompt},
    ]
    call = ModelCall(
        request_id=request.id,
        purpose="answer",
        team=request.team,
        person=request.person.oid,
        assistant=assistant.id,
        residency=assistant.residency,
        endpoints=route.endpoints,
        messages=messages,
        temperature=assistant.temperature,
        max_output_tokens=assistant.max_output_tokens,
    )
    results = KeptResults(services.store.requests, request.id)
    relay = await _relay(services, request, assistant) if request.stream else None
    governed = await _unless_cancelled(services, request, governed_call(governor(services), call, results, relay))
    if governed is None:
        await requests.save_problem(services.store.requests, request, CANCELLED)
        return REFUSE
    used = ModelUse(
        endpoint=governed.endpoint,
        model=governed.completion.model,
        region=governed.region,
        currency=governed.currency,
        input_tokens=governed.completion.input_tokens,
        cached_input_tokens=governed.completion.cached_input_tokens,
        output_tokens=governed.completion.output_tokens,
        finish_reason=governed.completion.finish_reason,
    )
    changes = [
        put("/model", used.model_dump()),
        put("/unchecked_answer", governed.completion.text),
        put("/calls", {}),
    ]
    await requests.save_stage(services.store.requests, request, "infer", _ran(started_at), changes)
    return PROCEED


async def _relay(services: Platform, request: Request, assistant: Assistant) -> Windows | None:
    """Lets the answer leave window by window, if the policy can judge it so.

    Each window is in the request's document before anybody is told of it, and before the first the trail has it that
    an answer begins to leave.
    """
    policy = await _policy(services, assistant)
    if not may_stream(policy):
        return None
    about = About(sources=len(request.sources), instructions=assistant.system_prompt)
    begun = False

    async def look(text: str) -> Checked:
        return await check(text, policy, side=Side.ANSWER, about=about, numbering=_numbering(services, request))

    async def release_window(text: str) -> None:
        nonlocal begun
        if not begun:
            await note_started(services.store, services.bus, requests.started_event(request))
            begun = True
        await requests.stream(services.store.requests, request.id, text)
        if request.reply_session:
            await services.bus.send(
                REPLIES,
                {"v": 1, "request_id": request.id},
                message_id=uuid7(),
                session_id=request.reply_session,
                correlation_id=request.id,
                time_to_live=REPLY_TTL,
            )

    async def undecided(text: str) -> int:
        return await analyse(undecided_from, text, policy)

    return Windows(look, undecided, release_window)


async def _unless_cancelled[Result](services: Platform, request: Request, work: Awaitable[Result]) -> Result | None:
    """What the work gives; None if the request was cancelled meanwhile, when the work has been ended."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=CANCEL_POLL_SECONDS))[0]:
            with suppress(StoreError):
                now = await requests.load(services.store.requests, request.id)
                if now is not None and now.cancelled:
                    return None
        return await task
    finally:
        task.cancel()
        await asyncio.wait({task})


@bp.activity_trigger(input_name="job")
@stage
async def check_answer(services: Platform, request: Request, started_at: datetime) -> Step:
    """Guardrails on the model's answer, which is erased as it was with the same patch."""
    assert request.unchecked_answer is not None
    assistant = await _assistant(services, request)
    about = About(sources=len(request.sources), instructions=assistant.system_prompt)
    policy = await _policy(services, assistant)
    remote = Detectors(services, request, assistant, Side.ANSWER)
    checked = await check(
        request.unchecked_answer,
        policy,
        side=Side.ANSWER,
        about=about,
        remote=remote,
        numbering=_numbering(services, request),
    )
    blocked: ProblemError | None = None
    if checked.verdict.action is Action.BLOCK:
        blocked = PolicyBlocked("answer", [checked.verdict])
    elif not checked.text.startswith(request.streamed):
        blocked = WindowsDiffer()
    changes = [
        {"op": "remove", "path": "/unchecked_answer"},
        put("/problem", blocked.problem().model_dump()) if blocked else put("/answer", checked.text),
        *await _trail("answer", checked.text, policy),
    ]
    await requests.save_stage(services.store.requests, request, "check_answer", _ran(started_at, checked), changes)
    return REFUSE if blocked else PROCEED


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
        await announce(services.bus, reference_to_request(request.id), request.id)
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
