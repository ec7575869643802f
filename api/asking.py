"""What asking an assistant comes to, whichever API it is asked through: the question is accepted once, handed to the
pipeline, and waited for.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from api.body import Malformed, TooLarge
from api.operation import Call
from api.problems import NoAnswer, NotAvailable
from governance import conversations, requests
from governance.audit import announce, reference_to_request
from governance.changes import ANNOUNCE_SECONDS
from governance.conversations import NEW, Conversation, ConversationUnknown
from governance.problems import Problem, ProblemError
from governance.release import withhold
from governance.request import Person, Request, Turn
from governance.sealed import SealBroken, hashing_key, unseal
from governance.switches import Stopped, check_switches, require_fresh, require_running
from guardrails.numbering import restored
from routing.assistants import Assistant
from services.bus import REQUESTS, BusUnavailable
from services.clock import utc_now, uuid7
from services.documents import ItemExists, StoreError
from services.platform import Platform

log = logging.getLogger(__name__)

BUS_SECONDS = 8.0
"""How long a Service Bus that takes nothing is tried again before the question is refused."""
BUS_PAUSE_SECONDS = 0.5
POLL_SECONDS = 5.0
"""How often the request's document is looked at while it is waited for, should a reply go missing."""
REPEAT_SECONDS = 0.5
"""The same by somebody to whom no reply comes."""
STREAM_POLL_SECONDS = 1.0
KEY_SECONDS = 86_400
"""How long an Idempotency-Key stands for its first request."""
KEY_CHARACTERS = 200


class KeyReused(ProblemError):
    """An Idempotency-Key stands for one question."""

    type = "conflict"
    detail = "This Idempotency-Key was sent with another question."


class AnswerStopped(NoAnswer):
    """The answer was released, and a switch is on: it stays here."""

    def __init__(self, problem: Problem, request: Request) -> None:
        super().__init__(problem, request.id)
        self.request = request


@dataclass(frozen=True)
class Asked:
    """A question, as a client put it."""

    assistant: Assistant
    prompt: str
    team: str | None
    wait_seconds: float
    turns: list[Turn] = field(default_factory=list)
    """What was said before, as the client says."""
    stream: bool = False
    conversation: str | None = None
    """The one that it goes on with, by its id, or ``new``."""


class Piece(NamedTuple):
    """What of an answer has left: it goes on where the one before ended."""

    request_id: str
    text: str


async def ask(call: Call[Any], asked: Asked) -> Request:
    """The request when it has ended, or when the wait is over.

    With the header Idempotency-Key a repeat is the first request, whatever became of it. Raises
    :class:`api.body.TooLarge`, :class:`KeyReused`, :class:`governance.conversations.ConversationUnknown`,
    :class:`governance.changes.Conflict` while the conversation waits for an answer, what
    :meth:`governance.access.Access.team_for` raises, and :class:`api.problems.NoAnswer` if it is stopped or may not
    have been accepted.
    """
    services = call.services
    request, is_new = await _admitted(call, asked)
    if request.answerable:
        return request
    with services.replies.expecting(request.id) as reply:
        if is_new:
            await _submit(services, request)
        poll_seconds = POLL_SECONDS if is_new else REPEAT_SECONDS
        return await _waited(services, request, reply, asked.wait_seconds, poll_seconds)


async def stream(call: Call[Any], asked: Asked) -> AsyncIterator[Piece | Request]:
    """The windows of the answer as they leave, then the request, as :func:`ask` has it. Raises what that raises.

    Nothing leaves while a switch is on.
    """
    services = call.services
    request, is_new = await _admitted(call, asked)
    sent, waited_until = 0, time.monotonic() + asked.wait_seconds
    with services.replies.expecting(request.id) as reply:
        if is_new:
            await _submit(services, request)
        while not request.answerable and (sent or time.monotonic() < waited_until):
            await _set_within(reply, STREAM_POLL_SECONDS)
            reply.clear()
            with suppress(StoreError):
                request = await _load(services, request)
            if len(request.streamed) > sent and not request.over:
                try:
                    await require_running(services.store.control, request.assistant)
                except Stopped as stop:
                    raise NoAnswer(stop.problem(), request.id) from None
                yield Piece(request.id, request.streamed[sent:])
                sent = len(request.streamed)
    yield request


async def _admitted(call: Call[Any], asked: Asked) -> tuple[Request, bool]:
    """The request that the question is, and whether it is a new one; refused if a switch is on."""
    services = call.services
    limit = services.settings.max_prompt_characters
    if len(asked.prompt) + sum(len(turn.content) for turn in asked.turns) > limit:
        raise TooLarge(limit)
    conversation = await _conversation(call, asked)
    team = call.access.team_for(conversation.team if conversation and asked.team is None else asked.team)
    request = _new_request(call, await _request_id(call, asked), team.id, asked)
    if "Idempotency-Key" in call.req.headers:
        first = await requests.load(services.store.requests, request.id)
        if first is not None:
            return first, False
    try:
        await check_switches(services.store.control, asked.assistant.id)
    except Stopped as stop:
        await requests.refuse(services.store.requests, request, stop.problem(), services.settings.request_ttl_seconds)
        with suppress(BusUnavailable, TimeoutError):  # its event is kept: the sweep announces it
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await announce(services.bus, reference_to_request(request.id))
        raise NoAnswer(stop.problem(), request.id) from None
    if conversation:
        request = await conversations.go_on(services.store, conversation, request)
    elif request.conversation:
        await conversations.begin(services.store.conversations, request)
    return request, True


async def _conversation(call: Call[Any], asked: Asked) -> Conversation | None:
    """The one that the question goes on with. Raises :class:`governance.conversations.ConversationUnknown`."""
    if asked.conversation in (None, NEW):
        return None
    found = await conversations.find(call.services.store.conversations, call.caller.oid, asked.conversation)
    if found.assistant != asked.assistant.id:
        raise ConversationUnknown
    return found


async def hand_over(services: Platform, request: Request) -> str:
    """The answer of a request that is answerable, with the caller's own values in it, which nothing keeps from now on.

    Raises :class:`api.problems.NoAnswer` if there is none, :class:`AnswerStopped` while a switch is on.
    """
    if request.problem is not None:
        raise NoAnswer(request.problem, request.id)
    assert request.answer is not None
    control = services.store.control
    try:
        # Once more: what was recorded before a stop does not leave after it.
        reading = await require_running(control, request.assistant)
        values = await _own_values(services, request)
        await require_fresh(control, request.assistant, reading)  # taking out the values may have taken long
    except Stopped as stop:
        raise AnswerStopped(stop.problem(), request) from None
    return restored(request.answer, values)


async def withheld(services: Platform, stop: AnswerStopped) -> None:
    """Whoever asked is told of the stop instead of the answer, and so is the trail."""
    try:
        await withhold(services.store, services.bus, stop.request, stop.problem())
    except StoreError as error:
        log.warning("request %s: the trail says that it was answered: %s", stop.request_id, type(error).__name__)


async def _request_id(call: Call[Any], asked: Asked) -> str:
    """A new one, or the one that the client's Idempotency-Key stands for.

    What was asked is remembered as a keyed hash. Raises :class:`KeyReused`, :class:`api.body.Malformed`.
    """
    key: str | None = call.req.headers.get("Idempotency-Key")
    if key is None:
        return uuid7()
    if not 1 <= len(key) <= KEY_CHARACTERS:
        raise Malformed(f"Idempotency-Key: of 1 to {KEY_CHARACTERS} characters")
    secret = hashing_key(call.services.settings.redaction_key.get_secret_value(), "idempotency")
    key_id = f"key-{_hashed(secret, call.caller.oid, asked.assistant.id, key)}"
    said = [value for turn in asked.turns for value in (turn.role, turn.content)]
    question = _hashed(secret, asked.prompt, asked.team or "", asked.conversation or "", *said)
    document = {"id": key_id, "type": "key", "request_id": uuid7(), "question": question, "ttl": KEY_SECONDS}
    items = call.services.store.requests
    with suppress(ItemExists):
        await items.create(document)
        return str(document["request_id"])
    kept = await items.read(key_id, key_id)
    if kept is None:  # its day is over just now
        return await _request_id(call, asked)
    if kept["question"] != question:
        raise KeyReused
    return str(kept["request_id"])


def _hashed(secret: bytes, *values: str) -> str:
    return hmac.digest(secret, json.dumps(values).encode(), hashlib.sha256).hex()


def _new_request(call: Call[Any], request_id: str, team: str, asked: Asked) -> Request:
    caller = call.caller
    return Request(
        id=request_id,
        state="queued",
        created_at=utc_now(),
        person=Person(oid=caller.oid, tenant_id=caller.tenant_id, groups=sorted(caller.groups)),
        team=team,
        assistant=asked.assistant.id,
        assistant_version=asked.assistant.version,
        trace_parent=_child_of(call.req.headers.get("traceparent", "")),
        prompt=asked.prompt,
        conversation=request_id if asked.conversation == NEW else asked.conversation,
        turns=asked.turns,
        stream=asked.stream,
    )


def _child_of(trace_parent: str) -> str:
    """A span of the caller's trace, or of a new one (W3C Trace Context, section 3.2)."""
    version, _, rest = trace_parent.partition("-")
    trace_id = rest.partition("-")[0]
    hexadecimal = len(trace_id) == 32 and not set(trace_id) - set("0123456789abcdef") and set(trace_id) != {"0"}
    if version != "00" or not hexadecimal:
        trace_id = secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


async def _submit(services: Platform, request: Request) -> None:
    """Store and send. Raises :class:`api.problems.NoAnswer` if it may not have been accepted: it can be looked up."""
    try:
        session = await services.replies.session()
        if request.stream:
            request.reply_session = session
        await requests.accept(services.store.requests, request)
        await _patiently(
            lambda: services.bus.send(
                REQUESTS,
                {"v": 1, "request_id": request.id, "traceparent": request.trace_parent},
                message_id=request.id,
                reply_to_session_id=session,
            )
        )
    except (StoreError, BusUnavailable) as error:
        log.warning("request %s: %s: %s", request.id, type(error).__name__, error)
        raise NoAnswer(NotAvailable().problem(), request.id) from None


async def _waited(
    services: Platform, request: Request, reply: asyncio.Event, wait_seconds: float, poll_seconds: float
) -> Request:
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_seconds):
            while not await _set_within(reply, poll_seconds):
                with suppress(StoreError):
                    if (current := await _load(services, request)).answerable:
                        return current
    return await _load(services, request)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def _load(services: Platform, request: Request) -> Request:
    return await requests.load(services.store.requests, request.id) or request


async def _patiently(send: Callable[[], Awaitable[None]]) -> None:
    """Sends, should Service Bus be away for some seconds. Raises :class:`services.bus.BusUnavailable`."""
    give_up = time.monotonic() + BUS_SECONDS
    while True:
        try:
            await send()
            return
        except BusUnavailable:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(BUS_PAUSE_SECONDS)


async def _own_values(services: Platform, request: Request) -> Mapping[str, str]:
    """What the caller's placeholders stand for, which nothing keeps from now on."""
    if request.sealed is None:
        return {}
    try:
        values = unseal(services.settings.redaction_key.get_secret_value(), request.id, request.sealed)
    except SealBroken:
        log.warning("request %s: its values can't be read; the answer keeps its placeholders", request.id)
        values = {}
    try:
        await requests.forget_sealed(services.store.requests, request.id)
        request.sealed = None
    except StoreError as error:
        log.warning("request %s: its values stay for the sweep: %s", request.id, error)
    return values
