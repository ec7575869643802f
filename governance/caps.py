"""Cost caps: a team can't spend more than its cap, under any concurrency, retry or crash (claim C1).

The cap and its reservations share the team's partition of ``budgets``, so every step is one transactional batch,
decided by the store and never by a value read before::

    reserve     create reservation (reserved)   + cap.reserved += amount, if spent + reserved + amount <= limit
    begin       reserved -> calling             only one worker wins; from here on the provider may charge
    settle      calling -> settled              + cap.reserved -= amount, cap.spent += actual
    release     reserved|calling -> released    + cap.reserved -= amount (the provider was not asked, or refused)

A call whose outcome nobody knows (the worker died, the answer never came) is settled in full. Reservations are the
ledger: they outlive their request, and the daily rollups are made from them. Amounts are integer micro-units.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from governance.prices import Price
from governance.problems import ProblemError
from services.clock import Timestamp, utc_now, utc_text, uuid7
from services.documents import BatchRefused, ConditionFailed, ItemMissing, Items

CAP_ID = "cap"
LEDGER_SECONDS = 180 * 86_400
"""How long a closed reservation is kept: longer than its request, and than it takes to roll up its day."""


class CapReached(ProblemError):
    """The team has not enough left for this call."""

    type = "team-cap-reached"
    detail = "What is left of your team's cost cap does not cover this request. IT Operations can raise it."


class CapMissing(ProblemError):
    """The team has no cap document: nobody has said what it may spend, so nothing is spent."""

    type = "not-available"
    detail = "Your team has no cost cap yet. IT Operations can set it."


class Reservation(BaseModel):
    """What is set aside for one attempt at one model call."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    """``request:purpose:attempt``."""
    team: str
    v: int = 1
    kind: Literal["reservation"] = "reservation"
    state: Literal["reserved", "calling", "settled", "released"] = "reserved"
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


def reservation_id(request_id: str, purpose: str, attempt: int) -> str:
    return f"{request_id}:{purpose}:{attempt}"


async def find(budgets: Items, team: str, item_id: str) -> Reservation | None:
    document = await budgets.read(item_id, team)
    return None if document is None else Reservation.model_validate(document)


async def reserve(budgets: Items, reservation: Reservation) -> Reservation:
    """The reservation, made now or found as an earlier run of the same attempt left it.

    Raises :class:`CapReached`, :class:`CapMissing`.
    """
    amount = reservation.amount_micro
    try:
        await budgets.batch(
            reservation.team,
            [
                ("create", (reservation.model_dump(mode="json"),)),
                (
                    "patch",
                    (CAP_ID, [{"op": "incr", "path": "/reserved_micro", "value": amount}]),
                    {"filter_predicate": f"from c where c.spent_micro + c.reserved_micro + {amount} <= c.limit_micro"},
                ),
            ],
        )
    except BatchRefused as refused:
        match refused.index, refused.status:
            case 0, 409:
                found = await find(budgets, reservation.team, reservation.id)
                assert found is not None, "reservations are never deleted before their request"
                return found
            case 1, 412:
                raise CapReached(reservation.team) from None
            case 1, 404:
                raise CapMissing(reservation.team) from None
        raise
    return reservation


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


async def settle(
    budgets: Items,
    reservation: Reservation,
    actual_micro: int,
    *,
    input_tokens: int | None = None,
    cached_input_tokens: int | None = None,
    output_tokens: int | None = None,
) -> None:
    """calling -> settled at what it cost. Does nothing if it was settled before."""
    changes = {
        "/state": "settled",
        "/actual_micro": actual_micro,
        "/input_tokens": input_tokens,
        "/cached_input_tokens": cached_input_tokens,
        "/output_tokens": output_tokens,
        "/settled_at": utc_text(utc_now()),
        "/ttl": LEDGER_SECONDS,
    }
    await _close(budgets, reservation, changes, ("calling",), spent=actual_micro)


async def settle_in_full(budgets: Items, reservation: Reservation) -> None:
    """What the provider charged is not known: the whole reservation counts as spent."""
    await settle(budgets, reservation, reservation.amount_micro)


async def release(budgets: Items, reservation: Reservation) -> None:
    """reserved | calling -> released: nothing was spent. Does nothing if it was closed before."""
    await _close(budgets, reservation, {"/state": "released", "/ttl": LEDGER_SECONDS}, ("reserved", "calling"), spent=0)


async def release_unused(budgets: Items, reservation: Reservation) -> None:
    """reserved -> released. Does nothing if a worker has begun its call since."""
    await _close(budgets, reservation, {"/state": "released", "/ttl": LEDGER_SECONDS}, ("reserved",), spent=0)


async def _close(
    budgets: Items, reservation: Reservation, changes: dict[str, Any], states: tuple[str, ...], *, spent: int
) -> None:
    allowed = " or ".join(f"c.state = '{state}'" for state in states)
    cap = [{"op": "incr", "path": "/reserved_micro", "value": -reservation.amount_micro}]
    if spent:
        cap.append({"op": "incr", "path": "/spent_micro", "value": spent})
    try:
        await budgets.batch(
            reservation.team,
            [
                (
                    "patch",
                    (reservation.id, [{"op": "set", "path": path, "value": value} for path, value in changes.items()]),
                    {"filter_predicate": f"from c where {allowed}"},
                ),
                ("patch", (CAP_ID, cap)),
            ],
        )
    except BatchRefused as refused:
        if (refused.index, refused.status) != (0, 412):
            raise


async def attempts_of(budgets: Items, team: str, request_id: str) -> list[Reservation]:
    """Every attempt at a model call that a request made, whatever became of it."""
    query = "SELECT * FROM c WHERE c.kind = 'reservation' AND STARTSWITH(c.id, @attempts)"
    return [
        Reservation.model_validate(document)
        async for document in budgets.query(query, {"@attempts": f"{request_id}:"}, partition=team)
    ]


async def settle_expired(budgets: Items, now: datetime) -> int:
    """The sweep: what was reserved and never called is released, what was called and never settled is charged."""
    closed = 0
    query = "SELECT * FROM c WHERE c.kind = 'reservation' AND c.state IN ('reserved', 'calling') AND c.deadline < @now"
    async for document in budgets.query(query, {"@now": utc_text(now)}):
        reservation = Reservation.model_validate(document)
        if reservation.state == "calling":
            await settle_in_full(budgets, reservation)
        else:
            await release_unused(budgets, reservation)
        closed += 1
    return closed


def period_of(now: datetime) -> str:
    """Caps are monthly, by UTC calendar month: ``2026-11``."""
    return f"{now:%Y-%m}"


async def reset(budgets: Items, team: str, now: datetime) -> bool:
    """A new period begins with nothing spent; what is reserved stays so. False if it had begun, or there is no cap."""
    period = period_of(now)
    try:
        await budgets.patch(
            CAP_ID,
            team,
            [{"op": "set", "path": "/spent_micro", "value": 0}, {"op": "set", "path": "/period", "value": period}],
            where=f"from c where c.period < '{period}'",
        )
    except (ConditionFailed, ItemMissing):
        return False
    return True


RESERVED_FOR = timedelta(minutes=2)
"""How long a reservation may wait for its call to begin: a few store operations, with their retries."""
