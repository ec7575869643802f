"""Messages that must not be lost, to queues that others read: what is to be said is in the document that it is about.

``tell`` in a document is ``pending`` from the same write on as what it tells of, and ``sent`` once the queue has the
message. A process that dies in between, or a queue that takes nothing, leaves it to the sweep. A message may come
twice, with the same id.
"""

import asyncio
import logging
from typing import Any

from services.bus import Bus, BusUnavailable
from services.clock import utc_text
from services.documents import ConditionFailed, Document, ItemMissing, Items, put

log = logging.getLogger(__name__)

TELL_SECONDS = 3.0
"""How long whoever made the change waits for the queue."""
PENDING = "pending"
SENT = "sent"


async def tell(items: Items, bus: Bus, document: Document, partition: str) -> bool:
    """Sends what the document has to tell, and notes it. Does not raise: False leaves it to the sweep."""
    message = document["message"]
    try:
        async with asyncio.timeout(TELL_SECONDS):
            await bus.send(
                message["queue"],
                message["body"],
                message_id=message["id"],
                session_id=message.get("session"),
                properties=message.get("properties"),
            )
    except (BusUnavailable, TimeoutError) as error:
        log.warning("message %s is left to the sweep: %s", message["id"], type(error).__name__)
        return False
    try:
        where = f"from c where c.message.id = '{message['id']}'"
        await items.patch(document["id"], partition, [put("/tell", SENT)], where=where)
    except (ConditionFailed, ItemMissing):
        log.info("message %s: its document has changed since", message["id"])
    return True


async def tell_pending(items: Items, bus: Bus, key: str, before: Any) -> int:
    """The sweep: sends what is pending since before a time; ``key`` is the partition key of the container."""
    told = 0
    query = "SELECT * FROM c WHERE c.tell = @pending AND c.changed_at < @before"
    async for document in items.query(query, {"@pending": PENDING, "@before": utc_text(before)}):
        told += await tell(items, bus, document, document[key])
    return told
