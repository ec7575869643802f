"""Everything in, into an account that has nothing yet. What is there is never written over: an import that broke off is
begun again and goes on, and one that is through does nothing more."""

import asyncio
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator

from moving.exporting import KEPT, account_of
from moving.folder import BLOBS, File, Folder, FolderBroken, Imported, containers
from services.blobs import Blobs
from services.clock import utc_now
from services.documents import Document, ItemExists, Items
from services.platform import Platform

AT_ONCE = 32
"""Documents that are written side by side."""


class NotEmpty(Exception):
    """The account has documents that no import of this folder brought: it would be mixed with them."""


async def import_(services: Platform, folder: Folder) -> dict[str, Counter[str]]:
    """By container: how many were ``imported``, were ``there`` from a try before, or had ``expired`` meanwhile.

    Raises :class:`moving.folder.FolderBroken`, :class:`NotEmpty`, :class:`services.documents.StoreError`,
    :class:`services.blobs.BlobError`.
    """
    stores, lists = containers(services.store), folder.exported.lists
    unknown = lists.keys() - stores.keys() - {BLOBS}
    if unknown:
        raise FolderBroken(f"this version of the product has no {', '.join(sorted(unknown))}")
    for name, listed in lists.items():
        folder.check(name, listed)
    if lists.get(BLOBS) and lists[BLOBS].lines and services.blobs is None:
        raise FolderBroken("there are files, and the setting BLOBS_ENDPOINT is not set")
    begun = await _begun(services, folder)
    if begun.completed_at is not None:
        return {}
    found: dict[str, Counter[str]] = {}
    if services.blobs is not None and BLOBS in lists:
        found[BLOBS] = await _files(services.blobs, folder)
    for name in sorted(lists.keys() - {BLOBS}):
        found[name] = await _documents(stores[name], folder, name)
    folder.imported = begun.model_copy(update={"completed_at": utc_now()})
    return found


async def _begun(services: Platform, folder: Folder) -> Imported:
    """This folder's import into this account: what it noted before, or its beginning."""
    account = account_of(services)
    begun = folder.imported
    if begun is not None and begun.account == account:
        return begun
    for name, items in containers(services.store).items():
        async for _ in items.query("SELECT VALUE c.id FROM c"):
            raise NotEmpty(f"{account} has documents in {name}")
    begun = Imported(account=account, begun_at=utc_now())
    folder.imported = begun
    return begun


async def _documents(items: Items, folder: Folder, name: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for some in itertools.batched(folder.read(name), AT_ONCE, strict=False):
        found.update(await asyncio.gather(*(_put_in(items, document) for document in some)))
    return found


async def _put_in(items: Items, document: Document) -> str:
    written = document.pop(KEPT)
    if document.get("ttl", -1) > 0:
        document["ttl"] += written - int(time.time())
        if document["ttl"] <= 0:
            return "expired"
    try:
        await items.create(document)
    except ItemExists:
        return "there"
    return "imported"


async def _files(blobs: Blobs, folder: Folder) -> Counter[str]:
    there = {name async for name in blobs.names()}
    found: Counter[str] = Counter()
    for line in folder.read(BLOBS):
        file = File.model_validate(line)
        if file.name in there:
            found["there"] += 1
            continue
        content = folder.blob(file.name).read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise FolderBroken(f"the file {file.name} is not what was exported")
        await blobs.keep_file(file.name, _whole(content), most_bytes=file.size)
        found["imported"] += 1
    return found


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
