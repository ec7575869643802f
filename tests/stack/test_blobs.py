"""Files in Blob Storage: the product's module and Microsoft's SDK against the stand-in."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient

from local.blobs.server import AUDIENCE, Server
from local.blobs.store import UNCOMMITTED_SECONDS
from local.blobs.store import Blobs as Kept
from local.standin import Control, Fault, serving
from local.tls import Certificates, server_context
from local.tokens import BearerCheck
from services.blobs import BLOCK_BYTES, BlobMissing, Blobs, BlobsUnavailable, BlobTooLarge
from tests.stack.cosmos_kit import Clock, Credential
from tests.stack.cosmos_kit import certificates as certificates

LARGE = bytes(range(256)) * (3 * BLOCK_BYTES // 256) + b"the end"


@dataclass
class World:
    """The stand-in in this process, the product's module, and Microsoft's client."""

    kept: Kept
    control: Control
    clock: Clock
    blobs: Blobs
    sdk: BlobServiceClient

    def fault(self, **fault: Any) -> None:
        self.control.faults.append(Fault.model_validate(fault))


@pytest.fixture
async def world(certificates: Certificates) -> AsyncIterator[World]:
    control, clock = Control(), Clock()
    kept = Kept(["documents"], clock=clock)
    trusted: dict[str, Any] = {"connection_verify": str(certificates.ca)}
    async with (
        serving(Server(kept, control, None).app(), ssl_context=server_context(certificates.server)) as url,
        Blobs(url, "documents", Credential(), **trusted) as blobs,
        BlobServiceClient(url, Credential(), retry_total=0, **trusted) as sdk,
    ):
        yield World(kept, control, clock, blobs, sdk)


async def pieces(content: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for first in range(0, len(content), size):
        yield content[first : first + size]


@pytest.mark.parametrize("content", [b"", b"a", LARGE[:BLOCK_BYTES], LARGE], ids=["empty", "small", "block", "large"])
async def test_when_a_file_is_uploaded_then_it_is_read_as_it_was(world: World, content: bytes) -> None:
    stored = await world.blobs.keep_file("a/file", pieces(content), most_bytes=len(content))

    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert await world.blobs.read("a/file") == content


async def test_when_a_large_file_is_uploaded_then_no_more_than_a_block_goes_at_once(world: World) -> None:
    await world.blobs.keep_file("file", pieces(LARGE), most_bytes=10 * BLOCK_BYTES)

    counts = world.control.counts
    assert (counts["put-block"], counts["put-block-list"], counts["put-blob"]) == (4, 1, 0)


@pytest.mark.parametrize("size", [1_000, 2 * BLOCK_BYTES])
async def test_when_a_file_is_larger_than_may_be_then_nothing_of_it_is_a_blob(world: World, size: int) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000
            yield b"x" * 1_000

    with pytest.raises(BlobTooLarge, match=str(size)):
        await world.blobs.keep_file("file", endless(), most_bytes=size)

    assert sent <= size + 1_000
    with pytest.raises(BlobMissing):
        await world.blobs.read("file")


@pytest.mark.parametrize("size", [10, 2 * BLOCK_BYTES])
async def test_when_the_sender_breaks_off_then_the_file_is_what_it_was(world: World, size: int) -> None:
    class Gone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * size
        raise Gone

    await world.blobs.keep_file("file", pieces(b"as it was"), most_bytes=100)
    with pytest.raises(Gone):
        await world.blobs.keep_file("file", broken(), most_bytes=10 * BLOCK_BYTES)
    assert await world.blobs.read("file") == b"as it was"

    await world.blobs.keep_file("file", pieces(b"as it is"), most_bytes=100)
    assert await world.blobs.read("file") == b"as it is"


async def test_when_a_file_is_deleted_then_it_is_gone_and_a_repeat_does_nothing(world: World) -> None:
    await world.blobs.keep_file("file", pieces(b"content"), most_bytes=100)

    await world.blobs.delete("file")
    await world.blobs.delete("file")

    with pytest.raises(BlobMissing):
        await world.blobs.read("file")
    assert "content" not in world.control.dump()


async def test_when_the_service_fails_for_a_moment_then_the_upload_goes_on(world: World) -> None:
    world.fault(operation="put-block", kind="status", status=503, times=1)
    world.fault(operation="put-block-list", kind="drop", times=1)

    await world.blobs.keep_file("file", pieces(LARGE), most_bytes=10 * BLOCK_BYTES)

    assert await world.blobs.read("file") == LARGE


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_when_the_service_refuses_then_it_is_said_by_its_status(world: World, status: int) -> None:
    world.fault(kind="status", status=status)

    with pytest.raises(BlobsUnavailable, match=f"status {status}"):
        await world.blobs.keep_file("file", pieces(b"content"), most_bytes=100)
    with pytest.raises(BlobsUnavailable, match=f"status {status}"):
        await world.blobs.read("file")
    with pytest.raises(BlobsUnavailable, match=f"status {status}"):
        await world.blobs.delete("file")


async def test_when_there_is_no_such_container_then_it_is_not_taken_for_a_missing_file(
    world: World, certificates: Certificates
) -> None:
    async with Blobs(world.sdk.url, "others", Credential(), connection_verify=str(certificates.ca)) as others:
        with pytest.raises(BlobsUnavailable, match="404"):
            await others.read("file")
        with pytest.raises(BlobsUnavailable, match="404"):
            await others.delete("file")


# -- the stand-in, by Microsoft's SDK


async def test_when_a_blob_is_looked_at_then_it_says_what_it_is(world: World) -> None:
    blob = world.sdk.get_blob_client("documents", "ein Ordner/Grüße & mehr.pdf")
    await blob.upload_blob(b"content")

    properties = await blob.get_blob_properties()

    assert (properties.size, properties.blob_type, properties.name) == (7, "BlockBlob", "ein Ordner/Grüße & mehr.pdf")
    assert await blob.exists()
    assert await (await blob.download_blob(offset=2, length=3)).readall() == b"nte"
    assert not await world.sdk.get_blob_client("documents", "another").exists()


async def test_when_a_write_has_a_condition_then_it_holds(world: World) -> None:
    blob = world.sdk.get_blob_client("documents", "file")
    await blob.upload_blob(b"first")
    etag = (await blob.get_blob_properties()).etag

    with pytest.raises(ResourceExistsError):
        await blob.upload_blob(b"second")
    await blob.upload_blob(b"second", overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        await blob.upload_blob(b"third", overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        await blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)

    assert await (await blob.download_blob()).readall() == b"second"


async def test_when_blocks_are_listed_then_they_are_the_blob_in_that_order(world: World) -> None:
    blob = world.sdk.get_blob_client("documents", "file")
    for name in ("a", "b", "c"):
        await blob.stage_block(name, name.encode() * 2)
    assert not await blob.exists()

    await blob.commit_block_list([BlobBlock("c"), BlobBlock("a")])

    assert await (await blob.download_blob()).readall() == b"ccaa"
    with pytest.raises(HttpResponseError, match="InvalidBlockList"):
        await blob.commit_block_list([BlobBlock("b")])
    await blob.stage_block("d", b"new")
    await blob.commit_block_list([BlobBlock("d"), BlobBlock("c")])
    assert await (await blob.download_blob()).readall() == b"newcc"


async def test_when_blocks_wait_for_more_than_a_week_then_they_are_gone(world: World) -> None:
    blob = world.sdk.get_blob_client("documents", "file")
    await blob.stage_block("a", b"secret")
    assert "secret" in world.control.dump()
    world.clock.now += UNCOMMITTED_SECONDS + 1

    await world.sdk.get_blob_client("documents", "another").stage_block("a", b"x")

    assert "secret" not in world.control.dump()


async def test_when_files_are_listed_then_each_name_is_told_once_over_all_pages(world: World) -> None:
    names = sorted(["with space/ä & ö", "plain", *(f"many/{number:04}" for number in range(1100))])
    for name in names:
        world.kept.put("documents", name, b"x", "text/plain")
    assert [each async for each in world.blobs.names()] == names
    world.fault(operation="list", kind="status", status=403)
    with pytest.raises(BlobsUnavailable, match="status 403"):
        _ = [each async for each in world.blobs.names()]


async def test_when_a_container_is_made_or_deleted_then_it_is_refused(world: World) -> None:
    container = world.sdk.get_container_client("documents")

    for call in (world.sdk.create_container("more"), container.delete_container()):
        with pytest.raises(HttpResponseError) as refused:
            await call
        assert refused.value.status_code == 403
    with pytest.raises(HttpResponseError, match="NotSupported"):
        _ = [each async for each in container.list_blobs(name_starts_with="a")]


async def test_when_something_is_not_served_then_it_is_refused(world: World) -> None:
    blob = world.sdk.get_blob_client("documents", "file")
    await blob.upload_blob(b"content")

    for call in (
        blob.create_snapshot(),
        blob.set_blob_metadata({"a": "b"}),
        blob.upload_blob(b"x", overwrite=True, metadata={"a": "b"}),
        blob.create_append_blob(),
    ):
        with pytest.raises(HttpResponseError, match="NotSupported"):
            await call


async def test_when_a_call_has_a_key_or_nothing_then_it_is_refused(world: World, certificates: Certificates) -> None:
    for credential, status in ((None, 401), ({"account_name": "a", "account_key": "a2V5"}, 403)):
        async with BlobServiceClient(
            world.sdk.url, credential, retry_total=0, connection_verify=str(certificates.ca)
        ) as client:
            with pytest.raises(HttpResponseError) as refused:
                await client.get_blob_client("documents", "file").delete_blob()
            assert refused.value.status_code == status


async def test_when_a_token_is_of_another_authority_then_it_is_refused(certificates: Certificates) -> None:
    check = BearerCheck("https://127.0.0.1:1/tenant", (AUDIENCE,))
    server = Server(Kept(["documents"]), Control(), check)
    async with (
        serving(server.app(), ssl_context=server_context(certificates.server)) as url,
        Blobs(url, "documents", Credential(), connection_verify=str(certificates.ca)) as blobs,
    ):
        with pytest.raises(BlobsUnavailable, match="status 401"):
            await blobs.read("file")


def test_when_the_process_starts_again_then_what_was_kept_is_there_and_what_was_deleted_is_not(tmp_path: Path) -> None:
    first = Kept(["documents"], tmp_path)
    for name in ("kept", "deleted", "replaced"):
        first.put("documents", name, f"what was {name}".encode(), "text/plain")
    first.delete("documents", "deleted")
    first.put("documents", "replaced", b"another", "text/plain")
    first.close()

    second = Kept(["documents"], tmp_path)
    assert second.find("documents", "kept") == first.find("documents", "kept")
    assert second.find("documents", "deleted") is None
    second.close()
    written = (tmp_path / "blobs.sqlite").read_bytes()
    assert b"what was kept" in written
    assert b"what was deleted" not in written
    assert b"what was replaced" not in written
