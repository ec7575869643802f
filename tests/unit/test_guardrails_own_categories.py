"""The customer's own kinds of personal data, and the patterns that they may not write."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guardrails.checksums import CHECKSUMS
from guardrails.own_categories import OwnCategory, detect_own

STAFF = {"category": "STAFF_NUMBER", "patterns": [r"\bE\d{6}\b"]}


def found(text: str, **category: Any) -> list[tuple[str, float]]:
    """What is detected, with its confidence."""
    own = OwnCategory.model_validate({"category": "OWN", **category})
    return [(text[each.start : each.end], each.confidence) for each in detect_own(text, [own])]


@pytest.mark.claim("G2")
def test_when_a_text_matches_a_pattern_then_it_is_found_in_any_case() -> None:
    assert found("Ask e123456 or E654321, not E12.", **STAFF) == [("e123456", 0.8), ("E654321", 0.8)]


@pytest.mark.claim("G2")
def test_when_a_phrase_of_the_deny_list_is_there_then_it_is_found_as_a_whole_word() -> None:
    text = "Project Blue  Heron is late; bluebird and blue heronry are not."
    assert found(text, deny_list=["blue heron", "bird"]) == [("Blue  Heron", 1.0)]


@pytest.mark.claim("G2")
def test_when_a_context_word_is_not_near_then_a_match_counts_for_less() -> None:
    category = {"patterns": [r"\b\d{5}\b"], "context": ["badge"]}
    assert found("my badge is 12345", **category) == [("12345", 0.8)]
    assert found("12345 is on the badge", **category) == [("12345", 0.8)]
    assert found("there are 12345 of them", **category) == [("12345", 0.3)]
    assert found("badge " + "x " * 40 + "12345", **category) == [("12345", 0.3)]


@pytest.mark.claim("G2")
def test_when_a_category_has_a_checksum_then_what_fails_it_is_not_found() -> None:
    category = {"patterns": [r"\b\d{3} ?\d{3} ?\d{4}\b"], "checksum": "mod-11"}
    assert found("NHS 943 476 5919, not 943 476 5918", **category) == [("943 476 5919", 0.8)]


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("category", "why"),
    [
        ({"patterns": ["("]}, "not a regular expression"),
        ({"patterns": ["a*"]}, "matches the empty text"),
        ({"patterns": ["x" * 1001]}, "at most 1000"),
        ({"patterns": [r"\d"], "checksum": "sum"}, "no such checksum"),
        ({}, "neither patterns nor a deny list"),
        ({"category": "no spaces"}, "pattern"),
        ({"category": "STAFF_1"}, "pattern"),
    ],
)
def test_when_a_category_could_not_be_looked_for_then_it_is_refused(category: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        OwnCategory.model_validate({"category": "OWN", **category})


@given(st.text())
def test_when_any_text_is_searched_then_what_is_found_lies_within_it(text: str) -> None:
    category = OwnCategory(category="OWN", patterns=[r"\w\d"], deny_list=["an example"], context=["ab"])
    for each in detect_own(text, [category]):
        assert 0 <= each.start < each.end <= len(text)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("luhn", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("iban", "GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 33"),
        ("mod-97", "3214282912345698765432161182", "3214282912345698765432161183"),
        ("mod-11", "0-306-40615-2", "0-306-40615-3"),
        ("mod-11", "0-8044-2957-X", "0-8044-2957-1"),
        ("mod-10-731", "L898902C36", "L898902C35"),
        ("verhoeff", "2363", "2364"),
    ],
)
def test_when_a_check_digit_is_wrong_then_the_number_fails(name: str, right: str, wrong: str) -> None:
    assert CHECKSUMS[name](right)
    assert not CHECKSUMS[name](wrong)


@pytest.mark.parametrize("name", CHECKSUMS)
@given(text=st.text(max_size=60))
def test_when_a_checksum_gets_any_text_then_it_says_yes_or_no(name: str, text: str) -> None:
    assert CHECKSUMS[name](text) in (True, False)
    assert not CHECKSUMS[name]("")
