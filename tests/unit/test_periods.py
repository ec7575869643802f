"""Every moment is in one period, whatever the clocks of the place do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.periods import PeriodKind, period_at

ZONES = sorted(available_timezones())
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))


@pytest.mark.claim("C1")
@given(st.sampled_from(PeriodKind), st.sampled_from(ZONES), MOMENTS)
def test_when_a_moment_is_given_then_it_is_in_one_period_and_the_next_begins_where_that_ends(
    kind: PeriodKind, zone: str, moment: datetime
) -> None:
    place = ZoneInfo(zone)
    period = period_at(kind, place, moment)
    assert period.begins_at <= moment < period.ends_at
    assert period_at(kind, place, period.begins_at) == period
    assert period_at(kind, place, period.ends_at - timedelta(microseconds=1)) == period
    after = period_at(kind, place, period.ends_at)
    assert after.begins_at == period.ends_at
    assert after.id > period.id


@pytest.mark.parametrize(
    ("kind", "zone", "moment", "id_", "begins", "ends"),
    [
        ("month", "UTC", "2026-11-23T08:00", "2026-11", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("month", "Europe/Berlin", "2026-11-30T23:30", "2026-12", "2026-11-30T23:00", "2026-12-31T23:00"),
        ("week", "UTC", "2027-01-01T00:00", "2026-W53", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("day", "Europe/London", "2026-03-29T12:00", "2026-03-29", "2026-03-29T00:00", "2026-03-29T23:00"),
        ("day", "Europe/London", "2026-10-25T12:00", "2026-10-25", "2026-10-24T23:00", "2026-10-26T00:00"),
        ("day", "America/Havana", "2026-03-08T12:00", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),
    ],
)
def test_when_clocks_are_changed_then_a_day_has_an_hour_more_or_less(
    kind: str, zone: str, moment: str, id_: str, begins: str, ends: str
) -> None:
    period = period_at(PeriodKind(kind), ZoneInfo(zone), datetime.fromisoformat(f"{moment}+00:00"))
    assert (period.id, f"{period.begins_at:%Y-%m-%dT%H:%M}", f"{period.ends_at:%Y-%m-%dT%H:%M}") == (id_, begins, ends)


def test_when_a_clock_is_put_back_over_midnight_then_the_day_that_began_stays() -> None:
    zone, midnight = ZoneInfo("America/St_Johns"), datetime(2005, 10, 30, 2, 30, tzinfo=UTC)
    for minutes in (0, 1, 30, 61):  # at one minute past midnight it was 23:01 of the day before again
        period = period_at(PeriodKind.DAY, zone, midnight + timedelta(minutes=minutes))
        assert (period.id, period.begins_at) == ("2005-10-30", midnight)
