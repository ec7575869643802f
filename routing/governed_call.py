"""The one way to a model: every call to one, for whatever purpose, is made by :func:`governed_call`.

::

    switches -> residency -> price -> reserve -> begin -> switches still fresh? -> call, watched -> keep the result
             -> settle -> switches again -> hand the result on

It is safe to run again with the same request and purpose: a call that was settled gives its kept result, one that
is under way elsewhere raises :class:`CallUnderWay`, and one whose worker died is charged in full and made anew.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from governance import reservations
from governance.prices import Price
from governance.problems import ProblemError
from governance.reservations import Reservation, Usage
from governance.switches import (
    Reading,
    Stopped,
    SwitchesUnread,
    SwitchWatcher,
    check_switches,
    require_fresh,
    require_running,
)
from routing.endpoints import Endpoint, price_of, require_residency
from routing.messages import Completion, Message
from routing.providers import ModelError, ModelOutcomeUnknown, complete
from services.clock import utc_now
from services.documents import Items

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
PAUSE_SECONDS = 0.5
"""Before the next attempt, times the attempts made."""
GRACE = timedelta(seconds=5)
"""How much longer than the model's time-out a worker may take to settle before it is taken for dead."""

MESSAGE_OVERHEAD_TOKENS = 16
"""What a chat template adds around one message, at most."""


class CallUnderWay(Exception):
    """Another worker is making this call; ask again at ``until``."""

    def __init__(self, until: datetime) -> None:
        super().__init__("another worker is making this call")
        self.until = until


class ModelFailed(ProblemError):
    """No attempt brought an answer. The message names the last failure."""

    type = "model-failed"
    detail = "The model did not answer; what was charged is in the audit trail."


class Results(Protocol):
    """Where the result of a call is kept for a repeat, until the guardrails have passed it."""

    async def kept(self, reservation: str) -> dict[str, Any] | None: ...

    async def keep(self, reservation: str, completion: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class ModelCall:
    request_id: str
    purpose: str
    """``answer``, or ``judge-<side>-<n>``: two calls of a request are the same if their purpose is."""
    team: str
    person: str
    assistant: str
    residency: Literal["any", "azure"]
    endpoint: Endpoint
    messages: list[Message]
    temperature: float
    max_output_tokens: int


@dataclass(frozen=True)
class Governed:
    """A model's answer, and what it cost."""

    completion: Completion
    cost_micro: int
    currency: str


@dataclass(frozen=True)
class Governor:
    """What :func:`governed_call` works with."""

    control: Items
    budgets: Items
    watcher: SwitchWatcher
    model_timeout_seconds: float


def most_tokens(messages: list[Message]) -> int:
    """No tokenizer makes more tokens of a text than it has UTF-8 bytes: a reservation must never be too small."""
    return sum(len(message["content"].encode()) + MESSAGE_OVERHEAD_TOKENS for message in messages)


async def governed_call(governor: Governor, call: ModelCall, results: Results) -> Governed:
    """The model's answer, under every lever.

    Raises :class:`governance.switches.Stopped`, what :func:`governance.reservations.reserve` raises,
    :class:`routing.endpoints.ResidencyRefused`,
    :class:`routing.endpoints.PriceUnknown`, :class:`governance.switches.SwitchesTooSlow`,
    :class:`governance.switches.SwitchesUnread`, :class:`CallUnderWay`,
    :class:`ModelFailed`, and
    :class:`services.documents.StoreError` when the state that decides can't be read or written.
    """
    reading = await check_switches(governor.control, call.assistant)
    require_residency(call.endpoint, call.residency)
    price = price_of(call.endpoint, utc_now())
    failure = "no attempt was made"
    for attempt in range(1, MAX_ATTEMPTS + 1):
        reservation = await _reserve(governor, call, price, attempt)
        try:
            governed = await _attempt(governor, call, reservation, reading, results)
        except ModelError as error:
            log.warning("request %s: attempt %d failed: %s", call.request_id, attempt, error)
            failure = str(error)
            if not error.worth_repeating:
                break
            if attempt < MAX_ATTEMPTS:
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            continue
        if governed is not None:
            await require_running(governor.control, call.assistant)
            return governed
    raise ModelFailed(failure)


async def _reserve(governor: Governor, call: ModelCall, price: Price, attempt: int) -> Reservation:
    now = utc_now()
    wanted = Reservation(
        id=reservations.reservation_id(call.request_id, call.purpose, attempt),
        team=call.team,
        price=price,
        amount_micro=price.most_micro(most_tokens(call.messages), call.max_output_tokens),
        assistant=call.assistant,
        person=call.person,
        endpoint=call.endpoint.id,
        provider=call.endpoint.provider,
        model=call.endpoint.model,
        region=call.endpoint.region,
        residency=call.endpoint.residency,
        created_at=now,
        deadline=now + reservations.RESERVED_FOR,
    )
    return await reservations.reserve(governor.budgets, wanted, now)


async def _attempt(
    governor: Governor,
    call: ModelCall,
    reservation: Reservation,
    reading: Reading,
    results: Results,
) -> Governed | None:
    """The answer of this attempt, made now or before; None if it was used up without one. Raises ModelError."""
    match reservation.state:
        case "reserved":
            return await _place_call(governor, call, reservation, reading, results)
        case "released":
            return None
        case "settled":
            kept = await results.kept(reservation.id)
            if kept is None or reservation.actual_micro is None:
                return None
            return Governed(Completion.model_validate(kept), reservation.actual_micro, reservation.currency)
        case "calling":
            kept = await results.kept(reservation.id)
            if kept is not None:
                return await _settle(governor, reservation, Completion.model_validate(kept))
            if not reservation.expired(utc_now()):
                raise CallUnderWay(reservation.deadline)
            await reservations.settle_in_full(governor.budgets, reservation)
            return None


async def _place_call(
    governor: Governor,
    call: ModelCall,
    reservation: Reservation,
    reading: Reading,
    results: Results,
) -> Governed:
    deadline = utc_now() + timedelta(seconds=governor.model_timeout_seconds) + GRACE
    if not await reservations.begin(governor.budgets, reservation, deadline):
        raise CallUnderWay(deadline)
    try:
        # The last thing before sending: nothing that takes time may come between this and the call.
        reading = await require_fresh(governor.control, call.assistant, reading)
    except BaseException:
        await reservations.release(governor.budgets, reservation)
        raise
    try:
        async with (
            governor.watcher.watching(call.assistant, reading),
            asyncio.timeout(governor.model_timeout_seconds),
        ):
            completion = await complete(
                call.endpoint,
                call.messages,
                temperature=call.temperature,
                max_output_tokens=call.max_output_tokens,
                timeout_seconds=governor.model_timeout_seconds,
            )
    except (Stopped, SwitchesUnread, ModelOutcomeUnknown):
        await reservations.settle_in_full(governor.budgets, reservation)
        raise
    except TimeoutError:
        await reservations.settle_in_full(governor.budgets, reservation)
        raise ModelOutcomeUnknown("no answer in time") from None
    except ModelError:
        await reservations.release(governor.budgets, reservation)
        raise
    await results.keep(reservation.id, completion.model_dump())
    return await _settle(governor, reservation, completion)


async def _settle(governor: Governor, reservation: Reservation, completion: Completion) -> Governed:
    cost = await reservations.settle(governor.budgets, reservation, usage_of(completion))
    return Governed(completion, cost, reservation.currency)


def usage_of(completion: Completion) -> Usage:
    return Usage(
        input_tokens=completion.input_tokens,
        cached_input_tokens=completion.cached_input_tokens,
        output_tokens=completion.output_tokens,
    )
