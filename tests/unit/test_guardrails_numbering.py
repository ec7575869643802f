"""Numbered placeholders: the same value has the same one through a conversation, and only the caller gets it back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.check import check
from guardrails.numbering import Numbering, restored
from guardrails.policy import Policy
from guardrails.topics import Side

POLICY = Policy.model_validate({"id": "p", "version": 1, "pii": {"PERSON": "redact", "EMAIL_ADDRESS": "redact"}})
KEY = b"a key of a test, of thirty-two b"


@pytest.mark.claim("G2")
async def test_when_somebody_is_named_again_then_they_have_the_same_placeholder() -> None:
    first = Numbering(KEY)
    checked = await check(
        "Please ask John Smith, and then Mary Jones, or john\u00a0 SMITH again.", POLICY, numbering=first
    )
    assert checked.text == "Please ask <PERSON_1>, and then <PERSON_2>, or <PERSON_1> again."
    kept = json.loads(json.dumps(first.known))
    answer = await check("Mary Jones met Peter Miller.", POLICY, side=Side.ANSWER, numbering=Numbering(KEY, kept))
    assert answer.text == "<PERSON_2> met <PERSON_3>."


async def test_when_what_is_kept_is_looked_at_then_no_value_is_in_it() -> None:
    numbering = Numbering(KEY)
    await check("Please ask John Smith or joe@example.com.", POLICY, numbering=numbering)
    kept = json.dumps(numbering.known)
    assert set(numbering.known.values()) == {"<PERSON_1>", "<EMAIL_ADDRESS_1>"}
    assert "smith" not in kept.lower()
    assert numbering.known.keys().isdisjoint(Numbering(b"another key", {}).known)
    other = Numbering(b"another key")
    other.placeholder("PERSON", "John Smith")
    assert numbering.known.keys().isdisjoint(other.known), "who has no key can compare nothing"


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("Ann Lee", "ANN  LEE", True),
        ("0117 496 0123", "0117-496-0123", True),
        ("joe@x.org", "Joe@X.org", True),
        ("j.oe1@x.org", "joe1@x.org", False),
        ("Ann", "Anna", False),
    ],
)
def test_when_two_values_are_written_alike_then_they_are_the_same(one: str, two: str, same: bool) -> None:
    numbering = Numbering(KEY)
    assert (numbering.placeholder("X", one) == numbering.placeholder("X", two)) is same


def test_when_a_number_is_of_another_category_then_they_are_counted_apart() -> None:
    numbering = Numbering(KEY)
    placeholders = [numbering.placeholder(category, "x") for category in ("PERSON", "URL", "PERSON")]
    assert placeholders == ["<PERSON_1>", "<URL_1>", "<PERSON_1>"]


async def test_when_a_text_is_restored_then_it_says_what_was_typed() -> None:
    numbering = Numbering(KEY)
    text = "Please ask John Smith or joe@example.com."
    checked = await check(text, POLICY, numbering=numbering)
    assert restored(checked.text, numbering.values) == text
    assert restored("<PERSON_2> and <PERSON_1>", numbering.values) == "<PERSON_2> and John Smith"


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_when_any_text_is_restored_without_placeholders_of_its_own_then_it_stays(
    text: str, values: dict[str, str]
) -> None:
    assert restored(text, {f"<{name}>": value for name, value in values.items()}) == text or "<" in text
