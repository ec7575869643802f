"""What everything cost, read over HTTP after the timer's round."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.access import Role
from tests.e2e.administration import binding, bound
from tests.e2e.asking import Asking, Reply

EVERYTHING = "team,day,assistant,person,endpoint,model"


async def costs(asking: Asking, query: str = "", *, person: str = "gus", route: str = "costs") -> Reply:
    return await asking.call("GET", f"/api/{route}?{query}", token=asking.stack.token(person))


async def spent(asking: Asking, **of: str) -> tuple[int, int]:
    """How many calls of the rows that these members have, and what they cost, after a round of the timer."""
    await asking.kit.run_timer("rollup_costs")
    rows = (await costs(asking, f"by={EVERYTHING}")).body["rows"]
    mine = [row for row in rows if of.items() <= row.items()]
    return sum(row["calls"] for row in mine), sum(row["cost_micro"] for row in mine)


@pytest.mark.claim("C2")
async def test_when_somebody_asks_then_its_cost_is_seen_by_everything_that_it_may_be_told_apart_by(
    asking: Asking,
) -> None:
    of: dict[str, Any] = {
        "team": "sales",
        "assistant": "sales-helper",
        "person": str(asking.stack.person("alice").oid),
        "day": datetime.now(UTC).date().isoformat(),
    }
    calls, cost = await spent(asking, **of)
    answer = await asking.ask("What makes a good offer?")
    (attempt,) = await asking.kit.attempts(answer.body["request_id"])
    of |= {"endpoint": attempt.endpoint, "model": attempt.model, "currency": attempt.currency}
    assert await spent(asking, **of) == (calls + 1, cost + (attempt.actual_micro or 0))
    assert await asking.kit.differences() == [], "ledger, sums and trail"
    total = (await costs(asking)).body
    assert [row["team"] for row in total["rows"]] == sorted({row["team"] for row in total["rows"]})
    assert total["rows"][0].keys().isdisjoint({"person", "day"}), "told apart by what is asked for only"
    complete = datetime.now(UTC) - datetime.fromisoformat(total["complete_until"])
    assert timedelta(0) <= complete < timedelta(hours=1)


@pytest.mark.claim("C2")
async def test_when_a_table_is_wanted_then_it_says_the_same_as_the_rows(asking: Asking) -> None:
    await asking.ask("What makes a good offer?")
    await asking.kit.run_timer("rollup_costs")
    rows = (await costs(asking, f"by={EVERYTHING}", person="audrey")).body["rows"]
    table = await costs(asking, f"by={EVERYTHING}", person="audrey", route="costs.csv")
    assert table.headers["Content-Type"].partition(";")[0] == "text/csv"
    assert datetime.fromisoformat(table.headers["Complete-Until"]) <= datetime.now(UTC)
    assert list(csv.DictReader(io.StringIO(table.text))) == [
        {name: str(value) for name, value in row.items()} for row in rows
    ]


async def test_when_a_role_reaches_one_team_then_the_costs_of_the_others_are_not_seen(asking: Asking) -> None:
    await asking.ask("What makes a good offer?")
    await asking.kit.run_timer("rollup_costs")
    assert "sales" in {row["team"] for row in (await costs(asking)).body["rows"]}
    async with bound(asking, Role.GOVERNOR, binding(asking, "Governance Board", "finance")):
        assert "sales" not in {row["team"] for row in (await costs(asking)).body["rows"]}


@pytest.mark.parametrize(
    "query",
    ["by=color", "by=,", "from=yesterday", "from=2026-02-30", "from=2026-01-02&to=2026-01-01", "limit=3",
     "from=2020-01-01&to=2026-01-01"],
)  # fmt: skip
async def test_when_it_is_not_known_what_is_asked_then_it_is_said(asking: Asking, query: str) -> None:
    for route in ("costs", "costs.csv"):
        (await costs(asking, query, route=route)).is_problem(400, "malformed")
