"""The ``timespan`` of a query: an ISO 8601 duration that ends now, or an interval.

https://learn.microsoft.com/azure/azure-monitor/logs/api/timeouts-and-limits and, for the parameter, .../request-format
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

_duration = TypeAdapter(timedelta)


class Interval(NamedTuple):
    """Both ends belong to it, in UTC."""

    start: datetime
    end: datetime


def parse_timespan(text: str, now: datetime) -> Interval:
    """Raises :class:`ValueError`."""
    first, slash, second = text.partition("/")
    if not slash:
        return Interval(now - _parse_duration(first), now)
    if first.startswith("P"):
        end = _parse_moment(second)
        return Interval(end - _parse_duration(first), end)
    start = _parse_moment(first)
    return Interval(start, start + _parse_duration(second) if second.startswith("P") else _parse_moment(second))


def _parse_duration(text: str) -> timedelta:
    # pydantic reads more than ISO 8601 ("1 day"), and years and months, whose length is anyone's guess.
    date_part = text.partition("T")[0]
    if not text.startswith("P") or "Y" in date_part or "M" in date_part:
        raise ValueError(f"not an ISO 8601 duration of weeks, days, hours, minutes or seconds: {text!r}")
    try:
        return _duration.validate_python(text)
    except ValidationError:
        raise ValueError(f"not an ISO 8601 duration: {text!r}") from None


def _parse_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
