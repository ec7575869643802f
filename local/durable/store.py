"""Where instances are kept across restarts: one SQLite row each, rewritten at every change.

A write is in the operating system's hands when it returns, so it survives the death of this process; it need not
survive that of the machine.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import durabletask.internal.orchestrator_service_pb2 as pb

from local.durable.instance import Instance


class Store:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "durable.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS instances (id TEXT PRIMARY KEY, state BLOB, history BLOB, inbox BLOB)"
        )

    def save(self, instance: Instance) -> None:
        self._database.execute(
            "INSERT INTO instances VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET state = excluded.state, history = excluded.history, inbox = excluded.inbox",
            (
                instance.id,
                instance.state.SerializeToString(),
                pb.HistoryChunk(events=instance.history).SerializeToString(),
                pb.HistoryChunk(events=instance.inbox).SerializeToString(),
            ),
        )

    def delete(self, instance_id: str) -> None:
        self._database.execute("DELETE FROM instances WHERE id = ?", (instance_id,))

    def load(self) -> Iterator[Instance]:
        for state, history, inbox in self._database.execute(
            "SELECT state, history, inbox FROM instances ORDER BY rowid"
        ):
            yield Instance(
                pb.OrchestrationState.FromString(state),
                list(pb.HistoryChunk.FromString(history).events),
                list(pb.HistoryChunk.FromString(inbox).events),
            )

    def close(self) -> None:
        self._database.close()
