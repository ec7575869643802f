"""Everything out: documents line by line, files one by one, so that nothing is held but the largest of them."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from moving.folder import BLOBS, Exported, File, Folder, containers
from moving.under_way import under_way
from services.blobs import Blobs
from services.clock import utc_now
from services.documents import Document, Items
from services.platform import Platform
from services.version import VERSION

KEPT = "_ts"
"""The one property of Cosmos DB's own that is exported: when the document was last written."""


class WorkUnderWay(Exception):
    """Something is not finished: an export now would tear it in two. The message says what."""


async def export(services: Platform, folder: Folder) -> dict[str, int]:
    """How many documents each container has, and how many files there are. It may be repeated: lists are written anew,
    files that are there already are left, since a file's name stands for what is in it.

    Raises :class:`WorkUnderWay`, :class:`services.documents.StoreError`, :class:`services.blobs.BlobError`,
    :class:`services.bus.BusUnavailable`.
    """
    unfinished = await under_way(services)
    if unfinished:
        raise WorkUnderWay(", ".join(f"{number} {what}" for what, number in unfinished.items()))
    folder.make()
    lists = {name: await folder.write(name, _documents(items)) for name, items in containers(services.store).items()}
    if services.blobs is not None:
        lists[BLOBS] = await folder.write(BLOBS, _files(services.blobs, folder))
    folder.exported = Exported(product=VERSION, exported_at=utc_now(), account=account_of(services), lists=lists)
    return {name: listed.lines for name, listed in lists.items()}


def account_of(services: Platform) -> str:
    return f"{services.settings.cosmos_endpoint}/{services.settings.cosmos_database}"


async def _documents(items: Items) -> AsyncIterator[Document]:
    async for document in items.query("SELECT * FROM c"):
        yield {name: value for name, value in document.items() if not name.startswith("_") or name == KEPT}


async def _files(blobs: Blobs, folder: Folder) -> AsyncIterator[dict[str, Any]]:
    async for name in blobs.names():
        there = folder.blob(name)
        if not there.exists():
            part = there.with_name(f"{there.name}.part")
            part.write_bytes(await blobs.read(name))
            part.replace(there)
        with there.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield File(name=name, size=file.tell(), sha256=sha256).model_dump()
