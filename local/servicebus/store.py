"""What survives a restart: messages and the message ids that duplicate detection remembers. SQLite.

Writes are gathered into one transaction per turn of the event loop; ``commit`` is called before an answer leaves, so
that nothing is acknowledged that could be lost. The write-ahead log survives SIGKILL; a power failure may lose its end.
Locks are not kept: after a restart every message is available again and the former lock tokens are worth nothing.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.servicebus.message import Message, parse

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS message (
    sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    enqueued REAL NOT NULL,
    delivery_count INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS seen (
    queue TEXT NOT NULL,
    message_id TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (queue, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (queue, at);
"""


class Store:
    """Opens, and makes where there is none, the database in ``folder``; without a folder it is in memory.

    Sequence numbers are one series over all queues: a message that is dead-lettered keeps its own.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "servicebus.db" if folder else ":memory:", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._open = False

    def add(self, queue: str, message: Message) -> None:
        """Store a new message and give it its sequence number."""
        values = (queue, message.enqueued, message.delivery_count, message.content())
        statement = "INSERT INTO message (queue, enqueued, delivery_count, content) VALUES (?, ?, ?, ?)"
        message.sequence_number = self._execute(statement, *values).lastrowid or 0

    def move(self, message: Message, queue: str) -> None:
        """Put a message, whose content may have changed, into another queue."""
        statement = "UPDATE message SET queue = ?, content = ? WHERE sequence_number = ?"
        self._execute(statement, queue, message.content(), message.sequence_number)

    def failed(self, message: Message) -> None:
        """Store the message's delivery count."""
        statement = "UPDATE message SET delivery_count = ? WHERE sequence_number = ?"
        self._execute(statement, message.delivery_count, message.sequence_number)

    def remove(self, message: Message) -> None:
        self._execute("DELETE FROM message WHERE sequence_number = ?", message.sequence_number)

    def first_seen(self, queue: str, message_id: str, now: float, window: float) -> bool:
        """Whether the queue has not seen this id within the window (seconds); it has, from now on."""
        self._execute("DELETE FROM seen WHERE queue = ? AND at < ?", queue, now - window)
        return self._execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", queue, message_id, now).rowcount == 1

    def load(self, queue: str) -> Iterator[Message]:
        """The queue's messages in order."""
        statement = "SELECT sequence_number, enqueued, delivery_count, content FROM message WHERE queue = ? ORDER BY 1"
        for sequence_number, enqueued, delivery_count, content in self._database.execute(statement, (queue,)):
            message = parse(content)
            message.sequence_number, message.enqueued = sequence_number, enqueued
            message.delivery_count = delivery_count
            yield message

    def commit(self) -> None:
        if self._open:
            self._open = False
            self._database.execute("COMMIT")

    def close(self) -> None:
        self.commit()
        self._database.close()

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if not self._open:
            self._database.execute("BEGIN")
            self._open = True
            # What a timer changes is followed by no answer that would commit it.
            asyncio.get_running_loop().call_soon(self.commit)
        return self._database.execute(statement, values)
