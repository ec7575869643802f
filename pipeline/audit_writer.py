"""From the ``audit`` queue into Log Analytics, in batches."""

import json
import logging
from typing import List  # noqa: UP035 - the worker library does not take list[...] in an annotation

import azure.durable_functions as df
import azure.functions as func

from governance.audit import Reference, items_of, mark_written
from services.bus import AUDIT
from services.documents import ConditionFailed
from services.logs import LogsUnavailable
from services.platform import platform

log = logging.getLogger(__name__)

bp = df.Blueprint()


@bp.service_bus_queue_trigger(
    arg_name="messages", queue_name=AUDIT, connection="SERVICEBUS", cardinality=func.Cardinality.MANY
)
async def write_audit(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    """Upload the pending events that the messages name, then mark them written.

    An event that was not uploaded stays pending, and the sweep sends it again every few minutes: so does one that
    changed meanwhile. Whatever else fails fails the batch, and the queue hands it out again. An event that was uploaded
    twice counts once, by its id.
    """
    services = await platform()
    references = [Reference.model_validate(json.loads(message.get_body())) for message in messages]
    uploaded: list[tuple[Reference, int]] = []
    events = []
    for reference in {reference.id: reference for reference in references}.values():
        document = await items_of(services.store, reference.container).read(reference.id, reference.partition)
        if document is not None and document["audit"]["status"] == "pending":
            events.append(document["audit"]["event"])
            uploaded.append((reference, document["audit"]["revision"]))
    try:
        await services.audit_log.upload(events)
    except LogsUnavailable as error:
        log.warning("%d audit events stay pending: %s", len(events), error)
        return
    for reference, revision in uploaded:
        try:
            await mark_written(items_of(services.store, reference.container), reference, revision)
        except ConditionFailed:
            log.info("event %s changed while it was uploaded", reference.id)
