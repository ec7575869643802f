"""From the ``audit`` queue into Log Analytics, in batches."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, List, NamedTuple  # noqa: UP035 - the worker library does not take list[...] in an annotation

import azure.durable_functions as df
import azure.functions as func

from governance.audit import NOTES, Reference, items_of, mark_rejected, mark_written, rows_of
from governance.changes import Journal, change_event
from services.bus import AUDIT, AUDIT_REJECTED
from services.clock import uuid7
from services.documents import ConditionFailed, Items
from services.logs import LogsUnavailable, Rejected
from services.platform import Platform, platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

REJECTED_EVENT = "audit.reject"


type Mark = Callable[[Items, Reference, int], Awaitable[None]]


class Pending(NamedTuple):
    """An event that is to be uploaded, and where it is kept."""

    reference: Reference
    event: dict[str, Any]


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
    references = [Reference.model_validate(json.loads(message.get_body())) for message in messages]
    once_each = {reference.id: reference for reference in references}.values()
    found = await asyncio.gather(*(_pending(services, each) for each in once_each))
    events = [each for each in found if each is not None]
    try:
        rejected = await services.audit_log.upload([row for each in events for row in rows_of(each.event)])
    except LogsUnavailable as error:
        log.warning("%d audit events stay pending: %s", len(events), error)
        return
    refused = {row["EventId"] for row, _ in rejected}
    await _set_aside(services, [each for each in events if each.event["EventId"] in refused], rejected)
    taken = [each for each in events if each.event["EventId"] not in refused]
    await asyncio.gather(*(_mark(services, reference, event, mark_written) for reference, event in taken))


async def _pending(services: Platform, reference: Reference) -> Pending | None:
    document = await items_of(services.store, reference.container).read(reference.id, reference.partition)
    if document is None or document["audit"]["status"] != "pending":
        return None
    return Pending(reference, document["audit"]["event"])


async def _set_aside(services: Platform, events: Sequence[Pending], rejected: Sequence[Rejected]) -> None:
    """Rows that Log Analytics does not take are kept where somebody looks at them, who is told by an event."""
    for row, status in rejected:
        log.error("audit event %s, part %d, is rejected with status %d", row["EventId"], row["Part"], status)
        kept = {"v": 1, "status": status, "row": row}
        await services.bus.send(AUDIT_REJECTED, kept, message_id=uuid7())
    statuses = {row["EventId"]: status for row, status in rejected}
    for reference, event in events:
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
        await _mark(services, reference, event, mark_rejected)


async def _mark(services: Platform, reference: Reference, event: dict[str, Any], mark: Mark) -> None:
    try:
        await mark(items_of(services.store, reference.container), reference, event["Revision"])
    except ConditionFailed:
        log.info("event %s changed while it was uploaded", reference.id)
