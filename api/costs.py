"""``GET /api/costs``: what everything cost, by team, day, assistant, person, endpoint and model (claim C2)."""

from datetime import date, timedelta
from typing import Annotated, Self

import azure.durable_functions as df
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api.body import Malformed
from api.operation import Call, Reply, operation
from api.problems import Csv
from api.tables import csv_line
from governance import costs
from governance.access import Role
from governance.costs import Costs, Dimension, Row, TooManyRows
from services.clock import utc_now, utc_text

bp = df.Blueprint()

READERS = (Role.GOVERNOR, Role.AUDITOR, Role.IT_OPS)

MOST_DAYS = 400
MOST_ROWS = 10_000

_FIGURES = ("currency", "calls", "input_tokens", "cached_input_tokens", "output_tokens", "cost_micro")


def _listed(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


class CostsAsked(BaseModel):
    """Days are UTC; the first is by default the first of this month, the last is today."""

    model_config = ConfigDict(extra="forbid")

    first: date = Field(alias="from", default_factory=lambda: utc_now().date().replace(day=1))
    last: date = Field(alias="to", default_factory=lambda: utc_now().date())
    by: Annotated[list[Dimension], BeforeValidator(_listed, json_schema_input_type=str)] = [Dimension.TEAM]
    """What the costs are told apart by, with commas between."""

    @model_validator(mode="after")
    def _some_days(self) -> Self:
        if not timedelta(0) <= self.last - self.first < timedelta(days=MOST_DAYS):
            raise ValueError
        return self


@operation(bp, "GET", "costs", query=CostsAsked, answers={200: Costs}, roles=READERS)
async def get_costs(call: Call[None]) -> Reply:
    """What the teams that the caller's roles reach have spent, in micro-units of each currency."""
    return Reply(await _costs(call, call.query(CostsAsked)))


@operation(bp, "GET", "costs.csv", query=CostsAsked, answers={200: Csv}, roles=READERS)
async def get_costs_table(call: Call[None]) -> Reply:
    """The same as a table; `Complete-Until` says up to when it is complete."""
    asked = call.query(CostsAsked)
    found = await _costs(call, asked)
    return Reply(Csv(csv_of(found.rows, asked.by)), 200, {"Complete-Until": utc_text(found.complete_until)})


async def _costs(call: Call[None], asked: CostsAsked) -> Costs:
    store, scope = call.services.store, call.access.scope(*READERS)
    try:
        return await costs.read_costs(
            store.budgets, store.usage, scope, asked.first, asked.last, asked.by, most_rows=MOST_ROWS
        )
    except TooManyRows:
        raise Malformed(f"by: there are more than {MOST_ROWS:,} rows; ask for fewer days or dimensions") from None


def csv_of(rows: list[Row], by: list[Dimension]) -> str:
    names = [*dict.fromkeys(by), *_FIGURES]
    return "".join([csv_line(names), *(csv_line(getattr(row, name) for name in names) for row in rows)])
