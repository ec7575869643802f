"""Times and ids as they are stored."""

import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from services.clock import utc_now, utc_text, uuid7

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),
    max_value=datetime(9999, 12, 30),
    timezones=st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(MOMENTS, MOMENTS)
def test_when_times_are_written_then_they_sort_as_text(one: datetime, other: datetime) -> None:
    assert (utc_text(one) < utc_text(other)) == (one < other)


@given(MOMENTS)
def test_when_a_time_is_written_then_it_is_of_one_length_and_read_back_as_it_was(moment: datetime) -> None:
    text = utc_text(moment)
    assert (len(text), text[-1]) == (27, "Z")
    assert datetime.fromisoformat(text) == moment


def test_when_it_is_asked_for_then_the_time_is_utc() -> None:
    assert utc_now().utcoffset() == timedelta(0)
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_when_an_id_is_made_then_it_is_a_uuid_of_version_7_and_tells_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_when_ids_are_made_then_they_differ_and_those_of_another_millisecond_sort_after() -> None:
    first = [uuid7() for _ in range(1000)]
    time.sleep(0.002)
    second = [uuid7() for _ in range(1000)]
    assert len({*first, *second}) == 2000
    assert max(first) < min(second)
