"""The library in Cosmos DB and Blob Storage: what is found is what is in use, and what the reader's groups grant."""

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.changes import Journal
from local.blobs.server import Server
from local.blobs.store import Blobs as Kept
from local.resources import EMBEDDING_DIMENSIONS
from local.standin import Control, serving
from local.tls import Certificates, server_context
from routing import chunk_index, library
from routing.chunk_index import Passage, Piece, VersionGone
from routing.collections import CollectionSettings, readable_collections
from routing.library import DocumentUnknown, LibraryDocument, told
from services.blobs import BlobMissing, Blobs
from services.documents import Items
from tests.stack.caps_kit import Unreachable
from tests.stack.cosmos_kit import Credential
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import account

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUPS = tuple(f"{digit * 8}-abcd-4ef0-8a1b-c2d3e4f5a6b7" for digit in "1a2")
MODEL = "small"
PUBLISHER = "51c70400-0000-4000-8000-0000000000aa"
EVENT = told("document.upload", actor=PUBLISHER, team="sales")


@dataclass
class Shelf:
    """A collection, to put documents in."""

    journal: Journal
    blobs: Blobs
    collection: str
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of the store's operations."""

    @property
    def chunks(self) -> Items:
        return self.journal.store.chunks

    async def expected(self, name: str, *, of: str | None = None) -> LibraryDocument:
        """With its file."""
        coming = await library.expect(self.chunks, self.collection, of, name, PUBLISHER)
        await self.put_file(coming)
        return coming

    async def put_file(self, coming: LibraryDocument) -> None:
        async def file() -> AsyncIterator[bytes]:
            yield b"a file"

        await self.blobs.keep_file(library.file_of(coming, _version(coming)), file(), most_bytes=10)

    async def queued(self, name: str, *, of: str | None = None, audience: list[str] | None = None) -> LibraryDocument:
        coming = await self.expected(name, of=of)
        return await library.queue(self.journal, coming, PUBLISHER, EVENT, name=name, audience=audience, bytes=6)

    async def pieces(self, document: LibraryDocument, *texts: str) -> None:
        kept = [Piece(text=text, headings=["Offers"], page=1) for text in texts]
        version = _version(document)
        await chunk_index.keep_pieces(self.chunks, self.collection, document.id, version, kept)
        counted: dict[str, Any] = {"incoming_chunks": len(texts), "state": "embedding"}
        await library.advance(self.chunks, self.collection, document.id, version, **counted)

    async def indexed(self, document: LibraryDocument, *degrees: float, model: str = MODEL) -> None:
        version = _version(document)
        await self.pieces(document, *(f"{document.name} {each}" for each in degrees))
        await chunk_index.set_vectors(self.chunks, self.collection, version, 0, [towards(each) for each in degrees])
        await library.swap_in(self.journal, document, version, model, EVENT)
        await self.clear_away(document)

    async def clear_away(self, document: LibraryDocument) -> None:
        await library.clear_away(self.chunks, self.blobs, self.collection, document.id)

    async def now(self, document: LibraryDocument) -> LibraryDocument:
        return await library.find(self.chunks, self.collection, document.id)

    async def found(self, *, groups: tuple[str, ...] = GROUPS, model: str = MODEL, most: int = 10) -> list[Passage]:
        return await chunk_index.search(
            self.chunks, self.collection, groups=groups, model=model, vector=towards(0), most=most
        )

    async def texts(self) -> list[str]:
        return [each.text for each in await self.found()]

    async def versions(self) -> set[str]:
        """Of which there are chunks."""
        query = "SELECT VALUE c.version FROM c WHERE c.type = 'chunk'"
        return {str(each) async for each in self.chunks.query(query, partition=self.collection)}

    async def has_file(self, document: LibraryDocument, version: str) -> bool:
        try:
            return bool(await self.blobs.read(library.file_of(document, version)))
        except BlobMissing:
            return False


def _version(document: LibraryDocument) -> str:
    assert document.incoming is not None
    return document.incoming


def towards(degrees: float) -> list[float]:
    """A vector that many degrees from the one of 0."""
    angle = math.radians(degrees)
    return [math.cos(angle), math.sin(angle), *[0.0] * (EMBEDDING_DIMENSIONS - 2)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelves(certificates: Certificates) -> AsyncIterator[Shelf]:
    kept, trusted = Kept(["documents"]), {"connection_verify": str(certificates.ca)}
    async with (
        account(certificates) as account_,
        serving(Server(kept, Control(), None).app(), ssl_context=server_context(certificates.server)) as url,
        Blobs(url, "documents", Credential(), **trusted) as blobs,
    ):
        yield Shelf(Journal(await account_.store(), Unreachable()), blobs, "", account_.control.counts)


@pytest.fixture
def shelf(shelves: Shelf) -> Shelf:
    return Shelf(shelves.journal, shelves.blobs, str(uuid4()))


@pytest.mark.claim("R1")
async def test_when_documents_are_indexed_then_the_nearest_passages_are_found_with_their_page(shelf: Shelf) -> None:
    for name, degrees in (("a", (10, 70)), ("b", (30,))):
        await shelf.indexed(await shelf.queued(name), *degrees)
    passages = await shelf.found(most=2)
    assert [(each.title, each.text) for each in passages] == [("a", "a 10"), ("b", "b 30")]
    assert passages[0].score == pytest.approx(math.cos(math.radians(10)))
    assert (passages[0].page, passages[0].headings) == (1, ["Offers"])
    assert await Shelf(shelf.journal, shelf.blobs, str(uuid4())).found() == []


async def test_when_a_document_comes_again_then_it_is_found_as_it_was_until_all_of_the_new_one_is_there(
    shelf: Shelf,
) -> None:
    document = await shelf.queued("old")
    await shelf.indexed(document, 10, 20)
    again = await shelf.queued("new", of=document.id)
    assert (again.state, again.version) == ("queued", document.incoming)
    await shelf.pieces(again, "new 5")
    await chunk_index.set_vectors(shelf.chunks, shelf.collection, _version(again), 0, [towards(5)])
    assert await shelf.texts() == ["old 10", "old 20"]
    await library.swap_in(shelf.journal, again, _version(again), MODEL, EVENT)
    assert await shelf.texts() == ["new 5"]
    await shelf.clear_away(again)
    assert await shelf.versions() == {again.incoming}, "nothing is left of the former"
    assert not await shelf.has_file(document, _version(document))
    assert await shelf.has_file(document, _version(again))
    await library.swap_in(shelf.journal, await shelf.now(again), _version(again), MODEL, EVENT)  # a repeat
    assert await shelf.texts() == ["new 5"]


async def test_when_a_version_fails_then_the_one_before_stays_and_it_says_why_and_the_file_can_be_tried_again(
    shelf: Shelf,
) -> None:
    document = await shelf.queued("old")
    await shelf.indexed(document, 10)
    again = await shelf.queued("new", of=document.id)
    await shelf.pieces(again, "new 5")
    await library.fail(shelf.journal, again, _version(again), "The document holds no text.", EVENT)
    await shelf.clear_away(again)
    now = await shelf.now(document)
    assert (now.state, now.reason, now.version) == ("failed", "The document holds no text.", document.incoming)
    assert await shelf.texts() == ["old 10"]
    assert await shelf.versions() == {document.incoming}
    assert await shelf.has_file(document, _version(again))


async def test_when_another_upload_comes_meanwhile_then_the_earlier_one_is_never_in_use(shelf: Shelf) -> None:
    earlier = await shelf.queued("one")
    await shelf.queued("two", of=earlier.id)
    with pytest.raises(VersionGone):
        await shelf.indexed(earlier, 10)
    with pytest.raises(VersionGone):
        await library.swap_in(shelf.journal, earlier, _version(earlier), MODEL, EVENT)
    with pytest.raises(VersionGone):
        await library.fail(shelf.journal, earlier, _version(earlier), "any", EVENT)
    assert await shelf.found() == []
    await shelf.clear_away(earlier)
    assert await shelf.versions() == set()


async def test_when_an_upload_breaks_off_then_the_document_is_as_it_was_and_a_new_one_is_gone(shelf: Shelf) -> None:
    new = await shelf.expected("new")
    await library.drop_upload(shelf.chunks, shelf.blobs, new)
    with pytest.raises(DocumentUnknown):
        await shelf.now(new)
    assert not await shelf.has_file(new, _version(new))

    document = await shelf.queued("old")
    await shelf.indexed(document, 10)
    coming = await shelf.expected("old", of=document.id)
    assert await shelf.texts() == ["old 10"]
    await library.drop_upload(shelf.chunks, shelf.blobs, coming)
    await library.drop_upload(shelf.chunks, shelf.blobs, coming)  # a repeat
    now = await shelf.now(document)
    assert (now.state, now.version, now.incoming, now.stored) == (
        "ready",
        *[document.incoming] * 2,
        [document.incoming],
    )
    assert await shelf.texts() == ["old 10"]


async def test_when_a_document_is_deleted_then_nothing_of_it_is_left_but_its_events(shelf: Shelf) -> None:
    document = await shelf.queued("a")
    await shelf.indexed(document, *range(120))
    await library.delete(shelf.journal, document, EVENT)
    assert await shelf.found() == [], "with the one write"
    await shelf.clear_away(document)
    left = [each["type"] async for each in shelf.chunks.query("SELECT * FROM c", partition=shelf.collection)]
    assert left == ["audit"] * 3, "uploaded, indexed, deleted"
    assert not await shelf.has_file(document, _version(document))
    with pytest.raises(DocumentUnknown):
        await library.swap_in(shelf.journal, document, _version(document), MODEL, EVENT)
    with pytest.raises(DocumentUnknown):
        await library.delete(shelf.journal, document, EVENT)
    await shelf.clear_away(document)


@pytest.mark.claim("M6")
async def test_when_another_model_made_the_vectors_then_they_are_not_compared(shelf: Shelf) -> None:
    await shelf.indexed(await shelf.queued("a"), 10, model="other")
    assert await shelf.found() == []
    assert len(await shelf.found(model="other")) == 1


async def test_when_texts_are_read_back_then_they_are_in_their_order(shelf: Shelf) -> None:
    document = await shelf.queued("a")
    for _ in range(2):  # a repeat
        await shelf.pieces(document, *(str(n) for n in range(130)))
    version = _version(document)
    read = await chunk_index.texts_of(shelf.chunks, shelf.collection, version, 9, 101)
    assert read == [str(n) for n in range(9, 101)]


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
    shelves: Shelf, documents: list[Made], groups: frozenset[str], most: int
) -> None:
    shelf, granted = Shelf(shelves.journal, shelves.blobs, str(uuid4())), []
    for number, each in enumerate(documents):
        audience = None if each.audience is None else sorted(each.audience)
        document = await shelf.queued(f"d{number}", audience=audience)
        if each.used:
            await shelf.indexed(document, each.degrees)
            if each.audience is None or each.audience & groups:
                granted.append((each.degrees, document.id))
    passages = await shelf.found(groups=tuple(groups), most=most)
    assert {each.document for each in passages} <= {document for _, document in granted}
    nearest = [math.cos(math.radians(degrees)) for degrees, _ in sorted(granted)[:most]]
    assert [each.score for each in passages] == pytest.approx(nearest, abs=1e-6), "what is hidden takes no place"


opened_to = st.just("everyone") | st.frozensets(st.sampled_from(GROUPS))


@pytest.mark.claim("R2")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(opened_to, st.none() | st.frozensets(st.sampled_from(GROUPS))), min_size=1, max_size=4),
    st.frozensets(st.sampled_from(GROUPS)),
)
async def test_when_collections_and_documents_are_for_any_groups_then_nothing_tells_of_what_is_hidden(
    shelves: Shelf, made_of: list[tuple[Any, frozenset[str] | None]], groups: frozenset[str]
) -> None:
    """A collection each with a document: found is what both grant, and where the document is hidden, the store is asked
    just what it is asked where there is none."""
    config, asked = shelves.journal.store.config, []
    for audience, narrowed in made_of:
        shelf = Shelf(shelves.journal, shelves.blobs, f"c{uuid4().hex}")
        settings_ = CollectionSettings(
            name="any",
            owner_team="sales",
            audience=audience if audience == "everyone" else sorted(audience),
            embeddings="embeddings",
        )
        await config.create({"kind": "collection", "id": shelf.collection, **settings_.model_dump(mode="json")})
        document = await shelf.queued("d", audience=None if narrowed is None else sorted(narrowed))
        await shelf.indexed(document, 10)
        asked.append((shelf, audience, narrowed))
    ids = [shelf.collection for shelf, _, _ in asked]
    readable = {each.id for each in await readable_collections(config, ids, groups)}
    for shelf, audience, narrowed in asked:
        assert (shelf.collection in readable) == (audience == "everyone" or bool(audience & groups))
        empty = Shelf(shelves.journal, shelves.blobs, f"c{uuid4().hex}")
        before = dict(shelves.counts)
        found = await shelf.found(groups=tuple(groups))
        of_this = _since(shelves, before)
        assert bool(found) == (narrowed is None or bool(narrowed & groups))
        if not found:
            before = dict(shelves.counts)
            assert await empty.found(groups=tuple(groups)) == []
            assert _since(shelves, before) == of_this


def _since(shelves: Shelf, before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in shelves.counts.items() if count > before.get(name, 0)}
