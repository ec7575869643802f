"""The blobs, in memory and, with a folder, in one SQLite file: what was acknowledged survives the end of the process,
and what was deleted or replaced is gone from the file.

Nothing in here awaits: that makes an operation atomic.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

UNCOMMITTED_SECONDS = 7 * 86_400
"""https://learn.microsoft.com/rest/api/storageservices/put-block#remarks"""


@dataclass(frozen=True)
class Blob:
    content: bytes
    content_type: str
    modified: float
    etag: str
    blocks: tuple[tuple[str, int], ...] = ()
    """The ids of its blocks and their sizes, in their order; none of a blob that was put as one."""

    def committed(self) -> dict[str, bytes]:
        """The blocks by their ids."""
        found: dict[str, bytes] = {}
        first = 0
        for block, size in self.blocks:
            found[block] = self.content[first : first + size]
            first += size
        return found


@dataclass
class _Uncommitted:
    """Blocks by their ids, and when the last of them came."""

    blocks: dict[str, bytes] = field(default_factory=dict)
    at: float = 0.0


type _Key = tuple[str, str]
"""Container and name."""


class BlockUnknown(Exception):
    """A list names a block that is not there."""


class Blobs:
    def __init__(
        self, containers: Iterable[str], folder: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.containers = frozenset(containers)
        self._clock = clock
        self._blobs: dict[_Key, Blob] = {}
        self._uncommitted: dict[_Key, _Uncommitted] = {}
        self._disk = _opened(folder) if folder else None
        if self._disk:
            for container, name, content, content_type, modified, etag, blocks in self._disk.execute(
                "SELECT * FROM blobs"
            ):
                listed = tuple((block, size) for block, size in json.loads(blocks))
                self._blobs[container, name] = Blob(content, content_type, modified, etag, listed)

    def find(self, container: str, name: str) -> Blob | None:
        return self._blobs.get((container, name))

    def names(self, container: str) -> list[str]:
        """In their order."""
        return sorted(name for place, name in self._blobs if place == container)

    def put(
        self, container: str, name: str, content: bytes, content_type: str, blocks: tuple[tuple[str, int], ...] = ()
    ) -> Blob:
        """It is what it is from now on; blocks that were not committed are dropped."""
        blob = Blob(content, content_type, self._clock(), f'"0x{uuid.uuid4().hex[:15].upper()}"', blocks)
        if self._disk:
            row = (container, name, blob.content, blob.content_type, blob.modified, blob.etag, json.dumps(blocks))
            self._disk.execute("REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._blobs[container, name] = blob
        self._uncommitted.pop((container, name), None)
        return blob

    def put_block(self, container: str, name: str, block: str, content: bytes) -> None:
        """Kept in memory only: who uploads when the process ends begins anew."""
        self._drop_old()
        waiting = self._uncommitted.setdefault((container, name), _Uncommitted())
        waiting.blocks[block] = content
        waiting.at = self._clock()

    def commit(self, container: str, name: str, listed: Sequence[tuple[str, str]], content_type: str) -> Blob:
        """Of blocks by where each is looked for (``Uncommitted``, ``Committed``, or ``Latest``: in the one, then in the
        other) and its id. Raises :class:`BlockUnknown`."""
        self._drop_old()
        blob = self.find(container, name)
        committed = blob.committed() if blob else {}
        uncommitted = self._uncommitted.get((container, name), _Uncommitted()).blocks
        places = {"Uncommitted": uncommitted, "Committed": committed, "Latest": committed | uncommitted}
        try:
            contents = [places[place][block] for place, block in listed]
        except KeyError:
            raise BlockUnknown from None
        blocks = tuple((block, len(content)) for (_, block), content in zip(listed, contents, strict=True))
        return self.put(container, name, b"".join(contents), content_type, blocks)

    def delete(self, container: str, name: str) -> None:
        if self._disk:
            self._disk.execute("DELETE FROM blobs WHERE container = ? AND name = ?", (container, name))
        del self._blobs[container, name]

    def dump(self) -> Iterator[str]:
        """What there is, blocks that were never committed too: the place, a tab, the content as far as it is text."""
        for (container, name), blob in self._blobs.items():
            yield f"{container}/{name}\t{blob.content.decode(errors='replace')}\n"
        for (container, name), waiting in self._uncommitted.items():
            for content in waiting.blocks.values():
                yield f"{container}/{name} (uncommitted)\t{content.decode(errors='replace')}\n"

    def close(self) -> None:
        if self._disk:
            self._disk.close()

    def _drop_old(self) -> None:
        horizon = self._clock() - UNCOMMITTED_SECONDS
        for key in [key for key, waiting in self._uncommitted.items() if waiting.at < horizon]:
            del self._uncommitted[key]


def _opened(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    disk = sqlite3.connect(folder / "blobs.sqlite", isolation_level=None)
    disk.executescript(
        """
        PRAGMA journal_mode = TRUNCATE;
        PRAGMA synchronous = OFF;
        PRAGMA secure_delete = ON;
        CREATE TABLE IF NOT EXISTS blobs (
            container TEXT, name TEXT, content BLOB, type TEXT, modified REAL, etag TEXT, blocks TEXT,
            PRIMARY KEY (container, name)
        ) WITHOUT ROWID;
        """
    )
    return disk
