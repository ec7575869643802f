"""What every team, assistant, person and model cost, by day: rolled up from the ledger of reservations (claim C2)."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from governance.caps import Reservation
from services.clock import utc_text
from services.documents import Items


async def roll_up(budgets: Items, usage: Items, team: str, day: date) -> int:
    """Write one team's sums of a day anew; returns how many there are. It may run at any time and again."""
    begin = datetime.combine(day, time.min)
    query = (
        "SELECT * FROM c WHERE c.kind = 'reservation' AND c.state = 'settled'"
        " AND c.settled_at >= @begin AND c.settled_at < @end"
    )
    between = {"@begin": _utc(begin), "@end": _utc(begin + timedelta(days=1))}
    sums: dict[str, dict[str, Any]] = {}
    async for document in budgets.query(query, between, partition=team):
        call = Reservation.model_validate(document)
        key = f"{day.isoformat()}:{call.assistant}:{call.person}:{call.endpoint}"
        row = sums.setdefault(
            key,
            {
                "id": key,
                "v": 1,
                "team": team,
                "day": day.isoformat(),
                "assistant": call.assistant,
                "person": call.person,
                "endpoint": call.endpoint,
                "model": call.model,
                "calls": 0,
                "input_tokens": 0,
                "output_tokens": 0,
                "cost_micro": 0,
            },
        )
        row["calls"] += 1
        row["input_tokens"] += call.input_tokens or 0
        row["output_tokens"] += call.output_tokens or 0
        row["cost_micro"] += call.actual_micro or 0
    for row in sums.values():
        await usage.upsert(row)
    return len(sums)


def _utc(moment: datetime) -> str:
    return utc_text(moment.replace(tzinfo=UTC))
