"""Messages that must not be lost, to queues that others read: what is to be said is in the document that it is about,
or in one of its own, of several that are written together.

``tell`` in a document is ``pending`` from the same write on as what it tells of, and ``sent`` once the queue has the
message. A process that dies in between, or a queue that takes nothing, leaves it to the sweep. A message may come
twice, with the same id.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.bus import Bus, BusUnavailable, message_of
from services.clock import utc_now, utc_text, uuid7
from services.documents import ConditionFailed, Document, ItemMissing, Items, put

log = logging.getLogger(__name__)

type Message = dict[str, Any]
"""``queue``, ``id`` and ``body``; ``session`` and ``properties`` if it has them."""

TELL_SECONDS = 3.0
"""How long whoever made the change waits for the queue."""
KEPT_SECONDS = 86_400
"""How long a document that has nothing else to say stays once it has said it."""
PENDING = "pending"
SENT = "sent"


def telling_document(place: Mapping[str, str], messages: Sequence[Message]) -> Document:
    """A document that has nothing else to say; ``place`` is its partition's key and value."""
    now = utc_text(utc_now())
    told = {"tell": PENDING, "messages": list(messages), "changed_at": now, "ttl": -1}
    return {**place, "id": uuid7(), "type": "telling", "v": 1, **told}


async def tell(items: Items, bus: Bus, partition: str, document: Document) -> bool:
    """Sends what the document has to tell, all to one queue (and session), and notes it.

    Does not raise because of the queue: False leaves it to the sweep.
    """
    of_its_own = "messages" in document
    told: list[Message] = document["messages"] if of_its_own else [document["message"]]
    messages = [
        message_of(
            each["body"],
            message_id=each["id"],
            session_id=each.get("session"),
            application_properties=each.get("properties"),
        )
        for each in told
    ]
    [queue] = {each["queue"] for each in told}
    try:
        async with asyncio.timeout(TELL_SECONDS):
            await bus.put(queue, *messages)
    except (BusUnavailable, TimeoutError) as error:
        log.warning("the messages of %s are left to the sweep: %s", document["id"], type(error).__name__)
        return False
    change = [put("/tell", SENT)]
    if of_its_own:
        change.append(put("/ttl", KEPT_SECONDS))
    unchanged = "from c where c.tell = 'pending'" if of_its_own else f"from c where c.message.id = '{told[0]['id']}'"
    try:
        await items.patch(document["id"], partition, change, where=unchanged)
    except (ConditionFailed, ItemMissing):
        log.info("message %s: its document has changed since", told[0]["id"])
    return True


async def tell_pending(items: Items, bus: Bus, key: str, before: Any) -> int:
    """The sweep: sends what is pending since before a time; ``key`` is the partition key of the container."""
    told = 0
    query = "SELECT * FROM c WHERE c.tell = @pending AND c.changed_at < @before"
    async for document in items.query(query, {"@pending": PENDING, "@before": utc_text(before)}):
        told += await tell(items, bus, document[key], document)
    return told
