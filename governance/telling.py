"""Messages that must not be lost, to queues that others read: what is to be said is in the document that it is about.

``tell`` in a document is ``pending`` from the same write on as what it tells of, and ``sent`` once the queue has the
message. A process that dies in between, or a queue that takes nothing, leaves it to the sweep. A message may come
twice, with the same id.
"""

import asyncio
import logging
from typing import Any

from services.bus import Bus, BusUnavailable, message_of
from services.clock import utc_text
from services.documents import Document, Items, Patch, put

log = logging.getLogger(__name__)

TELL_SECONDS = 3.0
"""How long whoever made the change waits for the queue."""
PENDING = "pending"
SENT = "sent"


async def tell(items: Items, bus: Bus, partition: str, *documents: Document) -> bool:
    """Sends what the documents have to tell, all to the same queue (and session), and notes it.

    Does not raise because of the queue: False leaves them to the sweep.
    """
    told = {document["id"]: document["message"] for document in documents}
    messages = [
        message_of(
            each["body"],
            message_id=each["id"],
            session_id=each.get("session"),
            application_properties=each.get("properties"),
        )
        for each in told.values()
    ]
    [queue] = {each["queue"] for each in told.values()}
    try:
        async with asyncio.timeout(TELL_SECONDS):
            await bus.put(queue, *messages)
    except (BusUnavailable, TimeoutError) as error:
        left = ", ".join(each["id"] for each in told.values())
        log.warning("messages %s are left to the sweep: %s", left, type(error).__name__)
        return False
    sent = [
        Patch(each, [put("/tell", SENT)], f"from c where c.message.id = '{message['id']}'")
        for each, message in told.items()
    ]
    for each in await items.patch_each(partition, sent):
        log.info("message %s: its document has changed since", told[each]["id"])
    return True


async def tell_pending(items: Items, bus: Bus, key: str, before: Any) -> int:
    """The sweep: sends what is pending since before a time; ``key`` is the partition key of the container."""
    told = 0
    query = "SELECT * FROM c WHERE c.tell = @pending AND c.changed_at < @before"
    async for document in items.query(query, {"@pending": PENDING, "@before": utc_text(before)}):
        told += await tell(items, bus, document[key], document)
    return told
