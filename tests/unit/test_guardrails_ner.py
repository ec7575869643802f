"""The model for names: what it finds in sentences that it has not seen, and what it makes of any text."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails import detector, ner, ner_model
from guardrails.errors import GuardrailFailed


def named(text: str) -> list[tuple[str, str]]:
    """What the model names in the text."""
    return [(one.label, text[one.start : one.end]) for one in detector.model().entities(text)]


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("Please ask John Smith about it.", "John Smith"),
        ("could you ring john smith tomorrow", "john smith"),
        ("I had lunch with Anneliese Vogt and Paweł Zieliński.", "Anneliese Vogt|Paweł Zieliński"),
        ("Dear Mrs. O'Hara,", "O'Hara"),
        ("Regards,\nSunita Deshmukh\nPayroll", "Sunita Deshmukh"),
        ("Our new colleague, Tunde Adebayo, starts on Monday.", "Tunde Adebayo"),
        ("Mr Yamashita's flight was late", "Yamashita"),
        ("The invoice is for J. P. van den Berg", "J. P. van den Berg"),
    ],
)
def test_when_a_sentence_names_people_then_they_are_found(text: str, people: str) -> None:
    assert [thing for label, thing in named(text) if label == "PERSON"] == people.split("|")


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("He lives at 14 Cromwell Road, Leeds LS6 2AB now.", "14 Cromwell Road, Leeds LS6 2AB"),
        ("Please deliver to 2210 W Willow Ave, Apt 4, Denver, CO 80211.", "2210 W Willow Ave, Apt 4, Denver, CO 80211"),
        ("Meine Adresse: Gartenstraße 12, 50674 Köln", "Gartenstraße 12, 50674 Köln"),
        ("my address is 8 rue Lafayette, 75009 Paris", "8 rue Lafayette, 75009 Paris"),
        ("send it to via Garibaldi 7, 20121 Milano please", "via Garibaldi 7, 20121 Milano"),
    ],
)
def test_when_a_sentence_has_an_address_then_it_is_found_as_one(text: str, address: str) -> None:
    assert [thing for label, thing in named(text) if label == "STREET_ADDRESS"] == [address]


@pytest.mark.parametrize(
    ("text", "place"),
    [("Is it raining in Paris on Monday?", "Paris"), ("We are moving to New Zealand.", "New Zealand")],
)
def test_when_a_sentence_names_a_place_then_it_is_a_place_and_nobodys_address(text: str, place: str) -> None:
    assert named(text) == [("LOCATION", place)]


@pytest.mark.parametrize(
    "text",
    [
        "How do I export a table from Excel to a PDF file?",
        "The meeting in May was moved to the first week of June.",
        "Please summarise the attached report in three sentences.",
        "def total(rows):\n    return sum(row.price for row in rows)",
        "SELECT name FROM users WHERE id = 12;",
        "Write to <PERSON> at <STREET_ADDRESS> in <LOCATION>.",
        "THE PRINTER DOES NOT WORK!",
        "",
        "\n \t",
        "12 34 56",
        "😀 %%% ???",
    ],
)
def test_when_a_text_names_nobody_then_nothing_is_found(text: str) -> None:
    assert named(text) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_when_any_text_is_read_then_what_is_found_lies_in_it_in_order_and_apart(text: str) -> None:
    end = 0
    for one in detector.model().entities(text):
        assert end <= one.start < one.end <= len(text)
        assert one.label in ner.LABELS
        assert 0 <= one.confidence <= 1
        end = one.end


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_when_a_text_is_taken_apart_then_only_white_space_is_left_out(text: str) -> None:
    parts = ner.tokens(text)
    assert all(text[part.start : part.end] == part.text for part in parts)
    assert [part.text for part in parts if part.text != "\n"] == [
        part for part in (part.text for part in parts) if not part.isspace()
    ]
    kept = {index for part in parts for index in range(part.start, part.end)}
    assert all(index in kept for index, sign in enumerate(text) if sign.isalpha() or sign.isdecimal())


def test_when_scores_favour_what_is_not_well_formed_then_the_best_tags_are_well_formed_all_the_same() -> None:
    scores = np.zeros((3, len(ner.TAGS)), np.float32)
    inside = ner.TAGS.index("I-PERSON")
    scores[:, inside] = 5
    tags = [ner.TAGS[tag] for tag in ner.best_tags(scores)]
    assert tags == ["B-PERSON", "I-PERSON", "I-PERSON"]


def test_when_the_same_text_is_read_twice_then_the_same_is_found() -> None:
    text = "Ana Petrović of Brightwater Ltd met Jonas in Oslo."
    assert detector.model().entities(text) == detector.model().entities(text)


def test_when_the_file_is_the_reviewed_one_then_it_is_used() -> None:
    assert hashlib.sha256(ner_model.FILE.read_bytes()).hexdigest() == ner_model.SHA256
    assert ner_model.FILE.stat().st_size < 4_000_000


def test_when_a_byte_of_the_file_differs_then_no_model_is_loaded(tmp_path: Path) -> None:
    content = bytearray(ner_model.FILE.read_bytes())
    content[-1] ^= 1
    file = tmp_path / "model.npz"
    file.write_bytes(content)
    with pytest.raises(GuardrailFailed, match="not the one"):
        ner_model.load(file)


def test_when_the_file_is_missing_then_no_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(GuardrailFailed, match="missing"):
        ner_model.load(tmp_path / "none.npz")


def test_when_a_model_is_saved_then_the_same_parameters_make_the_same_bytes(tmp_path: Path) -> None:
    made = ner_model.parameters(ner_model.FILE.read_bytes())
    for name in ("a", "b"):
        ner_model.save(made, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = ner_model.parameters((tmp_path / "a").read_bytes())
    assert np.array_equal(again.words, made.words)
    assert np.allclose(again.vectors, made.vectors)
