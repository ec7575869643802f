"""A Service Bus namespace: its queues, who may come in, and what is shared by all connections."""

import json
from typing import TYPE_CHECKING

from local.servicebus.entity import Queue
from local.servicebus.errors import not_found, not_implemented
from local.servicebus.settings import Entities
from local.servicebus.store import Store
from local.standin import Control

if TYPE_CHECKING:
    from local.servicebus.connection import Connection

_DEAD_LETTERS = "/$deadletterqueue"


class Namespace:
    """Holds every queue and its dead-letter queue, by lower-case path."""

    def __init__(self, entities: Entities, store: Store, control: Control, keys: dict[str, str]) -> None:
        self.store = store
        self.control = control
        self.keys = keys
        """Shared access keys by name."""
        self.connections: set[Connection] = set()
        self._queues: dict[str, Queue] = {}
        for name, settings in entities.queues.items():
            without_sessions = settings.model_copy(
                update={"sessions": False, "duplicate_detection_seconds": None, "ttl_seconds": None}
            )
            dead_letters = Queue(name + _DEAD_LETTERS, without_sessions, store, None)
            self._queues[dead_letters.name.lower()] = dead_letters
            self._queues[name.lower()] = Queue(name, settings, store, dead_letters)

    def find(self, path: str) -> Queue:
        """The queue at this lower-case path. Raises Refused."""
        if "/subscriptions/" in path:
            raise not_implemented("topics and subscriptions")
        queue = self._queues.get(path)
        if queue is None:
            raise not_found(path)
        return queue

    def counts(self) -> dict[str, dict[str, int]]:
        return {queue.name: queue.counts() for queue in self._queues.values() if queue.dead_letters}

    def dump(self) -> str:
        """Every message of every queue, as JSON."""
        return json.dumps(
            {
                queue.name: [
                    {
                        "sequence_number": message.sequence_number,
                        "delivery_count": message.delivery_count,
                        "locked": message.lock is not None,
                        **message.text(),
                    }
                    for message in queue.messages.values()
                ]
                for queue in self._queues.values()
            },
            ensure_ascii=False,
            indent=1,
        )
