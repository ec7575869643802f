"""The folder that an export is: its files, and how they are written and read."""

import hashlib
import json
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from services.clock import Timestamp
from services.documents import Items, Store

BLOBS = "blobs"


class FolderBroken(Exception):
    """The folder is no export, not a whole one, or was changed since. The message says what is wrong."""


class Listed(BaseModel):
    """A file of lines."""

    lines: int
    sha256: str


class Exported(BaseModel):
    """``export.json``."""

    v: int = 1
    product: str
    """The version that exported."""
    exported_at: Timestamp
    account: str
    """Of Cosmos DB, and its database."""
    lists: dict[str, Listed]
    """By container, and that of the files."""


class Imported(BaseModel):
    """``import.json``."""

    account: str
    begun_at: Timestamp
    completed_at: Timestamp | None = None


class File(BaseModel):
    """A line of ``blobs.jsonl``."""

    name: str
    size: int
    sha256: str


def containers(store: Store) -> dict[str, Items]:
    """By their names: whatever the product uses, also what it came to use since this was written."""
    return {name: items for name, items in vars(store).items() if isinstance(items, Items)}


class Folder:
    """One export."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Nobody but its owner reads it. What an earlier export said of it does not hold any more."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / BLOBS).mkdir(mode=0o700, exist_ok=True)
        self._exported.unlink(missing_ok=True)

    async def write(self, name: str, entries: AsyncIterable[dict[str, Any]]) -> Listed:
        """A list, whole or not at all."""
        digest, lines, part = hashlib.sha256(), 0, self.path / f"{name}.jsonl.part"
        with part.open("wb") as file:
            async for entry in entries:
                line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                digest.update(line)
                file.write(line)
                lines += 1
        part.replace(self.path / f"{name}.jsonl")
        return Listed(lines=lines, sha256=digest.hexdigest())

    def check(self, name: str, listed: Listed) -> None:
        """Raises :class:`FolderBroken` if the list is not what was written."""
        file = self.path / f"{name}.jsonl"
        if not file.is_file():
            raise FolderBroken(f"{file.name} is missing")
        with file.open("rb") as lines:
            if hashlib.file_digest(lines, "sha256").hexdigest() != listed.sha256:
                raise FolderBroken(f"{file.name} is not what was exported")

    def read(self, name: str) -> Iterator[dict[str, Any]]:
        with (self.path / f"{name}.jsonl").open("rb") as file:
            for line in file:
                yield json.loads(line)

    def blob(self, name: str) -> Path:
        """Where a file is kept. No name leads out of the folder."""
        return self.path / BLOBS / quote(name, safe="").replace(".", "%2E")

    @property
    def exported(self) -> Exported:
        """Raises :class:`FolderBroken`."""
        if not self._exported.is_file():
            raise FolderBroken("there is no export.json: the export did not come to its end")
        return Exported.model_validate_json(self._exported.read_bytes())

    @exported.setter
    def exported(self, told: Exported) -> None:
        self._exported.write_text(told.model_dump_json(indent=2) + "\n")

    @property
    def imported(self) -> Imported | None:
        """None if no import has begun."""
        return Imported.model_validate_json(self._imported.read_bytes()) if self._imported.is_file() else None

    @imported.setter
    def imported(self, told: Imported) -> None:
        self._imported.write_text(told.model_dump_json(indent=2) + "\n")

    @property
    def _exported(self) -> Path:
        return self.path / "export.json"

    @property
    def _imported(self) -> Path:
        return self.path / "import.json"
