"""Azure Blob Storage: the files that were uploaded, and what can go wrong with one, by name.

::

    BlobError
     +- BlobMissing        there is no blob of this name
     +- BlobTooLarge       more is sent than may be
     +- BlobsUnavailable   anything else: throttled beyond the SDK's retries, time-out, no connection
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

BLOCK_BYTES = 1024 * 1024
"""What is held of an upload at a time, about."""
READ_SECONDS = 60.0
"""For all of a blob; an upload takes as long as who sends it."""


class BlobError(Exception):
    """A blob was not written, read or deleted, or not certainly."""


class BlobMissing(BlobError):
    """There is no blob of this name."""


class BlobTooLarge(BlobError):
    """More was sent than may be; nothing of it is a blob."""


class BlobsUnavailable(BlobError):
    """Blob Storage did not carry the operation out, or did not say."""


@dataclass(frozen=True)
class Stored:
    """What was uploaded."""

    size: int
    """In bytes."""
    sha256: str


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turns what the SDK raises into this module's errors. They carry a status, never content."""
    try:
        yield
    except ResourceNotFoundError as error:
        if error.error_code == "BlobNotFound":  # type: ignore[attr-defined] # the SDK puts it there
            raise BlobMissing from None
        raise BlobsUnavailable("status 404") from None
    except AzureError as error:
        status = getattr(error, "status_code", None)
        raise BlobsUnavailable(f"status {status}" if status else type(error).__name__) from None
    except (TimeoutError, OSError) as error:
        raise BlobsUnavailable(type(error).__name__) from None


class Blobs:
    """The blobs of one container, which there must be. ``transport`` are options of azure-core's."""

    def __init__(self, endpoint: str, container: str, credential: AsyncTokenCredential, **transport: Any) -> None:
        self._container = ContainerClient(
            endpoint,
            container,
            credential,
            max_block_size=BLOCK_BYTES,
            max_single_put_size=BLOCK_BYTES,
            connection_timeout=5,
            read_timeout=20,
            initial_backoff=1,  # of Microsoft's 15 s nobody who waits for an upload would see the end
            increment_base=1,
            retry_total=3,
            **transport,
        )

    async def __aenter__(self) -> Self:
        await self._container.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._container.close()

    async def keep_file(self, name: str, pieces: AsyncIterator[bytes], *, most_bytes: int) -> Stored:
        """Written block by block as the pieces come: a blob of this name is there when all are, and is what it was
        until then. Whoever tries again after an error begins with the first piece.

        Raises :class:`BlobTooLarge`, :class:`BlobsUnavailable`, and whatever ``pieces`` raises.
        """
        counted = _Counted(pieces, most_bytes)
        with _named_errors():
            try:
                await self._container.upload_blob(name, counted.passing(), overwrite=True)
            except Exception:
                # The SDK wraps some of what its source raises; that is told as it was.
                if counted.error is not None:
                    raise counted.error from None
                raise
        return Stored(counted.size, counted.digest.hexdigest())

    async def read(self, name: str) -> bytes:
        """All of it. Raises :class:`BlobMissing`, :class:`BlobsUnavailable`."""
        with _named_errors():
            async with asyncio.timeout(READ_SECONDS):
                download = await self._container.download_blob(name)
                return await download.readall()

    async def copy(self, source: str, name: str, *, most_bytes: int) -> int:
        """A blob under another name as well, through this process; its bytes. Raises what :meth:`read` and
        :meth:`keep_file` raise."""
        with _named_errors():
            download = await self._container.download_blob(source)
            return (await self.keep_file(name, download.chunks(), most_bytes=most_bytes)).size

    async def names(self) -> AsyncIterator[str]:
        """Of all blobs, in their order. Raises :class:`BlobsUnavailable`."""
        with _named_errors():
            async for name in self._container.list_blob_names():
                yield name

    async def delete(self, name: str) -> None:
        """Nothing happens where there is none. Raises :class:`BlobsUnavailable`."""
        try:
            with _named_errors():
                async with asyncio.timeout(READ_SECONDS):
                    await self._container.delete_blob(name)
        except BlobMissing:
            pass


class _Counted:
    """The pieces as they pass."""

    def __init__(self, pieces: AsyncIterator[bytes], most_bytes: int) -> None:
        self._pieces = pieces
        self._most_bytes = most_bytes
        self.size = 0
        self.digest = hashlib.sha256()
        self.error: Exception | None = None

    async def passing(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                self.size += len(piece)
                if self.size > self._most_bytes:
                    raise BlobTooLarge(f"more than {self._most_bytes} bytes")
                self.digest.update(piece)
                yield piece
        except Exception as error:
            self.error = error
            raise
