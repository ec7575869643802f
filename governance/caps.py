"""Cost caps: what a team may spend in a day, week or month, and what it has spent (claim C1).

All of a team is in its partition of ``budgets``::

    cap             what a governor said: limit, currency, period, time zone, thresholds
    cap:2026-11     the counter of one period: its limit, what is spent and reserved in it, and whether it is stopped
    <request>:...   the reservations (governance/reservations.py), each charged to the counter that reserved it

A period begins by its counter being made, by the timer or by the first reservation: an id can be made once, whatever
number of instances try, and a tick that was missed is made up for. Only the counter decides, in the store, when
something is reserved. A change of the cap sets the limit of the counter in the same transactional batch, and a counter
that is no longer the one in use gets a limit of 0. Money is integer micro-units of the cap's currency.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from governance.access import Scope, in_scope
from governance.audit import outbox_document
from governance.changes import Conflict, Journal, Outdated, as_seen, change_event
from governance.periods import Period, PeriodKind, period_at
from governance.problems import ProblemError
from services.clock import Timestamp, utc_text
from services.documents import BatchRefused, Document, Items, StoreUnavailable

CAP_ID: Final = "cap"
MOST_MICRO = 10**15
"""A thousand million of a currency: JSON numbers are exact up to nine times that."""
MOST_RACES = 5
"""How often something is read anew because somebody was faster."""


class CapMissing(ProblemError):
    """The team has no cap: nobody has said what it may spend, so nothing is spent."""

    type = "not-available"
    detail = "Your team has no cost cap yet. IT Operations can set it."


class CapUnknown(ProblemError):
    """There is no such cap."""

    type = "not-found"
    detail = "The team has no cost cap."


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # as ZoneInfo raises for what is no name, or none of a zone
        raise ValueError("no such time zone") from None
    return name


class CapSettings(BaseModel):
    """What a governor says."""

    model_config = ConfigDict(extra="forbid")

    limit_micro: int = Field(ge=0, le=MOST_MICRO)
    currency: str = Field(pattern="^[A-Z]{3}$")
    """As ISO 4217 names it: that of the model endpoints' prices."""
    period: PeriodKind = PeriodKind.MONTH
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """By its name in the IANA database: ``Europe/Berlin``."""
    thresholds: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(max_length=10)] = [50, 80, 100]
    """At how many per cent of the limit the team is told, once a period each."""

    def period_at(self, moment: datetime) -> Period:
        return period_at(self.period, ZoneInfo(self.time_zone), moment)


class Cap(CapSettings):
    """The document of the settings."""

    model_config = ConfigDict(extra="ignore")

    team: str
    revision: int = 1
    """Counts the changes."""


class Counter(BaseModel):
    """What happened in one period. At any time spent + reserved is at most the limit, but for overruns."""

    id: str
    team: str
    v: int = 1
    kind: Literal["counter"] = "counter"
    period: str
    begins_at: Timestamp
    ends_at: Timestamp
    limit_micro: int
    spent_micro: int = 0
    reserved_micro: int = 0
    overrun_micro: int = 0
    """Of what is spent, how much the endpoints charged beyond what was reserved for the call."""
    forgiven_micro: int = 0
    """What was spent before a governor reset it, and counts no more."""
    stopped: bool = False
    """After an overrun, until a governor changes or resets the cap."""
    told_percent: int = 0
    """The highest threshold that the team was told of."""


def counter_id(period: str) -> str:
    return f"cap:{period}"


def cap_document(cap: Cap) -> Document:
    return {"id": CAP_ID, "v": 1, "kind": "cap", **cap.model_dump(mode="json")}


def counter_of(cap: Cap, period: Period) -> Counter:
    """A period in which nothing has happened yet."""
    return Counter(
        id=counter_id(period.id),
        team=cap.team,
        period=period.id,
        begins_at=period.begins_at,
        ends_at=period.ends_at,
        limit_micro=cap.limit_micro,
    )


async def read_cap(budgets: Items, team: str) -> tuple[Cap, str] | None:
    """The settings and their ETag."""
    document = await budgets.read(CAP_ID, team)
    return None if document is None else (Cap.model_validate(document), document["_etag"])


async def read_counter(budgets: Items, team: str, period: str) -> Counter | None:
    document = await budgets.read(counter_id(period), team)
    return None if document is None else Counter.model_validate(document)


async def list_caps(budgets: Items, scope: Scope) -> AsyncIterator[tuple[Cap, str]]:
    """The caps of the teams that a role reaches, each with its ETag."""
    async for document in in_scope(budgets, scope, "SELECT * FROM c WHERE c.kind = 'cap'"):
        yield Cap.model_validate(document), document["_etag"]


async def begin_period(budgets: Items, cap: Cap, period: Period) -> bool:
    """Makes the counter of a period, if there is none and the cap has not been changed since it was read.

    Whoever is told False reads both again.
    """
    is_as_read = f"from c where c.revision = {cap.revision}"
    try:
        await budgets.batch(
            cap.team,
            [
                ("create", (counter_of(cap, period).model_dump(mode="json"),)),
                (
                    "patch",
                    (CAP_ID, [{"op": "set", "path": "/begun", "value": period.id}]),
                    {"filter_predicate": is_as_read},
                ),
            ],
        )
    except BatchRefused as refused:
        if (refused.index, refused.status) not in ((0, 409), (1, 412), (1, 404)):
            raise
        return False
    return True


async def begin_periods(budgets: Items, scope: Scope, now: datetime) -> int:
    """Makes the counters of the periods that have begun. Returns how many."""
    begun = 0
    async for cap, _ in list_caps(budgets, scope):
        period = cap.period_at(now)
        if await read_counter(budgets, cap.team, period.id) is None:
            begun += await begin_period(budgets, cap, period)
    return begun


async def current_counter(budgets: Items, cap: Cap, now: datetime) -> Counter:
    """The counter in use, also of a period that has begun and in which nothing has happened yet."""
    period = cap.period_at(now)
    return await read_counter(budgets, cap.team, period.id) or counter_of(cap, period)


async def set_cap(
    journal: Journal, team: str, settings: CapSettings, *, etag: str | None, actor: str, reason: str, now: datetime
) -> str:
    """A team's cap, made anew (``etag`` None) or in place of the one with that ETag. Returns its new ETag.

    It holds for the period that is under way: a limit below what is spent stops the team at once, a new one lets a team
    go on that an overrun stopped. Raises :class:`governance.changes.Outdated`, and :class:`governance.changes.Conflict`
    for another currency: what is spent can't be compared with it.
    """
    budgets = journal.store.budgets
    for _ in range(MOST_RACES):
        document = await budgets.read(CAP_ID, team)
        as_seen(document, etag)
        before = None if document is None else Cap.model_validate(document)
        if before is not None and before.currency != settings.currency:
            raise Conflict("The currency of a cap can't be changed.")
        cap = Cap(team=team, revision=1 if before is None else before.revision + 1, **settings.model_dump())
        new = cap_document(cap)
        if document is None:
            writes: list[tuple[Any, ...]] = [("create", (new,))]
        else:
            writes = [("replace", (CAP_ID, new), {"if_match_etag": document["_etag"]})]
        event = change_event(
            "cap.set",
            actor=actor,
            target=f"cap:{team}",
            reason=reason,
            Team=team,
            Before={} if before is None else _shown(before),
            After=_shown(cap),
        )
        try:
            return await journal.commit("budgets", new, [*writes, *await _counters(budgets, before, cap, now)], event)
        except Outdated:
            continue  # the cap was changed, or its counter made meanwhile: only the former is told
    raise Outdated


def _shown(cap: Cap) -> dict[str, Any]:
    return cap.model_dump(mode="json", exclude={"team", "revision"})


async def _counters(budgets: Items, before: Cap | None, cap: Cap, now: datetime) -> list[tuple[Any, ...]]:
    """What becomes of the counter that was in use, and of the one that is."""
    writes: list[tuple[Any, ...]] = []
    period = cap.period_at(now)
    old = period if before is None else before.period_at(now)
    if old.id != period.id and await read_counter(budgets, cap.team, old.id) is not None:
        writes.append(("patch", (counter_id(old.id), _setting({"/limit_micro": 0}))))
    counter = await read_counter(budgets, cap.team, period.id)
    if counter is None:
        writes.append(("create", (counter_of(cap, period).model_dump(mode="json"),)))
    else:
        changes = {
            "/limit_micro": cap.limit_micro,
            "/stopped": False,
            "/begins_at": utc_text(period.begins_at),
            "/ends_at": utc_text(period.ends_at),
        }
        writes.append(("patch", (counter.id, _setting(changes))))
    return writes


async def reset_cap(journal: Journal, team: str, *, actor: str, reason: str, now: datetime) -> Counter:
    """Nothing counts as spent in the period that is under way, and no overrun stops the team; reservations stay.

    Returns the counter as it is then. Raises :class:`CapUnknown`, :class:`services.documents.StoreUnavailable` if
    others were always faster.
    """
    budgets = journal.store.budgets
    for _ in range(MOST_RACES):
        found = await read_cap(budgets, team)
        if found is None:
            raise CapUnknown
        cap, period = found[0], found[0].period_at(now)
        before = await read_counter(budgets, team, period.id)
        if before is None:
            await begin_period(budgets, cap, period)
            continue
        after = before.model_copy(
            update={
                "spent_micro": 0,
                "overrun_micro": 0,
                "forgiven_micro": before.forgiven_micro + before.spent_micro,
                "stopped": False,
                "told_percent": 0,
            }
        )
        event = change_event(
            "cap.reset",
            actor=actor,
            target=f"cap:{team}",
            reason=reason,
            Team=team,
            Before=before.model_dump(mode="json"),
            After=after.model_dump(mode="json"),
        )
        forgiven = {"op": "incr", "path": "/forgiven_micro", "value": before.spent_micro}
        anew = _setting({"/spent_micro": 0, "/overrun_micro": 0, "/stopped": False, "/told_percent": 0})
        as_read = f"from c where c.spent_micro = {before.spent_micro} and c.told_percent = {before.told_percent}"
        patch = ("patch", (before.id, [*anew, forgiven]), {"filter_predicate": as_read})
        try:
            await journal.commit("budgets", after.model_dump(mode="json"), [patch], event)
        except Outdated:
            continue  # something was settled meanwhile
        return after
    raise StoreUnavailable("the cap changes all the time")


async def tell_thresholds(budgets: Items, now: datetime) -> int:
    """Writes an event for each threshold that a team has reached in its period. Returns how many.

    Each once a period (or once more after a reset): the counter says of which the team was told, in the same batch.
    """
    told = 0
    query = "SELECT * FROM c WHERE c.kind = 'counter' AND c.ends_at > @now AND c.spent_micro > 0"
    async for document in budgets.query(query, {"@now": utc_text(now)}):
        counter = Counter.model_validate(document)
        found = await read_cap(budgets, counter.team)
        if found is not None and counter.limit_micro > 0:
            told += await _tell(budgets, found[0], counter)
    return told


async def _tell(budgets: Items, cap: Cap, counter: Counter) -> int:
    reached = [
        percent
        for percent in sorted(set(cap.thresholds))
        if percent > counter.told_percent and counter.spent_micro * 100 >= percent * counter.limit_micro
    ]
    if not reached:
        return 0
    mark = (
        "patch",
        (counter.id, [{"op": "set", "path": "/told_percent", "value": reached[-1]}]),
        {"filter_predicate": f"from c where c.told_percent = {counter.told_percent}"},
    )
    events = [
        change_event(
            "cap.threshold",
            actor="",
            target=f"cap:{counter.team}",
            reason="",
            Team=counter.team,
            Currency=cap.currency,
            After={**counter.model_dump(mode="json"), "threshold_percent": percent},
        )
        for percent in reached
    ]
    try:
        outbox = [("create", (outbox_document(event, "budgets", counter.team),)) for event in events]
        await budgets.batch(counter.team, [mark, *outbox])
    except BatchRefused as refused:
        if (refused.index, refused.status) != (0, 412):
            raise
        return 0  # another sweep has told, or a governor has reset
    return len(reached)


def _setting(changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"op": "set", "path": path, "value": value} for path, value in changes.items()]
