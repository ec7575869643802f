"""Readings lead back to the text they came from; windows cover it."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.check import check
from guardrails.policy import Policy
from guardrails.reading import LARGEST_GROWTH, LONGEST_CLUSTER, OVERLAP, WINDOW, as_typed, normalised, windows
from guardrails.readings import readings

PHRASES = "\ufdfa\ufdfb"  # ligatures of a whole phrase
VISIBLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cf"], exclude_characters=PHRASES))


@given(VISIBLE | st.text("e\u0301\u0323각ᆨ각㌖²a…", max_size=12))
def test_when_a_text_is_normalised_piece_by_piece_then_the_whole_is_nfkc(text: str) -> None:
    assert normalised(text).text == unicodedata.normalize("NFKC", text)


@given(st.text() | st.text(PHRASES + "㌖a\u0301"))
def test_when_a_text_is_normalised_then_its_length_stays_in_bounds(text: str) -> None:
    assert len(normalised(text).text) <= LARGEST_GROWTH * len(text)


def test_when_there_are_very_many_marks_then_none_is_lost_and_they_are_not_sorted_as_a_whole() -> None:
    text = "e" + "\u0301\u0323" * 1_000
    reading = normalised(text)
    assert len(reading.text) == len(text) - reading.text.count("ẹ") - reading.text.count("é")
    assert max(end - start for start, end in zip(reading.starts, reading.ends, strict=True)) == LONGEST_CLUSTER


@given(st.text())
def test_when_a_reading_is_led_back_then_every_span_lies_in_the_text_and_in_order(text: str) -> None:
    for reading in readings(text):
        assert len(reading.starts) == len(reading.ends) == len(reading.text)
        assert list(reading.starts) == sorted(reading.starts)
        assert all(0 <= start < end <= len(text) for start, end in zip(reading.starts, reading.ends, strict=True))


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("\N{FULLWIDTH LATIN SMALL LETTER J}oe", "joe", "\N{FULLWIDTH LATIN SMALL LETTER J}oe"),
        ("a b\u200bo\u00admb!", "bomb", "b\u200bo\u00admb"),
        ("a bo\N{MATHEMATICAL BOLD SMALL M}b", "bomb", "bo\N{MATHEMATICAL BOLD SMALL M}b"),
        ("👩‍👩‍👧 oﬃce", "off", "oﬃ"),
        ("cafe\u0301 bar", "café", "cafe\u0301"),
        ("\ufeffbomb", "bomb", "bomb"),
    ],
)
def test_when_a_word_is_disguised_then_it_is_read_and_found_at_its_place(text: str, word: str, found: str) -> None:
    reading = readings(text)[-1]
    start = reading.text.index(word)
    place = reading.source(start, start + len(word))
    assert text[slice(*place)] == found


@pytest.mark.parametrize("text", ["", "plain", "naïve café", "漢字 “quoted”"])
def test_when_a_text_is_normal_already_then_it_is_read_once(text: str) -> None:
    assert [reading.text for reading in readings(text)] == [text]


def test_when_normalising_glues_things_together_then_the_text_is_also_read_as_typed() -> None:
    assert [reading.text for reading in readings("555-0123²")] == ["555-0123²", "555-01232"]


@pytest.mark.parametrize(("text", "start", "place"), [("", 0, (0, 0)), ("ab", 1, (1, 1)), ("ab", 2, (2, 2))])
def test_when_a_span_is_empty_then_it_has_a_place(text: str, start: int, place: tuple[int, int]) -> None:
    assert as_typed(text).source(start, start) == place


@pytest.mark.parametrize("unit", ["word ", "a", "\n", "three little words, "])
@pytest.mark.parametrize("length", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, 50_000])
def test_when_a_text_is_long_then_windows_cover_it_and_overlap(unit: str, length: int) -> None:
    text = (unit * length)[:length]
    spans = list(windows(text))
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(end - start <= WINDOW for start, end in spans)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert OVERLAP <= end - start <= 2 * OVERLAP
        assert " " not in unit or text[end - 1] == text[start - 1] == " "


async def test_when_a_text_was_checked_then_nothing_of_it_is_kept() -> None:
    await check("Write to joe@example.com", Policy(id="p", version=1))
    assert readings.cache_info().currsize == 0
