"""Blocks into chunks: nothing lost, in order, within the budget, each with what a citation needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grounding.blocks import Block, Collector, Kind, Limits, table
from grounding.chunks import Chunk, Chunking, chunks
from grounding.extract import extract
from tests import documents


def blocks_of(parts: list[tuple[Kind, str, int]]) -> list[Block]:
    into = Collector(Limits())
    for page, (kind, text, level) in enumerate(parts, start=1):
        into.add(kind, text, level=level if kind is Kind.HEADING else None, page=page)
    return into.blocks


_WORDS = st.text("abcdefgh .\nÄ|-", min_size=1, max_size=400)
_ROWS = st.lists(st.lists(st.text("xyz ", min_size=1, max_size=30), min_size=2, max_size=2), min_size=2, max_size=30)
_PARTS = st.lists(st.tuples(st.sampled_from(Kind), _WORDS | _ROWS.map(table), st.integers(0, 4)), max_size=15).map(
    blocks_of
)
_CHUNKINGS = st.integers(50, 400).flatmap(
    lambda size: st.builds(Chunking, size=st.just(size), overlap=st.integers(0, size // 2))
)


def letters(text: str) -> str:
    return "".join(text.split())


@given(_PARTS, _CHUNKINGS)
def test_when_blocks_are_chunked_then_nothing_is_lost_and_the_order_is_kept(
    blocks: list[Block], chunking: Chunking
) -> None:
    made = chunks(blocks, "d1", chunking)
    own = "".join(letters(chunk.text[chunk.repeated :]) for chunk in made)
    assert own == "".join(letters(block.text) for block in blocks)


@given(_PARTS, _CHUNKINGS)
def test_when_blocks_are_chunked_then_no_chunk_is_over_the_budget_or_repeats_only(
    blocks: list[Block], chunking: Chunking
) -> None:
    for chunk in chunks(blocks, "d1", chunking):
        assert len(chunk.text) <= chunking.size
        assert letters(chunk.text[chunk.repeated :])


@given(_PARTS, _CHUNKINGS)
def test_when_blocks_are_chunked_again_then_the_chunks_and_their_ids_are_the_same(
    blocks: list[Block], chunking: Chunking
) -> None:
    made = chunks(blocks, "d1", chunking)
    assert made == chunks(list(blocks), "d1", chunking)
    assert [(chunk.id, chunk.position) for chunk in made] == [(f"d1:{n}", n) for n in range(len(made))]


@given(_PARTS, _CHUNKINGS)
def test_when_blocks_are_chunked_then_pages_ascend_and_none_is_left_out(
    blocks: list[Block], chunking: Chunking
) -> None:
    covered: set[int] = set()
    reached = 0
    for chunk in chunks(blocks, "d1", chunking):
        assert chunk.page is not None
        assert chunk.last_page is not None
        assert reached <= chunk.page <= chunk.last_page
        reached = chunk.last_page
        covered |= set(range(chunk.page, chunk.last_page + 1))
    assert {block.page for block in blocks} <= covered


def words(number: int) -> str:
    return " ".join(f"w{n}" for n in range(number))


def chunked(parts: list[tuple[Kind, str, int]], size: int = 200, overlap: int = 40) -> list[Chunk]:
    return chunks(blocks_of(parts), "d1", Chunking(size=size, overlap=overlap))


def test_when_a_section_begins_then_a_chunk_does_with_its_heading() -> None:
    made = chunked(
        [
            (Kind.HEADING, "A", 1),
            (Kind.HEADING, "B", 2),
            (Kind.PARAGRAPH, "of b", 0),
            (Kind.HEADING, "C", 2),
            (Kind.PARAGRAPH, "of c", 0),
        ]
    )
    assert [(chunk.text, chunk.headings, chunk.page, chunk.last_page) for chunk in made] == [
        ("A\n\nB\n\nof b", ("A", "B"), 1, 3),
        ("C\n\nof c", ("A", "C"), 4, 5),
    ]


def test_when_a_section_goes_on_then_the_next_chunk_begins_with_the_end_of_the_one_before() -> None:
    first, second = chunked([(Kind.PARAGRAPH, words(40), 0), (Kind.PARAGRAPH, "x" * 100, 0)])
    overlap = second.text[: second.repeated]
    assert 0 < len(overlap) <= 40
    assert first.text.endswith(overlap)
    assert overlap.startswith("w")


def test_when_a_table_fits_into_a_chunk_then_it_is_not_parted() -> None:
    rows = table([["name", "value"], *([f"n{n}", "v"] for n in range(8))])
    made = chunked([(Kind.PARAGRAPH, words(25), 0), (Kind.TABLE, rows, 0), (Kind.PARAGRAPH, words(20), 0)])
    assert sum(rows in chunk.text for chunk in made) == 1


def test_when_a_table_is_larger_than_a_chunk_then_it_is_parted_between_rows_each_part_below_its_header() -> None:
    rows = table([["name", "value"], *([f"name {n}", f"value {n}"] for n in range(30))])
    made = chunked([(Kind.TABLE, rows, 0)])
    assert len(made) > 3
    for chunk in made:
        assert chunk.text.startswith("| name | value |\n| --- | --- |\n| name ")
        assert all(line in rows.split("\n") for line in chunk.text.split("\n"))


def test_when_a_word_file_is_chunked_then_its_table_is_cited_under_its_headings() -> None:
    found = next(chunk for chunk in chunks(extract(documents.word()), "d1") if "Norway" in chunk.text)
    assert found.headings == ("Travel policy", "Flights", "Rates")


def test_when_a_pdf_of_500_pages_is_chunked_then_each_text_is_cited_with_its_page() -> None:
    pages = [[f"# Part {number}", f"The code of part {number} is {number * 7}.", words(60)] for number in range(1, 501)]
    made = chunks(extract(documents.pdf(pages)), "d1")
    for number in (1, 250, 500):
        found = next(chunk for chunk in made if f"part {number} is" in chunk.text)
        assert (found.page, found.last_page, found.headings) == (number, number, (f"Part {number}",))


@pytest.mark.parametrize("given_", [{"size": 100, "overlap": 51}, {"size": 10}, {"overlap": -1}])
def test_when_the_budget_makes_no_sense_then_it_is_refused(given_: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Chunking.model_validate(given_)
