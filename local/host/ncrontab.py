"""NCRONTAB, the schedules of Azure Functions timers: ``{second} {minute} {hour} {day} {month} {day of week}``.

A field is ``*``, a number, a range ``a-b``, or a list of these with commas; ``/n`` after ``*`` or a range takes every
n-th of it, and ``a/n`` every n-th from a on. Months and days of the week may be named by their first three English
letters; Sunday is 0. A day must match both its day of month and its day of week. Times are UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_LIMITS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "day of week": (0, 6),
}
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of week": {name: number for number, name in enumerate(_DAYS)},
}

_HORIZON = timedelta(days=366 * 41)
"""The 29th of February falls on a given day of the week every 28 years, every 40 around a century without one."""


@dataclass(frozen=True)
class Schedule:
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> "Schedule":
        """Raises ValueError for what is not a six-field NCRONTAB expression, or never comes true."""
        fields = expression.split()
        if len(fields) != len(_LIMITS):
            raise ValueError(f"a schedule has six fields, {expression!r} has {len(fields)}")
        schedule = cls(*(_field(name, text) for name, text in zip(_LIMITS, fields, strict=True)))
        schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """The first whole second after ``moment`` (aware, UTC) that matches."""
        start = moment.replace(microsecond=0) + timedelta(seconds=1)
        day, clock = start.date(), start.time()
        while day - start.date() < _HORIZON:
            if self._matches(day) and (found := self._next_time(clock)):
                return datetime.combine(day, found, UTC)
            day, clock = day + timedelta(days=1), time.min
        raise ValueError("this schedule never comes true")

    def _matches(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.days_of_week

    def _next_time(self, clock: time) -> time | None:
        """The first matching time of day at or after ``clock``."""
        for hour in sorted(hour for hour in self.hours if hour >= clock.hour):
            if hour > clock.hour:
                clock = time(hour)
            for minute in sorted(minute for minute in self.minutes if minute >= clock.minute):
                if minute > clock.minute:
                    clock = time(hour, minute)
                for second in sorted(self.seconds):
                    if second >= clock.second:
                        return time(hour, minute, second)
        return None


def _field(name: str, text: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.casefold().split(","):
        match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} is not a {name}")
        first, last, step = match.groups()
        low, high = _LIMITS[name]
        if first is not None:
            low = _number(name, first)
            if last is not None:
                high = _number(name, last)
            elif step is None:
                high = low
        if high < low or step == "0":
            raise ValueError(f"{part!r} is not a {name}")
        values.update(range(low, high + 1, int(step or 1)))
    return frozenset(values)


def _number(name: str, text: str) -> int:
    low, high = _LIMITS[name]
    value = _NAMES.get(name, {}).get(text)
    if value is None:
        value = int(text) if text.isdecimal() else -1
    if not low <= value <= high:
        raise ValueError(f"{text!r} is not a {name}")
    return value
