"""The periods that a cost cap holds for: days, weeks and months of a time zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo


class PeriodKind(StrEnum):
    DAY = "day"
    WEEK = "week"
    """From Monday on, as ISO 8601 has it."""
    MONTH = "month"


class Period(NamedTuple):
    """From ``begins_at`` on, until before ``ends_at``; both in UTC."""

    id: str
    """``2026-11-23``, ``2026-W48`` or ``2026-11``."""
    begins_at: datetime
    ends_at: datetime


def period_at(kind: PeriodKind, zone: ZoneInfo, moment: datetime) -> Period:
    """The one that the moment is in. A day has 23 to 25 hours where clocks are changed, and may begin at one."""
    first = _FIRST[kind](moment.astimezone(zone).date())
    # Where a clock was put back from just after midnight, the date ran back with it: what counts is when it began.
    while moment >= _midnight(_NEXT[kind](first), zone):
        first = _NEXT[kind](first)
    return Period(_id(kind, first), _midnight(first, zone), _midnight(_NEXT[kind](first), zone))


_FIRST: dict[PeriodKind, Callable[[date], date]] = {
    PeriodKind.DAY: lambda day: day,
    PeriodKind.WEEK: lambda day: day - timedelta(days=day.weekday()),
    PeriodKind.MONTH: lambda day: day.replace(day=1),
}
_NEXT: dict[PeriodKind, Callable[[date], date]] = {
    PeriodKind.DAY: lambda first: first + timedelta(days=1),
    PeriodKind.WEEK: lambda first: first + timedelta(days=7),
    PeriodKind.MONTH: lambda first: (first + timedelta(days=31)).replace(day=1),
}


def _id(kind: PeriodKind, first: date) -> str:
    match kind:
        case PeriodKind.DAY:
            return f"{first:%Y-%m-%d}"
        case PeriodKind.WEEK:
            return f"{first:%G-W%V}"
        case PeriodKind.MONTH:
            return f"{first:%Y-%m}"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins: of a midnight that comes twice the first, for one that is left out what comes instead."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)
