"""Reservations: what is set aside for a model call before it is made, and what it cost after (claims C1, C3).

A reservation and the counter of its period (governance/caps.py) share the team's partition of ``budgets``, so every
step is one transactional batch, decided by the store and never by a value read before::

    reserve     create reservation (reserved)   + counter.reserved += amount, if spent + reserved + amount <= limit
    begin       reserved -> calling             only one worker wins; from here on the provider may charge
    settle      calling -> settled              + counter.reserved -= amount, counter.spent += actual
    release     reserved|calling -> released    + counter.reserved -= amount (the provider was not asked, or refused)

A call whose outcome nobody knows (the worker died, the answer never came) is settled in full. An endpoint that charges
more than what was reserved, which is the most that it may, is an overrun: it is charged all the same, told by an event,
and stops the team. Reservations are the ledger: they outlive their request, and the daily sums are made from them.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from governance.audit import outbox_document
from governance.caps import MOST_RACES, Cap, CapMissing, begin_period, counter_id, read_cap, read_counter
from governance.changes import change_event
from governance.prices import Price
from governance.problems import ProblemError
from services.clock import Timestamp, utc_now, utc_text, uuid7
from services.documents import BatchRefused, ConditionFailed, Items, StoreUnavailable

LEDGER_SECONDS: Final = 180 * 86_400
"""How long a closed reservation is kept: longer than its request, and than it takes to sum up its day."""
RESERVED_FOR = timedelta(minutes=2)
"""How long a reservation may wait for its call to begin: a few store operations, with their retries."""


class CapReached(ProblemError):
    """The team has not enough left for this call."""

    type = "team-cap-reached"
    detail = "What is left of your team's cost cap does not cover this request. IT Operations can raise it."


class Overrun(CapReached):
    """A model endpoint charged more than it may, and nobody has looked at it yet."""

    detail = "A model cost your team more than it may. Requests are stopped until IT Operations has looked at it."


class CurrencyDiffers(ProblemError):
    """The endpoint's price is in another currency than the team's cap: what it leaves can't be told."""

    type = "not-available"
    detail = "The price of the assistant's model is not in the currency of your team's cost cap."


class Usage(BaseModel):
    """What an endpoint reported of a call, as far as it did and can be believed."""

    input_tokens: int | None = None
    """There is no prompt of no tokens: who reports that does not report."""
    cached_input_tokens: int | None = None
    """More than the input, or less than nothing, is no report of a discount."""
    output_tokens: int | None = None

    @model_validator(mode="after")
    def _believable(self) -> Self:
        if self.input_tokens is not None and self.input_tokens <= 0:
            self.input_tokens = None
        if self.output_tokens is not None and self.output_tokens < 0:
            self.output_tokens = None
        if self.cached_input_tokens is not None and not 0 <= self.cached_input_tokens <= (self.input_tokens or 0):
            self.cached_input_tokens = None
        return self


class Reservation(BaseModel):
    """What is set aside for one attempt at one model call."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    """``request:purpose:attempt``."""
    team: str
    v: int = 1
    kind: Literal["reservation"] = "reservation"
    state: Literal["reserved", "calling", "settled", "released"] = "reserved"
    period: str = ""
    """That it is charged to, whenever it ends."""
    price: Price
    """As it was in force when this was reserved: what comes of it costs that, whatever holds by then."""
    amount_micro: int
    actual_micro: int | None = None
    assistant: str
    person: str
    endpoint: str
    provider: str
    model: str
    region: str
    residency: str
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    created_at: Timestamp
    deadline: Timestamp
    """Past it, whoever held the reservation is taken for dead."""
    settled_at: Timestamp | None = None
    holder: str | None = None
    """Of the worker's attempt to begin that won."""
    outcome: str = ""
    """What became of it, once that is known: ``answered``, or the name of a failure."""

    @property
    def request_id(self) -> str:
        return self.id.partition(":")[0]

    @property
    def currency(self) -> str:
        return self.price.currency

    def expired(self, now: datetime) -> bool:
        return now >= self.deadline

    @property
    def charged_micro(self) -> int:
        """What it cost; in full if nobody knows (yet), as it may be charged so."""
        if self.state in ("reserved", "released"):
            return 0
        return self.amount_micro if self.actual_micro is None else self.actual_micro

    def as_told(self) -> dict[str, Any]:
        """One of the attempts that an audit event tells of."""
        _, purpose, attempt = self.id.split(":")
        return {
            "purpose": purpose,
            "attempt": int(attempt),
            "cost_micro": self.charged_micro,
            **self.model_dump(include={"endpoint", "provider", "model", "residency", "state", "outcome"}),
        }

    def cost_micro(self, usage: Usage) -> int:
        """What that costs at the price it was reserved at; what was reserved, where nothing is reported."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return self.amount_micro
        return self.price.cost_micro(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens or 0)


type KeptUsage = Callable[[Reservation], Awaitable[Usage | None]]
"""What is known of a call that was never settled."""


def reservation_id(request_id: str, purpose: str, attempt: int) -> str:
    return f"{request_id}:{purpose}:{attempt}"


async def find(budgets: Items, team: str, item_id: str) -> Reservation | None:
    document = await budgets.read(item_id, team)
    return None if document is None else Reservation.model_validate(document)


async def reserve(budgets: Items, wanted: Reservation, now: datetime) -> Reservation:
    """The reservation, made now in the period under way, or found as an earlier run of the same attempt left it.

    Raises :class:`CapReached`, :class:`Overrun`, :class:`governance.caps.CapMissing`, :class:`CurrencyDiffers`, and
    :class:`services.documents.StoreUnavailable` if the cap was changed each time that it was read.
    """
    for _ in range(MOST_RACES):
        found = await read_cap(budgets, wanted.team)
        if found is None:
            raise CapMissing(wanted.team)
        cap = found[0]
        if cap.currency != wanted.currency:
            raise CurrencyDiffers(wanted.team)
        period = cap.period_at(now)
        reservation = wanted.model_copy(update={"period": period.id})
        try:
            await budgets.batch(reservation.team, _reserving(reservation))
        except BatchRefused as refused:
            match refused.index, refused.status:
                case 0, 409:
                    there = await find(budgets, reservation.team, reservation.id)
                    assert there is not None, "reservations are never deleted before their request"
                    return there
                case 1, 404:
                    await begin_period(budgets, cap, period)
                    continue
                case 1, 412:
                    await _require_changed(budgets, cap, period.id)
                    continue
            raise
        return reservation
    raise StoreUnavailable("the cap changes all the time")


def _reserving(reservation: Reservation) -> list[tuple[Any, ...]]:
    amount = reservation.amount_micro
    fits = f"c.spent_micro + c.reserved_micro + {amount} <= c.limit_micro"
    return [
        ("create", (reservation.model_dump(mode="json"),)),
        (
            "patch",
            (counter_id(reservation.period), [{"op": "incr", "path": "/reserved_micro", "value": amount}]),
            {"filter_predicate": f"from c where c.stopped = false and {fits}"},
        ),
    ]


async def _require_changed(budgets: Items, cap: Cap, period: str) -> None:
    """For a call that did not fit: raises :class:`CapReached` unless the cap is another one by now."""
    now = await read_cap(budgets, cap.team)
    if now is not None and now[0].revision == cap.revision:
        counter = await read_counter(budgets, cap.team, period)
        raise Overrun(cap.team) if counter is not None and counter.stopped else CapReached(cap.team)


async def begin(budgets: Items, reservation: Reservation, deadline: datetime) -> bool:
    """reserved -> calling, until ``deadline``; False if another worker has it."""
    holder = uuid7()
    try:
        await budgets.patch(
            reservation.id,
            reservation.team,
            [
                {"op": "set", "path": "/state", "value": "calling"},
                {"op": "set", "path": "/deadline", "value": utc_text(deadline)},
                {"op": "set", "path": "/holder", "value": holder},
            ],
            where="from c where c.state = 'reserved'",
        )
    except ConditionFailed:
        # The one that has it may be this one: the SDK repeats a change whose answer was lost.
        found = await find(budgets, reservation.team, reservation.id)
        return found is not None and (found.state, found.holder) == ("calling", holder)
    return True


async def settle(budgets: Items, reservation: Reservation, usage: Usage, outcome: str = "") -> int:
    """calling -> settled. Does nothing if it was settled before. Returns what the usage costs."""
    cost = reservation.cost_micro(usage)
    await _settle(budgets, reservation, cost, usage, outcome)
    return cost


async def settle_in_full(budgets: Items, reservation: Reservation, outcome: str = "") -> None:
    """What the provider charged is not known: the whole reservation counts as spent."""
    await _settle(budgets, reservation, reservation.amount_micro, Usage(), outcome)


async def _settle(budgets: Items, reservation: Reservation, cost: int, usage: Usage, outcome: str) -> None:
    changes = {
        "/state": "settled",
        "/outcome": outcome,
        "/actual_micro": cost,
        **{f"/{name}": value for name, value in usage},
        "/settled_at": utc_text(utc_now()),
        "/ttl": LEDGER_SECONDS,
    }
    counter = [{"op": "incr", "path": "/spent_micro", "value": cost}]
    if (overrun := cost - reservation.amount_micro) <= 0:
        await _close(budgets, reservation, changes, ("calling",), counter)
        return
    counter += [
        {"op": "incr", "path": "/overrun_micro", "value": overrun},
        {"op": "set", "path": "/stopped", "value": True},
    ]
    event = change_event(
        "cap.overrun",
        actor=reservation.person,
        target=f"cap:{reservation.team}",
        reason="",
        Team=reservation.team,
        Assistant=reservation.assistant,
        RequestId=reservation.request_id,
        Endpoint=reservation.endpoint,
        CostMicro=cost,
        Currency=reservation.currency,
        Before={"reserved_micro": reservation.amount_micro},
        After={"overrun_micro": overrun},
    )
    told = ("create", (outbox_document(event, "budgets", reservation.team),))
    await _close(budgets, reservation, changes, ("calling",), counter, told)


async def release(budgets: Items, reservation: Reservation, outcome: str = "") -> None:
    """reserved | calling -> released: nothing was spent. Does nothing if it was closed before."""
    await _close(budgets, reservation, _released(outcome), ("reserved", "calling"))


async def release_unused(budgets: Items, reservation: Reservation) -> None:
    """reserved -> released. Does nothing if a worker has begun its call since."""
    await _close(budgets, reservation, _released("abandoned"), ("reserved",))


def _released(outcome: str) -> dict[str, Any]:
    return {"/state": "released", "/outcome": outcome, "/ttl": LEDGER_SECONDS}


async def _close(
    budgets: Items,
    reservation: Reservation,
    changes: dict[str, Any],
    states: tuple[str, ...],
    counter: Sequence[dict[str, Any]] = (),
    *also: tuple[Any, ...],
) -> None:
    allowed = " or ".join(f"c.state = '{state}'" for state in states)
    given_back = {"op": "incr", "path": "/reserved_micro", "value": -reservation.amount_micro}
    try:
        await budgets.batch(
            reservation.team,
            [
                (
                    "patch",
                    (reservation.id, [{"op": "set", "path": path, "value": value} for path, value in changes.items()]),
                    {"filter_predicate": f"from c where {allowed}"},
                ),
                ("patch", (counter_id(reservation.period), [given_back, *counter])),
                *also,
            ],
        )
    except BatchRefused as refused:
        if (refused.index, refused.status) != (0, 412):
            raise


async def attempts_of(budgets: Items, team: str, request_id: str) -> list[Reservation]:
    """Every attempt at a model call that a request made, in their order, whatever became of it."""
    query = "SELECT * FROM c WHERE c.kind = 'reservation' AND STARTSWITH(c.id, @attempts)"
    found = budgets.query(query, {"@attempts": f"{request_id}:"}, partition=team)
    return sorted([Reservation.model_validate(each) async for each in found], key=lambda each: each.created_at)


async def settle_expired(budgets: Items, kept: KeptUsage, now: datetime) -> int:
    """The sweep: what was reserved and never called is released; what was called and never settled is charged by the
    usage that was kept, else in full."""
    closed = 0
    query = "SELECT * FROM c WHERE c.kind = 'reservation' AND c.state IN ('reserved', 'calling') AND c.deadline < @now"
    async for document in budgets.query(query, {"@now": utc_text(now)}):
        reservation = Reservation.model_validate(document)
        if reservation.state == "reserved":
            await release_unused(budgets, reservation)
        elif (usage := await kept(reservation)) is not None:
            await settle(budgets, reservation, usage, "abandoned")
        else:
            await settle_in_full(budgets, reservation, "abandoned")
        closed += 1
    return closed
