"""No crash leaves a document half in the index: whichever process dies, and wherever, it ends ready or failed, answers
stand on a whole version all the time, and nothing of another one is left.
"""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from local.stack import GROUPS, Stack
from tests import documents
from tests.e2e.asking import Asking
from tests.e2e.kit import eventually, opened
from tests.e2e.librarian import Librarian
from tests.e2e.test_crash import LOCK_SECONDS, nothing_goes_wrong, replace_the_dead

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROUP_OF = {
    "start_indexing": "queues",
    **dict.fromkeys(("index_document", "read_document", "embed_chunks", "swap_in_document"), "durable"),
}
POINTS = [f"{function}{when}" for function in GROUP_OF for when in ("", ":done")]
SETTINGS = {"MODEL_TIMEOUT_SECONDS": "5", "AUDIT_PENDING_AFTER_SECONDS": "2", "STUCK_AFTER_SECONDS": "20"}
FORMER = "Visitors park behind the warehouse."
NEW = "\n\n".join(f"# Part {number}\n\nVisitors park in yard {number}." for number in range(40))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """A stack of its own, where the dead are replaced, as Azure does it."""
    folder = tmp_path_factory.mktemp("documents-crash")
    async with Stack(folder, lock_seconds=LOCK_SECONDS, settings=SETTINGS) as stack, opened(stack) as kit:
        replacing = asyncio.create_task(replace_the_dead(stack))
        yield Asking(kit)
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing


@pytest_asyncio.fixture(loop_scope="session")
async def shelf(asking: Asking) -> AsyncIterator[Librarian]:
    """With a process of each group, of which nothing is to go wrong."""

    async def one_of_each() -> None:
        assert {len(asking.stack.instances(group)) for group in GROUPS} == {1}

    await eventually(one_of_each)
    librarian = Librarian(asking)
    await librarian.open()
    yield librarian
    await eventually(one_of_each)
    await nothing_goes_wrong(asking.stack)


async def dies_at(asking: Asking, group: str, point: str) -> None:
    """The group's process dies when it comes to this point for the first time."""
    victim = asking.stack.instances(group)[0]
    await asking.stack.control(victim).faults([{"operation": point, "kind": "drop", "times": 1}])


async def swept(shelf: Librarian) -> None:
    """A round of the sweep is through, in whichever process."""

    async def through() -> None:
        try:
            await shelf.asking.kit.run_timer("sweep")
        except (aiohttp.ClientError, IndexError):
            raise AssertionError("nobody is there yet") from None

    await eventually(through)


async def whole(shelf: Librarian, document_id: str, state: str) -> None:
    """It is in this state, and there is nothing but what it names."""

    async def clean() -> None:
        await swept(shelf)
        document = await shelf.document(document_id)
        assert document.state == state
        chunks = await shelf.stored("chunk")
        assert {each["version"] for each in chunks} == {document.version} - {None}
        assert len(chunks) == document.chunks
        assert all("vector" in each for each in chunks)
        assert await shelf.files() == len(document.stored)

    await eventually(clean, within=90)


@pytest.mark.claim("R1")
@pytest.mark.parametrize("point", POINTS)
async def test_when_a_process_dies_at_a_step_then_the_version_is_indexed_and_the_former_one_used_until_then(
    shelf: Librarian, point: str
) -> None:
    former = await shelf.indexed(FORMER.encode())
    await dies_at(shelf.asking, GROUP_OF[point.removesuffix(":done")], point)
    reply = await shelf.upload(NEW.encode(), of=former["id"])
    assert reply.status == 202, reply.text
    await whole(shelf, former["id"], "ready")
    document = await shelf.document(former["id"])
    assert document.version == document.incoming
    assert document.chunks == 40


@pytest.mark.claim("R1")
@pytest.mark.parametrize("point", ["fail_document", "fail_document:done"])
async def test_when_a_process_dies_while_a_version_fails_then_the_former_one_stays(
    shelf: Librarian, point: str
) -> None:
    former = await shelf.indexed(FORMER.encode())
    version = (await shelf.document(former["id"])).version
    await dies_at(shelf.asking, "durable", point)
    await shelf.upload(documents.scanned("Nobody reads this"), of=former["id"])
    await whole(shelf, former["id"], "failed")
    document = await shelf.document(former["id"])
    assert document.version == version
    assert "OCR" in str(document.reason)


@pytest.mark.claim("R1")
@pytest.mark.parametrize("point", ["add_document", "add_document:done"])
async def test_when_the_process_dies_that_takes_an_upload_then_it_is_indexed_or_there_is_nothing(
    shelf: Librarian, point: str
) -> None:
    await dies_at(shelf.asking, "http", point)
    with pytest.raises(aiohttp.ClientConnectionError):
        await shelf.upload(NEW.encode())
    if point == "add_document":
        assert (await shelf.stored("document"), await shelf.files()) == ([], 0)
    else:
        (document,) = await shelf.stored("document")
        await whole(shelf, document["id"], "ready")


@pytest.mark.claim("R1")
async def test_when_the_process_dies_while_a_file_comes_in_then_nothing_of_it_is_left(shelf: Librarian) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0.02)

    async def uploading() -> None:
        assert [each["state"] for each in await shelf.stored("document")] == ["uploading"]

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    upload = asyncio.create_task(shelf.call("POST", data=endless(), headers=kind))
    await eventually(uploading)
    await shelf.asking.stack.http[0].kill()
    with pytest.raises(aiohttp.ClientConnectionError):
        await upload

    async def gone() -> None:
        await swept(shelf)
        assert (await shelf.stored("document"), await shelf.files()) == ([], 0)

    await eventually(gone, within=60)
