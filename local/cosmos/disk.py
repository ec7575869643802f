"""The data folder: one SQLite file, written before an operation is acknowledged.

What changes together is one SQLite transaction. What was acknowledged survives the end of the process (SIGKILL too),
not the loss of power. What was deleted or replaced is gone from the file (``secure_delete``) and, when the operation is
acknowledged, from its rollback journal too: whoever searches the folder finds live items only.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class StoredItem(NamedTuple):
    partition: str
    id: str
    sequence: int
    lsn: int
    body: bytes


class Disk:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "cosmos.sqlite", isolation_level=None)
        self._database.executescript(
            """
            PRAGMA journal_mode = TRUNCATE;
            PRAGMA synchronous = OFF;
            PRAGMA secure_delete = ON;
            CREATE TABLE IF NOT EXISTS items (
                container TEXT, "partition" TEXT, id TEXT, sequence INTEGER, lsn INTEGER, body BLOB,
                PRIMARY KEY (container, "partition", id)
            ) WITHOUT ROWID;
            """
        )

    def load(self, container: str) -> list[StoredItem]:
        """The items of a container in the order in which they were created."""
        rows = self._database.execute(
            'SELECT "partition", id, sequence, lsn, body FROM items WHERE container = ? ORDER BY sequence', [container]
        )
        return [StoredItem(*row) for row in rows]

    def save(self, container: str, written: Iterable[StoredItem], deleted: Iterable[tuple[str, str]]) -> None:
        """Both or neither. ``deleted`` names items by partition and id."""
        self._database.execute("BEGIN")
        try:
            self._database.executemany(
                "REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)", [(container, *item) for item in written]
            )
            self._database.executemany(
                'DELETE FROM items WHERE container = ? AND "partition" = ? AND id = ?',
                [(container, *key) for key in deleted],
            )
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()
