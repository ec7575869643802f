"""Schedules: examples from Microsoft's page, and properties against a plain search second by second."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.host.ncrontab import Schedule

START = datetime(2026, 11, 22, 12, 34, 56, 789, UTC)  # a Sunday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * * *", "2026-11-22 12:34:57"),
        ("0 */5 * * * *", "2026-11-22 12:35:00"),
        ("0 0 * * * *", "2026-11-22 13:00:00"),
        ("0 0 */2 * * *", "2026-11-22 14:00:00"),
        ("0 0 9-17 * * *", "2026-11-22 13:00:00"),
        ("0 30 9 * * *", "2026-11-23 09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-23 09:30:00"),
        ("0 30 9 * * Sat", "2026-11-28 09:30:00"),
        ("0 30 9 * Jan Mon", "2027-01-04 09:30:00"),
        ("0 5,8,10 * * * *", "2026-11-22 13:05:00"),
        ("0 20/20 * * * *", "2026-11-22 12:40:00"),
        ("0 0 0 1 * *", "2026-12-01 00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 0 13 * FRI", "2027-08-13 00:00:00"),
        ("59 34 12 22 11 0", "2026-11-22 12:34:59"),
        ("56 34 12 22 11 0", "2037-11-22 12:34:56"),
    ],
)
def test_when_a_schedule_is_asked_then_its_next_occurrence_comes_out(expression: str, expected: str) -> None:
    assert Schedule.parse(expression).next_after(START) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",  # five fields: Azure takes them for minutes, this host does not guess
        "00:05:00",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "5-1 * * * * *",
        "* * * * Foo *",
        "* * * * * Monday",
        "1,,2 * * * * *",
        "-1 * * * * *",
        "0 0 0 30 2 *",  # never comes
    ],
)
def test_when_an_expression_is_not_a_schedule_then_it_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        Schedule.parse(expression)


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field as text, and the values that it stands for."""
    number = st.integers(low, high)
    step = st.integers(1, high)
    every = frozenset(range(low, high + 1))
    part = st.one_of(
        st.just(("*", every)),
        number.map(lambda n: (str(n), frozenset({n}))),
        st.tuples(number, number).map(sorted).map(lambda r: (f"{r[0]}-{r[1]}", frozenset(range(r[0], r[1] + 1)))),
        step.map(lambda n: (f"*/{n}", frozenset(range(low, high + 1, n)))),
        st.tuples(number, step).map(lambda r: (f"{r[0]}/{r[1]}", frozenset(range(r[0], high + 1, r[1])))),
    )
    return st.lists(part, min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), frozenset().union(*(values for _, values in parts)))
    )


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@settings(max_examples=150)
@given(field(0, 59), field(0, 59), field(0, 23), moments)
def test_when_any_time_of_day_is_scheduled_then_the_first_one_after_is_found(
    second: tuple[str, frozenset[int]],
    minute: tuple[str, frozenset[int]],
    hour: tuple[str, frozenset[int]],
    moment: datetime,
) -> None:
    found = Schedule.parse(f"{second[0]} {minute[0]} {hour[0]} * * *").next_after(moment)

    def matches(when: datetime) -> bool:
        return when.second in second[1] and when.minute in minute[1] and when.hour in hour[1]

    assert matches(found)
    assert moment < found <= moment + timedelta(days=1)
    between = found - timedelta(seconds=1)
    for _ in range(2000):  # the stretch before it has none
        if between <= moment:
            break
        assert not matches(between)
        between -= timedelta(seconds=1)


@settings(max_examples=150)
@given(field(1, 31), field(1, 12), field(0, 6), moments)
def test_when_any_days_are_scheduled_then_the_first_day_that_matches_all_three_is_found(
    day: tuple[str, frozenset[int]],
    month: tuple[str, frozenset[int]],
    weekday: tuple[str, frozenset[int]],
    moment: datetime,
) -> None:
    def matches(when: datetime) -> bool:
        return when.day in day[1] and when.month in month[1] and when.isoweekday() % 7 in weekday[1]

    expression = f"0 0 0 {day[0]} {month[0]} {weekday[0]}"
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (midnight + timedelta(days=n) for n in range(0 if moment == midnight else 1, 366 * 41))
    expected = next((when for when in days if when > moment and matches(when)), None)
    if expected is None:
        with pytest.raises(ValueError):
            Schedule.parse(expression)
    else:
        assert Schedule.parse(expression).next_after(moment) == expected


@given(moments)
def test_when_it_is_followed_from_occurrence_to_occurrence_then_none_is_skipped(moment: datetime) -> None:
    schedule = Schedule.parse("*/20 * * * * *")
    first = schedule.next_after(moment)
    assert schedule.next_after(first) - first == timedelta(seconds=20)
