"""A broken endpoint is left alone for a while."""

import pytest

from routing.breaker import FAILURES, REST_SECONDS, Breaker


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def broken(clock: Clock, times: int = FAILURES) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(times):
        breaker.failed("large")
    return breaker


def test_when_an_endpoint_fails_so_often_in_a_row_then_it_rests_and_others_do_not(clock: Clock) -> None:
    assert not broken(clock, FAILURES - 1).rests("large")
    breaker = broken(clock)
    assert (breaker.rests("large"), breaker.rests("small")) == (True, False)


def test_when_it_has_worked_in_between_then_it_does_not_rest(clock: Clock) -> None:
    breaker = broken(clock, FAILURES - 1)
    breaker.worked("large")
    breaker.failed("large")
    assert not breaker.rests("large")


def test_when_it_has_rested_then_it_is_tried_and_rests_again_at_the_first_failure(clock: Clock) -> None:
    breaker = broken(clock)
    clock.now += REST_SECONDS
    assert not breaker.rests("large")
    breaker.failed("large")
    assert breaker.rests("large")
    breaker.worked("large")
    assert not breaker.rests("large")


def test_when_it_says_when_to_come_again_then_it_rests_until_then_and_a_later_word_does_not_shorten_that(
    clock: Clock,
) -> None:
    breaker = Breaker(clock)
    breaker.failed("large", 50)
    breaker.failed("large", 1)
    clock.now += 49
    assert breaker.rests("large")
    clock.now += 1
    assert not breaker.rests("large")
