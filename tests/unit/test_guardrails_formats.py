"""Which answers meet which rules of shape, and which rules a policy may not have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from guardrails.formats import OutputRule, misshapen
from guardrails.verdict import Action

RULES: TypeAdapter[list[OutputRule]] = TypeAdapter(list[OutputRule])

PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
GERMAN = "Ein gutes Angebot nennt den Preis, den Liefertermin und die Bedingungen, die für beide gelten."
ENGLISH = "A good offer names the price, the date of delivery and the terms that hold for both."


def broken(answer: str, *rules: dict[str, Any], sources: int = 0) -> list[str]:
    """What each finding covers of the answer."""
    parsed = RULES.validate_python([{"action": "block", **rule} for rule in rules])
    return [answer[finding.start : finding.end] for finding in misshapen(answer, parsed, sources)]


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    "answer",
    ['{"name": "Ann", "age": 3}', ' {"age": 3,\n"name": "Ann"} ', '```json\n{"name": "Ann", "age": 3}\n```'],
)
def test_when_an_answer_is_json_of_the_schema_then_it_passes(answer: str) -> None:
    assert broken(answer, {"rule": "json", "json_schema": PERSON}) == []


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Ann is three.",
        '{"name": "Ann"}',
        '{"name": "Ann", "age": -1}',
        '{"name": "Ann", "age": 3, "more": 1}',
        'Here you are: {"name": "Ann", "age": 3}',
        '{"name": "Ann", "age": 3} {"name": "Ann", "age": 3}',
        "[" * 100_000,
    ],
)
def test_when_an_answer_is_not_json_of_the_schema_then_all_of_it_is_found(answer: str) -> None:
    assert broken(answer, {"rule": "json", "json_schema": PERSON}) == [answer]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "strange"}, "not a JSON schema"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "pattern can't be checked"),
        ({"allOf": [{"patternProperties": {"(a+)+$": {}}}]}, "patternProperties can't be checked"),
        ({"description": "x" * 20_000}, "too long"),
    ],
)
def test_when_a_schema_could_not_be_checked_in_time_then_the_policy_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RULES.validate_python([{"rule": "json", "json_schema": schema, "action": "block"}])


def test_when_a_schema_refers_to_another_address_then_nothing_is_fetched_and_nothing_passes() -> None:
    schema = {"$ref": "https://schemas.example.com/person.json"}
    assert broken("{}", {"rule": "json", "json_schema": schema}) == ["{}"]


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Sort the list first, then search it.", []),
        ("Use this:\n```python\nprint(1)\n```\n", ["```", "```"]),
        ("~~~\nls\n~~~", ["~~~", "~~~"]),
        ("Put <SCRIPT src=x> there", ["<SCRIPT"]),
        ("<?php echo 1", ["<?php"]),
        ("#!/bin/sh\nls", ["#!"]),
        ("The shebang is #! and comes first", []),
    ],
)
def test_when_no_code_is_wanted_then_code_is_found(answer: str, found: list[str]) -> None:
    assert broken(answer, {"rule": "no-code"}) == found


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("See https://contoso.com/offers and https://help.contoso.com.", []),
        ("See HTTPS://CONTOSO.COM/x", []),
        ("See contoso.com", []),
        ("Mail jo@contoso.com", []),
        ("See https://evil.example/x.", ["https://evil.example/x"]),
        ("See https://contoso.com.evil.example/x", ["https://contoso.com.evil.example/x"]),
        ("See https://notcontoso.com/", ["https://notcontoso.com/"]),
        ("See https://contoso.com@evil.example/", ["https://contoso.com@evil.example/"]),
        ("![x](https://evil.example/a.png?q=1)", ["https://evil.example/a.png?q=1"]),
        ("https://evil.example/?u=https://contoso.com/", ["https://evil.example/?u=https://contoso.com/"]),
        ("https://evil.example\\.contoso.com/", ["https://evil.example\\.contoso.com/"]),
        ("go to www.evil.example now", ["www.evil.example"]),
        ("go to evil.com now", ["evil.com"]),
        ("go to evil.example/path now", ["evil.example/path"]),
        ("javascript://x", ["javascript://x"]),
        ("mailto:jo@evil.com", ["mailto:jo@evil.com"]),
        ("https://\u217dontoso.com/", []),  # a Roman numeral, which the look-up takes for the same c
        ("https://\u0441ontoso.com/", ["https://\u0441ontoso.com/"]),  # a Cyrillic letter that looks like c
        ("Version 1.2.3 of file.txt costs 3.50", []),
    ],
)
def test_when_links_are_limited_to_sites_then_others_are_found(answer: str, found: list[str]) -> None:
    assert broken(answer, {"rule": "links", "domains": ["contoso.com"]}) == found


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("answer", "languages", "passes"),
    [
        (ENGLISH, ["en"], True),
        (GERMAN, ["de"], True),
        (GERMAN, ["en"], False),
        (ENGLISH, ["de", "fr"], False),
        (GERMAN, ["en", "de"], True),
        ("Oui.", ["en"], True),  # too short to tell
    ],
)
def test_when_an_answer_must_be_in_a_language_then_another_one_is_found(
    answer: str, languages: list[str], passes: bool
) -> None:
    assert broken(answer, {"rule": "language", "languages": languages}) == ([] if passes else [answer])


def test_when_a_language_can_not_be_told_then_the_policy_is_refused() -> None:
    with pytest.raises(ValidationError, match="can't be told: zz"):
        RULES.validate_python([{"rule": "language", "languages": ["en", "zz"], "action": "block"}])


@pytest.mark.claim("G1")
def test_when_an_answer_is_too_long_then_what_is_too_much_is_found() -> None:
    assert broken("12345", {"rule": "length", "most_characters": 5}) == []
    assert broken("1234567", {"rule": "length", "most_characters": 5}) == ["67"]


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("answer", "sources", "found"),
    [
        ("It is blue [1], or green [2].", 2, []),
        ("It is blue.", 2, ["It is blue."]),
        ("It is blue [3].", 2, ["[3]"]),
        ("It is blue [0].", 2, ["[0]"]),
        ("It is blue [1].", 0, ["[1]"]),
    ],
)
def test_when_an_answer_must_cite_then_citations_are_of_sources_that_there_are(
    answer: str, sources: int, found: list[str]
) -> None:
    assert broken(answer, {"rule": "citations"}, sources=sources) == found


def test_when_a_rule_only_warns_then_its_finding_says_so() -> None:
    rules = RULES.validate_python([{"rule": "length", "most_characters": 1, "action": "warn"}])
    assert [finding.action for finding in misshapen("long", rules, 0)] == [Action.WARN]


EVERY_RULE = RULES.validate_python(
    [
        {"rule": "json", "json_schema": PERSON, "action": "block"},
        {"rule": "no-code", "action": "block"},
        {"rule": "links", "domains": [], "action": "block"},
        {"rule": "language", "languages": ["en"], "action": "block"},
        {"rule": "length", "most_characters": 10, "action": "block"},
        {"rule": "citations", "action": "block"},
    ]
)


@given(st.text(), st.integers(0, 3))
def test_when_any_text_is_checked_then_its_findings_lie_within_it(answer: str, sources: int) -> None:
    for finding in misshapen(answer, EVERY_RULE, sources):
        assert 0 <= finding.start <= finding.end <= len(answer)


@pytest.mark.parametrize("unit", ["a.", "a-", "http://", "[1]", "`", "a", "www.", "a.b/", "mailto:", "1.", "é."])
def test_when_a_text_is_long_and_odd_then_it_is_checked_all_the_same(unit: str) -> None:
    answer = unit * (100_000 // len(unit))
    misshapen(answer, EVERY_RULE, 1)
