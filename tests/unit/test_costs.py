"""Adding costs up."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.costs import csv_of
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


def test_when_a_cell_begins_like_a_formula_then_a_spreadsheet_takes_it_for_text() -> None:
    row = Row(assistant="=HYPERLINK(1)", model="-1+1", person="a,b", currency="EUR")
    table = csv_of([row], [Dimension.ASSISTANT, Dimension.MODEL, Dimension.PERSON])
    assert table.splitlines() == [
        "assistant,model,person,currency,calls,input_tokens,cached_input_tokens,output_tokens,cost_micro",
        "'=HYPERLINK(1),'-1+1,\"a,b\",EUR,0,0,0,0,0",
    ]
