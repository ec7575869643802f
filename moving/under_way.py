"""Is anything under way? It would be torn in two: half of it exported, half of it in a queue that is left behind."""

import asyncio

from governance.audit import CONTAINERS, items_of
from routing.library import UNDER_WAY
from services import queues
from services.bus import ALERTS, AUDIT, AUDIT_REJECTED, DOCUMENTS, REQUESTS
from services.documents import Items
from services.platform import Platform

QUEUES = (REQUESTS, AUDIT, DOCUMENTS, ALERTS, AUDIT_REJECTED)
"""Whose messages the product works on, or which say what is nowhere else."""


async def under_way(services: Platform) -> dict[str, int]:
    """How many there are of whatever is not finished, by what it is; nothing where all is at rest.

    Raises :class:`services.documents.StoreError`, :class:`services.bus.BusUnavailable`.
    """
    store = services.store
    documents = ", ".join(f"'{state}'" for state in ("uploading", *UNDER_WAY, "removed"))
    found = {
        "requests without an answer": await _count(
            store.requests, "c.state IN ('queued', 'running') OR (c.state = 'recorded' AND NOT IS_DEFINED(c.problem))"
        ),
        "calls of a model": await _count(
            store.budgets, "c.kind = 'reservation' AND c.state IN ('reserved', 'calling')"
        ),
        "uploads": await _count(store.chunks, f"c.type = 'document' AND c.state IN ({documents})"),
    }
    for container in CONTAINERS:
        events = await _count(items_of(store, container), "c.audit.status = 'pending'")
        found[f"events of {container} that are not in Log Analytics"] = events
    depths = await asyncio.gather(*(queues.depth(services.bus, name) for name in QUEUES))
    for name, depth in zip(QUEUES, depths, strict=True):
        found[f"messages in {name}"] = depth.messages or 0  # of one with sessions nobody can tell
        found[f"messages given up in {name}"] = depth.dead_letters
    return {what: number for what, number in found.items() if number}


async def _count(items: Items, condition: str) -> int:
    query = f"SELECT VALUE c.id FROM c WHERE {condition}"  # noqa: S608 - of this module
    return len([each async for each in items.query(query)])
