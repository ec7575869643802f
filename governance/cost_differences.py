"""Whether the ledger, the sums made of it and the audit trail say the same of what a team spent (claim C2)."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from governance.costs import Day, ledger, midnight
from services.clock import utc_now, utc_text
from services.documents import Store
from services.logs import AuditLog

AROUND = timedelta(days=1)
"""How far apart the settlements of a request's calls, and its event, may be."""

type Money = Counter[str]
"""Micro-units by currency."""


@dataclass(frozen=True)
class Difference:
    """What a day's calls cost by the ledger, and by something that should say the same, in micro-units."""

    between: Literal["sums", "sums by person", "trail"]
    currency: str
    ledger_micro: int
    other_micro: int
    requests: int = 0
    """How many of them the trail tells another cost of."""


async def differences(store: Store, audit_log: AuditLog, team: str, day: date) -> list[Difference]:
    """What does not agree for a team and day; nothing if all do.

    The sums are compared by when a call was settled. The trail is compared request by request: those with a call that
    was settled on that day, or with an event of that day that tells of a cost. One that has not ended yet differs, and
    so does one whose event is not in Log Analytics yet.

    Raises :class:`services.documents.StoreError`, :class:`services.logs.LogsUnavailable`.
    """
    begin, end = midnight(day), midnight(day + timedelta(days=1))
    of_the_day: Money = Counter()
    charged: dict[str, Money] = defaultdict(Counter)
    concerned: set[str] = set()
    async for call in ledger(store.budgets, team, begin - AROUND):
        request = call.id.partition(":")[0]
        charged[request][call.currency] += call.charged_micro
        if call.settled_at is not None and begin <= call.settled_at < end:
            of_the_day[call.currency] += call.charged_micro
            concerned.add(request)
    since = utc_text(begin - AROUND)
    kql = (
        "AuditEvents_CL | where EventType in ('request', 'endpoint.test', 'document.index')"
        f" and Team == '{team}' and EventTime >= datetime({since})"
        " | summarize arg_max(Revision, EventTime, CostMicro, Currency) by RequestId | where CostMicro > 0"
    )
    told: dict[str, Money] = defaultdict(Counter)
    for event in await audit_log.query(kql, utc_now() - begin + 2 * AROUND):
        told[event["RequestId"]][event["Currency"]] = event["CostMicro"]
        if begin <= event["EventTime"] < end:
            concerned.add(event["RequestId"])
    wrong = [request for request in concerned if charged[request] != told[request]]
    return [
        *_different("sums", of_the_day, await _summed(store, team, f"day:{day}")),
        *_different("sums by person", of_the_day, await _summed(store, team, f"persons:{day}")),
        *_different("trail", _total(charged, wrong), _total(told, wrong), len(wrong)),
    ]


async def _summed(store: Store, team: str, item_id: str) -> Money:
    document = await store.usage.read(item_id, team)
    money: Money = Counter()
    for row in Day.model_validate(document).rows if document else ():
        money[row.currency] += row.cost_micro
    return money


def _total(costs: dict[str, Money], requests: list[str]) -> Money:
    total: Money = Counter()
    for request in requests:
        total.update(costs[request])
    return total


def _different(
    between: Literal["sums", "sums by person", "trail"], ledger_: Money, other: Money, requests: int = 0
) -> list[Difference]:
    """By currency, what differs; with requests that do, also what they come to if that is the same."""
    return [
        Difference(between, currency, ledger_[currency], other[currency], requests)
        for currency in sorted(ledger_.keys() | other.keys())
        if requests or ledger_[currency] != other[currency]
    ]
