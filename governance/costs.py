"""What everything cost, by team, day, assistant, person, endpoint and model: sums of the ledger (claim C2).

A round of the timer sums whole days of a team anew, from its settled reservations, and puts them in place of what was
there, so nothing is counted twice and no row stays that should not. A team has in ``usage``::

    day:2026-11-23       that day's rows without persons
    persons:2026-11-23   the same money by person
    summed               up to when the team's ledger is in them

A day's two documents are written with ``summed`` in one transactional batch, if no other round has changed that since
this one read it: of two at once, the one that is late stops. So what is there was summed from one reading of the
ledger, and says how far it reaches. Days are UTC, by when a call was settled.

A batch takes 2 MB (https://learn.microsoft.com/azure/cosmos-db/transactional-batch), some 7,000 rows by person. A team
with more on a day raises :class:`services.documents.StoreError`, and the days after it wait: it is to be split.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, Field

from governance.access import Scope, in_scope
from governance.caps import CAP_ID
from governance.reservations import LEDGER_SECONDS, Reservation
from services.clock import Timestamp, utc_text
from services.documents import BatchRefused, Document, Items

SUMMED_ID: Final = "summed"
LANDED = timedelta(minutes=5)
"""By then a call that was settled is in the ledger: a write takes seconds, clocks differ by less."""
SUMMED_AGAIN = timedelta(days=2)
"""How much of what is summed each round sums again, for a settlement that came later all the same."""


class Dimension(StrEnum):
    TEAM = "team"
    DAY = "day"
    ASSISTANT = "assistant"
    PERSON = "person"
    """Their object id in the directory."""
    ENDPOINT = "endpoint"
    MODEL = "model"
    """As the endpoint's configuration names it."""


def _is_none(value: object) -> bool:
    return value is None


class Row(BaseModel):
    """What calls cost that have something in common: what is None, they may differ in. Never in their currency."""

    team: str | None = Field(default=None, exclude_if=_is_none)
    day: date | None = Field(default=None, exclude_if=_is_none)
    assistant: str | None = Field(default=None, exclude_if=_is_none)
    person: str | None = Field(default=None, exclude_if=_is_none)
    endpoint: str | None = Field(default=None, exclude_if=_is_none)
    model: str | None = Field(default=None, exclude_if=_is_none)
    currency: str
    calls: int = 0
    """Those that were charged, whether they brought an answer or not."""
    input_tokens: int = 0
    """As far as they were reported."""
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_micro: int = 0
    """Millionths of the currency."""


class Summed(BaseModel):
    """How far a team's ledger is in its sums."""

    id: Literal["summed"] = SUMMED_ID
    team: str
    v: Literal[1] = 1
    kind: Literal["summed"] = "summed"
    until: Timestamp
    """Every call that was settled before is in."""


class Day(BaseModel):
    """The rows of a day."""

    id: str
    team: str
    v: Literal[1] = 1
    kind: Literal["day", "persons"]
    day: date
    rows: list[Row]


class Sums:
    """Rows, added up by some dimensions and by currency."""

    def __init__(self, by: Iterable[Dimension]) -> None:
        self._by = tuple(by)
        self._rows: dict[tuple[object, ...], Row] = {}

    def add(self, row: Row) -> None:
        common = {dimension.value: getattr(row, dimension) for dimension in self._by}
        key = (row.currency, *common.values())
        if key not in self._rows:
            self._rows[key] = Row(currency=row.currency, **common)
        total = self._rows[key]
        total.calls += row.calls
        total.input_tokens += row.input_tokens
        total.cached_input_tokens += row.cached_input_tokens
        total.output_tokens += row.output_tokens
        total.cost_micro += row.cost_micro

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[Row]:
        """In the order of what they have in common."""
        return [
            self._rows[key] for key in sorted(self._rows, key=lambda key: [str(part) for part in (*key[1:], key[0])])
        ]


def midnight(day: date) -> datetime:
    """When it begins."""
    return datetime.combine(day, time.min, UTC)


async def ledger(budgets: Items, team: str, begin: datetime | None) -> AsyncIterator[Reservation]:
    """A team's settled reservations, from a time on or all that there are."""
    query = "SELECT * FROM c WHERE c.kind = 'reservation' AND c.state = 'settled' AND c.settled_at >= @begin"
    since = "" if begin is None else utc_text(begin)
    async for document in budgets.query(query, {"@begin": since}, partition=team):
        yield Reservation.model_validate(document)


def row_of(call: Reservation) -> Row:
    """What one call cost."""
    assert call.settled_at is not None
    return Row(
        team=call.team,
        day=call.settled_at.astimezone(UTC).date(),
        assistant=call.assistant,
        person=call.person,
        endpoint=call.endpoint,
        model=call.model,
        currency=call.currency,
        calls=1,
        input_tokens=call.input_tokens or 0,
        cached_input_tokens=call.cached_input_tokens or 0,
        output_tokens=call.output_tokens or 0,
        cost_micro=call.charged_micro,
    )


async def paying_teams(budgets: Items, scope: Scope) -> set[str]:
    """The teams that have, or once had, a cap, and so may have costs: also those that are no more."""
    query = "SELECT c.team FROM c WHERE c.id = @cap"
    return {document["team"] async for document in in_scope(budgets, scope, query, {"@cap": CAP_ID})}


async def roll_up(budgets: Items, usage: Items, team: str, now: datetime) -> int:
    """A round: what is not summed yet, up to now, and the days before it again. Returns how many days were written.

    It may run at any time, also at once with another, and be missed for as long as the ledger is kept.
    """
    summed = await usage.read(SUMMED_ID, team)
    begin = None if summed is None else _begin(Summed.model_validate(summed).until, now)
    days: dict[date, Sums] = {}
    async for call in ledger(budgets, team, begin):
        row = row_of(call)
        assert row.day is not None
        days.setdefault(row.day, Sums(_BY_PERSON)).add(row)
    first = min(days, default=now.date()) if begin is None else begin.date()
    written = 0
    for day in (first + timedelta(days=number) for number in range((now.date() - first).days + 1)):
        summed = await _write(usage, team, day, days.get(day, Sums(_BY_PERSON)).rows(), summed, now)
        if summed is None:
            break
        written += 1
    return written


_BY_PERSON = (Dimension.ASSISTANT, Dimension.PERSON, Dimension.ENDPOINT, Dimension.MODEL)
_BY_ASSISTANT = (Dimension.ASSISTANT, Dimension.ENDPOINT, Dimension.MODEL)


def _begin(until: datetime, now: datetime) -> datetime:
    """Where a round begins: on no day of which the ledger may have lost a part."""
    kept = now - timedelta(seconds=LEDGER_SECONDS) + timedelta(days=1)
    return midnight(max(until - SUMMED_AGAIN, kept).date())


async def _write(
    usage: Items, team: str, day: date, rows: list[Row], before: Document | None, now: datetime
) -> Document | None:
    """One day, and how far the sums reach with it; None if another round has written meanwhile."""
    without_persons = Sums(_BY_ASSISTANT)
    for row in rows:
        without_persons.add(row)
    until = min(now - LANDED, midnight(day + timedelta(days=1)))
    if before is not None:
        until = max(until, Summed.model_validate(before).until)
    summed = Summed(team=team, until=until).model_dump(mode="json")
    documents = (
        Day(id=f"day:{day}", team=team, kind="day", day=day, rows=without_persons.rows()),
        Day(id=f"persons:{day}", team=team, kind="persons", day=day, rows=rows),
    )
    reached = (
        ("create", (summed,))
        if before is None
        else ("replace", (SUMMED_ID, summed), {"if_match_etag": before["_etag"]})
    )
    days = [("upsert", (document.model_dump(mode="json"),)) for document in documents]
    try:
        etag = (await usage.batch(team, [reached, *days]))[0]
    except BatchRefused as refused:
        if (refused.index, refused.status) not in ((0, 409), (0, 412)):
            raise
        return None
    return {**summed, "_etag": etag}


class Costs(BaseModel):
    """What it cost within some days, the last one included."""

    rows: list[Row]
    complete_until: Timestamp
    """Every call that was settled before is in; of later ones, some."""


class TooManyRows(Exception):
    """There are more rows than an answer holds."""


async def read_costs(
    budgets: Items, usage: Items, scope: Scope, first: date, last: date, by: Iterable[Dimension], *, most_rows: int
) -> Costs:
    """What the teams in scope spent, from the sums. Raises :class:`TooManyRows`."""
    by, begin, end = tuple(by), midnight(first), midnight(last + timedelta(days=1))
    query = "SELECT * FROM c WHERE c.kind = 'summed' OR (c.kind = @kind AND c.day >= @first AND c.day <= @last)"
    kind = "persons" if Dimension.PERSON in by else "day"
    asked = {"@kind": kind, "@first": first.isoformat(), "@last": last.isoformat()}
    reached = dict.fromkeys(await paying_teams(budgets, scope), begin)
    sums = Sums(by)
    async for document in in_scope(usage, scope, query, asked):
        if document["kind"] == "summed":
            reached[document["team"]] = Summed.model_validate(document).until
            continue
        day = Day.model_validate(document)
        for row in day.rows:
            sums.add(row.model_copy(update={"team": day.team, "day": day.day}))
        if len(sums) > most_rows:
            raise TooManyRows
    return Costs(rows=sums.rows(), complete_until=min([end, *reached.values()]))
