"""Prices: which one holds when, and what tokens cost by it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance.prices import Price, price_at
from routing.endpoints import Endpoint, PriceUnknown, price_of

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

rates = st.integers(0, 50_000_000)
tokens = st.integers(0, 1_000_000)
moments = st.integers(0, 100).map(lambda hours: NEW_YEAR + timedelta(hours=hours))


def price(**members: object) -> Price:
    known = {"from": NEW_YEAR, "currency": "EUR", "input_micro": 0, "output_micro": 0}
    return Price.model_validate({**known, **members})


prices = st.builds(
    lambda since, input_micro, cached, output_micro: price(
        **{"from": since}, input_micro=input_micro, cached_input_micro=cached, output_micro=output_micro
    ),
    moments,
    rates,
    st.none() | rates,
    rates,
)


@pytest.mark.claim("C3")
@pytest.mark.parametrize(
    ("written", "since"),
    [
        ("2026-01-01", NEW_YEAR),
        ("2026-01-01T00:00:00", NEW_YEAR),
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01T00:00:00+01:00", NEW_YEAR - timedelta(hours=1)),
    ],
)
def test_when_a_price_is_written_down_then_it_holds_from_that_time_in_utc_unless_it_says_otherwise(
    written: str, since: datetime
) -> None:
    dated = price(**{"from": written})
    assert dated.since == since
    assert price_at([dated], since) == dated
    assert price_at([dated], since - timedelta(microseconds=1)) is None


@given(st.lists(prices, max_size=6), moments)
def test_when_prices_are_dated_then_the_last_one_that_has_begun_is_in_force(listed: list[Price], now: datetime) -> None:
    found = price_at(listed, now)
    begun = [each for each in listed if each.since <= now]
    if found is None:
        assert not begun
    else:
        assert found.since == max(each.since for each in begun)
        assert found == [each for each in begun if each.since == found.since][-1]


@pytest.mark.claim("C3")
def test_when_no_price_is_in_force_then_the_endpoint_has_none() -> None:
    place = {"id": "own", "provider": "openai-compatible", "base_url": "https://x/v1", "model": "large"}
    endpoint = Endpoint.model_validate(
        {
            **place,
            "region": "here",
            "residency": "self-hosted",
            "prices": [price()],
            "context_tokens": 8000,
            "output_tokens": 1000,
            "contract": {"no_training": True, "retention_days": 0, "reference": "none"},
        }
    )
    assert price_of(endpoint, NEW_YEAR) == price()
    with pytest.raises(PriceUnknown):
        price_of(endpoint, NEW_YEAR - timedelta(seconds=1))


@pytest.mark.claim("C3")
@given(prices, tokens, tokens, st.floats(0, 1))
def test_when_tokens_are_counted_then_they_cost_no_more_than_was_reserved_for_as_many(
    contracted: Price, tokens_in: int, tokens_out: int, share: float
) -> None:
    cached = int(tokens_in * share)
    cost = contracted.cost_micro(tokens_in, tokens_out, cached)
    assert 0 <= cost <= contracted.most_micro(tokens_in, tokens_out)
    exact = (tokens_in - cached) * contracted.input_micro + tokens_out * contracted.output_micro
    exact += cached * (
        contracted.input_micro if contracted.cached_input_micro is None else contracted.cached_input_micro
    )
    assert exact <= cost * 1_000_000 < exact + 1_000_000, "rounded up to a whole micro-unit"


def test_when_a_price_is_kept_then_it_is_read_again_as_it_was() -> None:
    contracted = price(cached_input_micro=1)
    assert contracted.model_dump(mode="json")["from"] == "2026-01-01T00:00:00.000000Z"
    assert Price.model_validate(contracted.model_dump(mode="json")) == contracted


@pytest.mark.parametrize("wrong", [{"currency": "euro"}, {"input_micro": -1}, {"output_micro": 0.5}, {"from": "soon"}])
def test_when_a_price_is_none_then_it_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        price(**wrong)
