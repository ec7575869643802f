"""What the timers put right: requests that were given up, events that did not reach the trail."""

import logging
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from governance import requests, reservations
from governance.audit import (
    PARTITION_KEYS,
    Container,
    Reference,
    announce_again,
    happened,
    items_of,
    reference_to_request,
)
from governance.problems import Problem
from governance.release import release
from governance.request import Request
from governance.requests import KeptResults
from governance.reservations import Reservation, Usage
from services.bus import Bus
from services.clock import utc_now, utc_text
from services.documents import ConditionFailed, ItemMissing, Items, Store
from services.logs import AuditLog

log = logging.getLogger(__name__)

LATE = timedelta(days=1)
"""How much later than it happened Log Analytics may have been given an event that is looked for."""

ABANDONED = Problem(type="abandoned", detail="The request was stored but never started; nothing was sent to a model.")
STUCK = Problem(type="not-available", detail="The request was started and did not end in time.")


async def give_up(store: Store, bus: Bus, state: str, before: datetime, problem: Problem, ttl_seconds: int) -> int:
    """Ends the requests that are in ``state`` since before a time, with their audit event; erases their raw text."""
    ended = 0
    query = "SELECT * FROM c WHERE c.state = @state AND c.created_at < @before"
    async for document in store.requests.query(query, {"@state": state, "@before": utc_text(before)}):
        try:
            request = Request.model_validate(document)
        except ValidationError:
            log.error("request %s: its document can't be read", document.get("id"))
            continue
        try:
            attempts = await reservations.attempts_of(store.budgets, request.team, request.id)
            await requests.record(store.requests, request, problem, attempts, ttl_seconds)
        except ConditionFailed:
            continue  # it went on, or ended
        await announce_again(bus, reference_to_request(request.id))
        ended += 1
    return ended


def kept_usage(store: Store) -> reservations.KeptUsage:
    """What the request's document holds of a call whose worker died before it settled."""

    async def kept(reservation: Reservation) -> Usage | None:
        completion = await KeptResults(store.requests, reservation.request_id).kept(reservation.id)
        return None if completion is None else Usage.model_validate(completion)

    return kept


async def release_written(store: Store, bus: Bus, before: datetime) -> int:
    """Lets the answers go that were recorded before a time, are in the trail, and whose release never ran."""
    released = 0
    query = "SELECT * FROM c WHERE c.state = 'recorded' AND c.audit.status = 'written' AND c.ended_at < @before"
    async for document in store.requests.query(query, {"@before": utc_text(before)}):
        await release(store, bus, Request.model_validate(document))
        released += 1
    return released


async def forget_values(store: Store, before: datetime) -> int:
    """Erases what callers' placeholders stand for in the answers that nobody fetched since before a time."""
    forgotten = 0
    query = "SELECT c.id FROM c WHERE is_defined(c.sealed) AND c.ended_at < @before"
    async for document in store.requests.query(query, {"@before": utc_text(before)}):
        await requests.forget_sealed(store.requests, document["id"])
        forgotten += 1
    return forgotten


async def announce_pending(store: Store, bus: Bus, before: datetime) -> int:
    """Sends the audit events again that are pending since before a time."""
    sent = 0
    query = f"SELECT * FROM c WHERE c.audit.status = 'pending' AND {happened('< @before')}"  # noqa: S608 - of ours
    parameters = {"@before": utc_text(before)}
    async for document in store.requests.query(query, parameters):
        await announce_again(bus, reference_to_request(document["id"]))
        sent += 1
    for container, key in PARTITION_KEYS.items():
        async for document in items_of(store, container).query(query, parameters):
            await announce_again(bus, Reference(container=container, partition=document[key], id=document["id"]))
            sent += 1
    return sent


class Compared(NamedTuple):
    events: int
    """That are marked written."""
    missing: int
    """Of these, not in Log Analytics."""


async def reconcile(store: Store, audit_log: AuditLog, until: datetime, over: timedelta) -> Compared:
    """Makes pending again what is marked written and is not in Log Analytics.

    ``until`` leaves out what Log Analytics may still be ingesting (minutes are normal).
    """
    begin, end = utc_text(until - over), utc_text(until)
    kql = (
        f"AuditEvents_CL | where EventTime >= datetime({begin}) and EventTime < datetime({end})"
        " | summarize Revision = max(Revision) by EventId"
    )
    since = utc_now() - until + over + LATE
    there = {row["EventId"]: row["Revision"] for row in await audit_log.query(kql, since)}
    events = missing = 0
    written = f"FROM c WHERE c.audit.status = 'written' AND {happened('>= @begin')} AND {happened('< @end')}"
    keys: list[tuple[Container, str]] = [("requests", "id"), *PARTITION_KEYS.items()]
    for container, key in keys:
        items = items_of(store, container)
        query = f"SELECT c.id, c.{key} AS key, c.audit.revision, c.audit.ids {written}"
        async for document in items.query(query, {"@begin": begin, "@end": end}):
            ids = document.get("ids", [document["id"]])
            events += len(ids)
            if any(there.get(each, 0) < document["revision"] for each in ids):
                missing += await _make_pending(items, container, document["id"], document["key"])
    return Compared(events, missing)


async def _make_pending(items: Items, container: Container, item_id: str, partition: str) -> bool:
    change: list[dict[str, Any]] = [{"op": "set", "path": "/audit/status", "value": "pending"}]
    if container != "requests":
        change.append({"op": "set", "path": "/ttl", "value": -1})  # it expires once it is written, and not before
    try:
        await items.patch(item_id, partition, change, where="from c where c.audit.status = 'written'")
    except (ConditionFailed, ItemMissing):
        return False  # pending already, or expired
    return True
