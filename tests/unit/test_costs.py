"""Adding costs up."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.costs import Dimension, Row, Sums

EVERYTHING = tuple(Dimension)


@pytest.mark.claim("C2")
@given(
    st.lists(
        st.builds(
            Row,
            team=st.sampled_from("ab"),
            day=st.dates(date(2026, 3, 9), date(2026, 3, 11)),
            person=st.sampled_from("xy"),
            currency=st.sampled_from(("EUR", "USD")),
            calls=st.integers(0, 9),
            cost_micro=st.integers(0, 10**12),
        )
    ),
    st.lists(st.sampled_from(EVERYTHING), unique=True),
)
def test_when_rows_are_added_up_then_nothing_is_lost_whatever_they_are_added_up_by(
    rows: list[Row], by: list[Dimension]
) -> None:
    sums = Sums(by)
    for row in rows:
        sums.add(row)
    assert _money(sums.rows()) == _money(rows)
    keys = [(row.currency, *(getattr(row, dimension) for dimension in by)) for row in sums.rows()]
    assert len(keys) == len(set(keys)) == len(sums)


def _money(rows: list[Row]) -> Counter[str]:
    money: Counter[str] = Counter()
    for row in rows:
        money[row.currency] += row.cost_micro
    return money
