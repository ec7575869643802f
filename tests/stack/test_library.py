"""The library in Cosmos DB: what is found is what is in use, and what the reader's groups grant."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from local.resources import EMBEDDING_DIMENSIONS
from local.tls import Certificates
from routing import library
from routing.library import DocumentUnknown, LibraryDocument, Passage, Piece, VersionGone
from services.clock import utc_now
from services.documents import Items
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import account

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUPS = tuple(f"{digit * 8}-abcd-4ef0-8a1b-c2d3e4f5a6b7" for digit in "1a2")
MODEL = "small"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chunks(certificates: Certificates) -> AsyncIterator[Items]:
    async with account(certificates) as account_:
        yield (await account_.store()).chunks


@pytest.fixture
def collection() -> str:
    return str(uuid4())


def towards(degrees: float) -> list[float]:
    """A vector that many degrees from the one of 0."""
    angle = math.radians(degrees)
    return [math.cos(angle), math.sin(angle), *[0.0] * (EMBEDDING_DIMENSIONS - 2)]


async def uploaded(
    chunks: Items, collection: str, name: str, *, of: str | None = None, audience: list[str] | None = None
) -> tuple[LibraryDocument, str]:
    version = uuid4().hex
    about = {"name": name, "audience": audience, "bytes": 1, "uploaded_by": str(uuid4()), "uploaded_at": utc_now()}
    about["uploaded_at"] = about["uploaded_at"].isoformat()  # type: ignore[union-attr]
    return await library.upload(chunks, collection, of, version=version, **about), version


async def indexed(chunks: Items, document: LibraryDocument, version: str, *degrees: float, model: str = MODEL) -> None:
    pieces = [Piece(text=f"{document.name} {each}", headings=["Offers"], page=1) for each in degrees]
    await library.keep_pieces(chunks, document, version, pieces)
    await library.set_vectors(chunks, document.collection, version, 0, [towards(each) for each in degrees])
    await library.swap_in(chunks, document, version, model=model, count=len(degrees))


async def found(
    chunks: Items, collection: str, *, groups: tuple[str, ...] = GROUPS, model: str = MODEL, most: int = 10
) -> list[Passage]:
    return await library.search(chunks, collection, groups=groups, model=model, vector=towards(0), most=most)


async def texts(chunks: Items, collection: str) -> list[str]:
    return [each.text for each in await found(chunks, collection)]


@pytest.mark.claim("R1")
async def test_when_documents_are_indexed_then_the_nearest_passages_are_found_with_their_page(
    chunks: Items, collection: str
) -> None:
    for name, degrees in (("a", (10, 70)), ("b", (30,))):
        await indexed(chunks, *await uploaded(chunks, collection, name), *degrees)
    passages = await found(chunks, collection, most=2)
    assert [each.text for each in passages] == ["a 10", "b 30"]
    assert passages[0].score == pytest.approx(math.cos(math.radians(10)))
    assert (passages[0].page, passages[0].headings) == (1, ["Offers"])
    assert await found(chunks, str(uuid4())) == []


async def test_when_a_document_comes_again_then_it_is_found_as_it_was_until_all_of_the_new_one_is_there(
    chunks: Items, collection: str
) -> None:
    document, version = await uploaded(chunks, collection, "old")
    await indexed(chunks, document, version, 10, 20)
    again, later = await uploaded(chunks, collection, "new", of=document.id)
    assert (again.state, again.version, again.incoming) == ("queued", version, later)
    await library.keep_pieces(chunks, again, later, [Piece(text="new 5")])
    await library.set_vectors(chunks, collection, later, 0, [towards(5)])
    assert await texts(chunks, collection) == ["old 10", "old 20"]
    await library.swap_in(chunks, again, later, model=MODEL, count=1)
    assert await texts(chunks, collection) == ["new 5"]
    kept = [each async for each in chunks.query("SELECT * FROM c WHERE c.type = 'chunk'", partition=collection)]
    assert [each["version"] for each in kept] == [later], "nothing is left of the former"
    await library.swap_in(chunks, again, later, model=MODEL, count=1)  # a repeat
    assert await texts(chunks, collection) == ["new 5"]


async def test_when_a_version_fails_then_the_one_before_stays_and_it_says_why(chunks: Items, collection: str) -> None:
    document, version = await uploaded(chunks, collection, "old")
    await indexed(chunks, document, version, 10)
    again, later = await uploaded(chunks, collection, "new", of=document.id)
    await library.keep_pieces(chunks, again, later, [Piece(text="new 5")])
    await library.fail(chunks, collection, document.id, later, "The document holds no text.")
    now = await library.find(chunks, collection, document.id)
    assert (now.state, now.reason, now.version) == ("failed", "The document holds no text.", version)
    assert await texts(chunks, collection) == ["old 10"]
    assert await library.texts_of(chunks, collection, later, 0, 9) == []


async def test_when_another_upload_comes_meanwhile_then_the_earlier_one_is_never_in_use(
    chunks: Items, collection: str
) -> None:
    document, earlier = await uploaded(chunks, collection, "one")
    await uploaded(chunks, collection, "two", of=document.id)
    with pytest.raises(VersionGone):
        await indexed(chunks, document, earlier, 10)
    with pytest.raises(VersionGone):
        await library.advance(chunks, collection, document.id, earlier, state="embedding")
    assert await found(chunks, collection) == []


async def test_when_a_document_is_deleted_then_nothing_of_it_is_left(chunks: Items, collection: str) -> None:
    document, version = await uploaded(chunks, collection, "a")
    await indexed(chunks, document, version, *range(120))
    await library.delete(chunks, document)
    assert await found(chunks, collection) == []
    assert [each async for each in chunks.query("SELECT c.id FROM c", partition=collection)] == []
    with pytest.raises(DocumentUnknown):
        await library.find(chunks, collection, document.id)
    with pytest.raises(VersionGone):
        await library.swap_in(chunks, document, version, model=MODEL, count=1)
    await library.delete(chunks, document)


@pytest.mark.claim("M6")
async def test_when_another_model_made_the_vectors_then_they_are_not_compared(chunks: Items, collection: str) -> None:
    await indexed(chunks, *await uploaded(chunks, collection, "a"), 10, model="other")
    assert await found(chunks, collection) == []
    assert len(await found(chunks, collection, model="other")) == 1


async def test_when_texts_are_read_back_then_they_are_in_their_order(chunks: Items, collection: str) -> None:
    document, version = await uploaded(chunks, collection, "a")
    await library.keep_pieces(chunks, document, version, [Piece(text=str(n)) for n in range(130)])
    await library.keep_pieces(chunks, document, version, [Piece(text=str(n)) for n in range(130)])  # a repeat
    assert await library.texts_of(chunks, collection, version, 9, 101) == [str(n) for n in range(9, 101)]


@dataclass(frozen=True)
class Made:
    audience: frozenset[str] | None
    degrees: int
    used: bool


made = st.builds(Made, st.none() | st.frozensets(st.sampled_from(GROUPS)), st.integers(0, 90), st.booleans())


@pytest.mark.claim("R2")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(made, max_size=6), st.frozensets(st.sampled_from(GROUPS)), st.integers(1, 4))
async def test_when_documents_are_narrowed_to_any_groups_then_only_what_the_readers_groups_grant_is_found(
    chunks: Items, documents: list[Made], groups: frozenset[str], most: int
) -> None:
    collection, granted = str(uuid4()), []
    for number, each in enumerate(documents):
        audience = None if each.audience is None else sorted(each.audience)
        document, version = await uploaded(chunks, collection, f"d{number}", audience=audience)
        if each.used:
            await indexed(chunks, document, version, each.degrees)
            if each.audience is None or each.audience & groups:
                granted.append((each.degrees, document.id))
    passages = await found(chunks, collection, groups=tuple(groups), most=most)
    assert {each.document for each in passages} <= {document for _, document in granted}
    nearest = [math.cos(math.radians(degrees)) for degrees, _ in sorted(granted)[:most]]
    assert [each.score for each in passages] == pytest.approx(nearest, abs=1e-6), "what is hidden takes no place"
