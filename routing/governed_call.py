"""The one way to a model: every call to one, for whatever purpose, is made by :func:`governed_call`, or by
:func:`governed_embeddings` where vectors are wanted, on the same way and under the same levers.

Each attempt goes all the way, at whichever endpoint it is made::

    switches -> an endpoint that residency allows -> price -> reserve -> credential -> begin -> switches still fresh?
             -> call, watched -> keep the result -> settle -> switches again -> hand the result on

It is safe to run again with the same request and purpose: a call that was settled gives its kept result, one that
is under way elsewhere raises :class:`CallUnderWay`, and one whose worker died is charged in full and made anew.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from governance import reservations
from governance.prices import Price
from governance.problems import ProblemError
from governance.reservations import CurrencyDiffers, Reservation
from governance.switches import (
    Reading,
    Stopped,
    SwitchesUnread,
    SwitchWatcher,
    check_switches,
    require_fresh,
    require_running,
)
from routing.breaker import Breaker
from routing.calls import Call, EmbeddingCall, ModelCall, Relay
from routing.credentials import Credentials
from routing.endpoints import Endpoint
from routing.messages import Completion, Embeddings, Provider
from routing.providers import provider_at
from routing.providers.errors import (
    ContextTooLong,
    ModelDeclined,
    ModelError,
    ModelOutcomeUnknown,
    ModelUnreachable,
    NotOffered,
)
from routing.routes import Choice
from services.clock import utc_now
from services.documents import Items

log = logging.getLogger(__name__)

PATIENCE = 3
PAUSES_SECONDS = 5.0
"""So many times the model's time-out, and this, may a call take before no further attempt is made."""
GRACE = timedelta(seconds=5)
"""How much longer than the model's time-out a worker may take to settle before it is taken for dead."""

FINAL = {each.kind: each for each in (ModelDeclined, ContextTooLong)}
"""By the outcome of their attempt: they are as final when they are found again."""


class CallUnderWay(Exception):
    """Another worker is making this call; ask again at ``until``."""

    def __init__(self, until: datetime) -> None:
        super().__init__("another worker is making this call")
        self.until = until


class ModelFailed(ProblemError):
    """No attempt brought an answer. The message names the last failure."""

    type = "model-failed"
    detail = "The model did not answer; what was charged is in the audit trail."


class AnswerDeclined(ProblemError):
    """The model, or its provider's content filter, will not answer this; no other is asked."""

    type = "model-declined"
    detail = "The model declines to answer this."


class StreamBroken(ProblemError):
    """The model broke off when a part of its answer had left; no other can go on with it."""

    type = "stream-broken"
    detail = "The answer broke off. What came of it is in the audit trail."


class PromptTooLong(ProblemError):
    """The question does not fit the model."""

    type = "too-large"
    detail = "The question is too long for the assistant's model."


class Results(Protocol):
    """Where the result of a call is kept for a repeat, until the guardrails have passed it."""

    async def kept(self, reservation: str) -> dict[str, Any] | None: ...

    async def keep(self, reservation: str, completion: dict[str, Any]) -> None: ...


class NothingKept:
    """Results that nobody asks for again: a repeat makes its call anew, and is charged for it."""

    async def kept(self, reservation: str) -> dict[str, Any] | None:  # noqa: ARG002
        return None

    async def keep(self, reservation: str, completion: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Governed:
    """A model's answer, where it is from, and what it cost."""

    completion: Completion
    endpoint: str
    region: str
    cost_micro: int
    currency: str


@dataclass(frozen=True)
class GovernedEmbeddings:
    """The vectors that a model made, and what they cost."""

    embeddings: Embeddings
    endpoint: str
    model: str
    """As it is configured: vectors of two of them are never compared."""
    cost_micro: int
    currency: str


@dataclass(frozen=True)
class _Settled[Result: (Completion, Embeddings)]:
    """What a call brought, and the reservation that it is charged by."""

    result: Result
    by: Reservation
    cost_micro: int


@dataclass(frozen=True)
class Governor:
    """What :func:`governed_call` works with; one a worker."""

    config: Items
    control: Items
    budgets: Items
    watcher: SwitchWatcher
    credentials: Credentials
    model_timeout_seconds: float
    breaker: Breaker = field(default_factory=Breaker)


async def governed_call(governor: Governor, call: ModelCall, results: Results, relay: Relay | None = None) -> Governed:
    """The model's answer, under every lever; to ``relay`` it goes piece by piece, too.

    Raises what :func:`governed_embeddings` does, and :class:`StreamBroken`.
    """
    settled = await _called(governor, call, results, relay)
    by = settled.by
    return Governed(settled.result, by.endpoint, by.region, settled.cost_micro, by.currency)


async def governed_embeddings(governor: Governor, call: EmbeddingCall, results: Results) -> GovernedEmbeddings:
    """The vectors of some texts, under every lever.

    Raises :class:`governance.switches.Stopped`, what :func:`governance.reservations.reserve` raises,
    :class:`routing.endpoints.ResidencyRefused`, :class:`routing.endpoints.PriceUnknown` and
    :class:`routing.endpoints.EndpointUnknown` if no endpoint may be called,
    :class:`governance.switches.SwitchesTooSlow`, :class:`governance.switches.SwitchesUnread`, :class:`CallUnderWay`,
    :class:`ModelFailed`, :class:`AnswerDeclined`, :class:`PromptTooLong`, and
    :class:`services.documents.StoreError` when the state that decides can't be read or written.
    """
    settled = await _called(governor, call, results, None)
    by = settled.by
    return GovernedEmbeddings(settled.result, by.endpoint, by.model, settled.cost_micro, by.currency)


async def _called[Result: (Completion, Embeddings)](
    governor: Governor, call: Call[Result], results: Results, relay: Relay | None
) -> _Settled[Result]:
    choice = Choice(call.endpoints, call.residency, governor.breaker)
    until = time.monotonic() + PATIENCE * governor.model_timeout_seconds + PAUSES_SECONDS
    failure: ModelError | None = None
    attempt = 1
    while time.monotonic() < until:
        reading = await check_switches(governor.control, call.assistant)
        chosen = await choice.next(governor.config, utc_now())
        if chosen is None:
            break
        endpoint, price = chosen
        try:
            reservation = await _reserve(governor, call, endpoint, price, attempt)
        except CurrencyDiffers as error:
            choice.leave_out(endpoint.id, error)
            continue
        attempt += 1
        choice.tried(reservation.endpoint)
        try:
            settled = await _attempt(governor, call, endpoint, reservation, reading, results, relay)
        except ModelError as error:
            log.warning("request %s: %s at %s: %s", call.request_id, reservation.id, reservation.endpoint, error)
            failure = error
            if relay is not None and relay.begun:
                raise StreamBroken from None
            await asyncio.sleep(_after(governor.breaker, choice, reservation.endpoint, error, until))
            continue
        if settled is not None:
            governor.breaker.worked(reservation.endpoint)
            await require_running(governor.control, call.assistant)
            return settled
    if failure is None and choice.left_out:
        raise next(iter(choice.left_out.values()))
    raise ModelFailed(str(failure or "no attempt was made"))


def _after(breaker: Breaker, choice: Choice, endpoint: str, error: ModelError, until: float) -> float:
    """How many seconds to wait before the next attempt. Raises what ends the call instead."""
    if isinstance(error, ModelDeclined | ContextTooLong):
        breaker.worked(endpoint)
        raise (AnswerDeclined if isinstance(error, ModelDeclined) else PromptTooLong) from None
    if error.then == "stop":
        raise ModelFailed(str(error)) from None
    if not isinstance(error, NotOffered):  # it may do all the better what it does offer
        breaker.failed(endpoint, error.retry_after_seconds)
    return choice.failed(
        endpoint,
        again=error.then == "again",
        retry_after_seconds=error.retry_after_seconds,
        seconds_left=until - time.monotonic(),
    )


async def _reserve[Result: (Completion, Embeddings)](
    governor: Governor, call: Call[Result], endpoint: Endpoint, price: Price, attempt: int
) -> Reservation:
    now = utc_now()
    wanted = Reservation(
        id=reservations.reservation_id(call.request_id, call.purpose, attempt),
        team=call.team,
        price=price,
        amount_micro=price.most_micro(*call.most_tokens(endpoint)),
        assistant=call.assistant,
        person=call.person,
        endpoint=endpoint.id,
        provider=endpoint.provider,
        model=endpoint.model,
        region=endpoint.region,
        residency=endpoint.residency,
        created_at=now,
        deadline=now + reservations.RESERVED_FOR,
    )
    return await reservations.reserve(governor.budgets, wanted, now)


async def _attempt[Result: (Completion, Embeddings)](
    governor: Governor,
    call: Call[Result],
    endpoint: Endpoint,
    reservation: Reservation,
    reading: Reading,
    results: Results,
    relay: Relay | None,
) -> _Settled[Result] | None:
    """The answer of this attempt, made now or before; None if it was used up without one. Raises ModelError."""
    match reservation.state:
        case "reserved" if reservation.endpoint == endpoint.id:
            return await _place_call(governor, call, endpoint, reservation, reading, results, relay)
        case "reserved":  # by a worker that is gone, for an endpoint that would not be chosen now
            await reservations.release_unused(governor.budgets, reservation)
            return None
        case "released":
            return None
        case "settled" if reservation.outcome in FINAL:
            raise FINAL[reservation.outcome]
        case "settled":
            kept = await results.kept(reservation.id)
            if kept is None or reservation.actual_micro is None:
                return None
            return _Settled(call.result(kept), reservation, reservation.actual_micro)
        case "calling":
            kept = await results.kept(reservation.id)
            if kept is not None:
                return await _settle(governor, reservation, call.result(kept))
            if not reservation.expired(utc_now()):
                raise CallUnderWay(reservation.deadline)
            await reservations.settle_in_full(governor.budgets, reservation, "abandoned")
            return None


async def _place_call[Result: (Completion, Embeddings)](
    governor: Governor,
    call: Call[Result],
    endpoint: Endpoint,
    reservation: Reservation,
    reading: Reading,
    results: Results,
    relay: Relay | None,
) -> _Settled[Result]:
    provider = await _provider(governor, endpoint, reservation)
    deadline = utc_now() + timedelta(seconds=governor.model_timeout_seconds) + GRACE
    if not await reservations.begin(governor.budgets, reservation, deadline):
        raise CallUnderWay(deadline)
    try:
        # The last thing before sending: nothing that takes time may come between this and the call.
        reading = await require_fresh(governor.control, call.assistant, reading)
    except BaseException:
        await reservations.release(governor.budgets, reservation, "not sent")
        raise
    try:
        async with (
            governor.watcher.watching(call.assistant, reading),
            asyncio.timeout(governor.model_timeout_seconds),
        ):
            result = await call.made(provider, endpoint, governor.model_timeout_seconds, relay)
    except (Stopped, SwitchesUnread, asyncio.CancelledError):
        await reservations.settle_in_full(governor.budgets, reservation, "cancelled")
        raise
    except TimeoutError:
        late = ModelOutcomeUnknown("no answer in time")
        await reservations.settle_in_full(governor.budgets, reservation, str(late))
        raise late from None
    except ModelError as error:
        if error.used is None:
            await reservations.release(governor.budgets, reservation, str(error))
        else:
            await reservations.settle(governor.budgets, reservation, error.used, str(error))
        raise
    await results.keep(reservation.id, result.model_dump())
    return await _settle(governor, reservation, result)


async def _provider(governor: Governor, endpoint: Endpoint, reservation: Reservation) -> Provider:
    """With its credential, so that no time is lost when the switches have been read."""
    try:
        async with asyncio.timeout(governor.model_timeout_seconds):
            return await provider_at(endpoint, governor.credentials)
    except (ModelUnreachable, TimeoutError) as error:
        unreachable = error if isinstance(error, ModelUnreachable) else ModelUnreachable("no token in time")
        await reservations.release(governor.budgets, reservation, str(unreachable))
        raise unreachable from None


async def _settle[Result: (Completion, Embeddings)](
    governor: Governor, reservation: Reservation, result: Result
) -> _Settled[Result]:
    cost = await reservations.settle(governor.budgets, reservation, result.usage(), "answered")
    return _Settled(result, reservation, cost)
