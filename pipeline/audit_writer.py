"""From the ``audit`` queue into Log Analytics, in batches."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, List, Literal, NamedTuple  # noqa: UP035 - the worker library does not take list[...] in an annotation

import azure.durable_functions as df
import azure.functions as func

from governance.audit import NOTES, Container, Reference, events_in, items_of, marked, rows_of
from governance.changes import Journal, change_event
from services.bus import AUDIT, AUDIT_REJECTED
from services.clock import uuid7
from services.logs import LogsUnavailable, Rejected
from services.platform import Platform, platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

REJECTED_EVENT = "audit.reject"


type Place = tuple[Container, str]
"""A container and a partition of it."""


class Pending(NamedTuple):
    """Events that are to be uploaded and are kept in one document, and where that is."""

    reference: Reference
    revision: int
    events: list[dict[str, Any]]

    def among(self, ids: Collection[str]) -> bool:
        """Whether one of them is."""
        return any(each["EventId"] in ids for each in self.events)


@bp.service_bus_queue_trigger(
    arg_name="messages", queue_name=AUDIT, connection="SERVICEBUS", cardinality=func.Cardinality.MANY
)
async def write_audit(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    """Upload the pending events that the messages name, then mark them written.

    An event that was not uploaded stays pending, and the sweep sends it again every few minutes: so does one that
    changed meanwhile. One that Log Analytics does not take goes to a queue of its own, and an event tells of that.
    Whatever else fails fails the batch, and the queue hands it out again. An event that was uploaded twice counts once,
    by its id.
    """
    services = await platform()
    references = [Reference.model_validate_json(message.get_body()) for message in messages]
    found = await asyncio.gather(*(_pending(services, place, each) for place, each in _by_place(references).items()))
    kept = list(chain.from_iterable(found))
    events = [event for each in kept for event in each.events]
    try:
        rejected = await services.audit_log.upload([row for each in events for row in rows_of(each)])
    except LogsUnavailable as error:
        log.warning("%d audit events stay pending: %s", len(events), error)
        return
    refused = {row["EventId"] for row, _ in rejected}
    await _set_aside(services, [each for each in events if each["EventId"] in refused], rejected)
    await _mark(services, [each for each in kept if each.among(refused)], "rejected")
    await _mark(services, [each for each in kept if not each.among(refused)], "written")


def _by_place(references: Iterable[Reference]) -> dict[Place, list[Reference]]:
    """Each once: what is kept together is read and marked together."""
    places: dict[Place, dict[str, Reference]] = defaultdict(dict)
    for each in references:
        places[each.container, each.partition][each.id] = each
    return {place: list(found.values()) for place, found in places.items()}


async def _pending(services: Platform, place: Place, references: Sequence[Reference]) -> list[Pending]:
    container, partition = place
    of = {each.id: each for each in references}
    documents = await items_of(services.store, container).read_each(list(of), partition)
    return [
        Pending(of[each["id"]], each["audit"]["revision"], events_in(each))
        for each in documents
        if each["audit"]["status"] == "pending"
    ]


async def _set_aside(services: Platform, events: Sequence[dict[str, Any]], rejected: Sequence[Rejected]) -> None:
    """Rows that Log Analytics does not take are kept where somebody looks at them, who is told by an event."""
    for row, status in rejected:
        log.error("audit event %s, part %d, is rejected with status %d", row["EventId"], row["Part"], status)
        kept = {"v": 1, "status": status, "row": row}
        await services.bus.send(AUDIT_REJECTED, kept, message_id=uuid7())
    statuses = {row["EventId"]: status for row, status in rejected}
    for event in events:
        if event["EventType"] != REJECTED_EVENT:  # of which the next would be rejected as well
            told = change_event(
                REJECTED_EVENT,
                actor="",
                target=event["EventId"],
                reason=f"status {statuses[event['EventId']]}",
                Team=event["Team"],
                RequestId=event["RequestId"],
            )
            await Journal(services.store, services.bus).note("config", NOTES, told)


async def _mark(services: Platform, kept: Sequence[Pending], status: Literal["written", "rejected"]) -> None:
    revisions = {each.reference.id: each.revision for each in kept}

    async def mark(place: Place, references: Sequence[Reference]) -> None:
        container, partition = place
        patches = [marked(each, revisions[each.id], status) for each in references]
        for each in await items_of(services.store, container).patch_each(partition, patches):
            log.info("event %s changed while it was uploaded", each)

    places = _by_place(each.reference for each in kept)
    await asyncio.gather(*(mark(place, references) for place, references in places.items()))
