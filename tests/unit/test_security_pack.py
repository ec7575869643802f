"""The pages for assessors: claims, tests and files that they name exist, and every question is answered."""

import re
from pathlib import Path

import pytest

from local.process import ROOT
from scripts.claims import LIST, read_claims

DOCS = ROOT / "docs"
REVIEW = DOCS / "security-review.md"
PAGES = (REVIEW, DOCS / "threat-model.md", DOCS / "iso27001.md", DOCS / "cost.md", ROOT / "SECURITY.md")
QUESTIONS = {
    "Data location", "Vendor access", "Identity", "Audit", "Kill switch", "Acceptable use", "Personal data", "Cost",
    "Reporting", "Models", "Grounding", "Incidents", "Disclosure", "Deployment and certification",
}  # fmt: skip
ANNEX_A = {5: 37, 6: 8, 7: 14, 8: 34}
"""How many controls each clause has."""


def claims_in(text: str) -> set[str]:
    return set(re.findall(r"\b([TIAKGCFMRP]\d)\b", re.sub(r"\bA\.\d|API\d+|LLM\d+|F2 of", "", text)))


def proved() -> set[str]:
    """The claims that some test is marked with."""
    marks = [
        mark for file in (ROOT / "tests").rglob("test_*.py") for mark in re.findall(r"claim\(([^)]*)\)", _of(file))
    ]
    return {claim for mark in marks for claim in re.findall(r'"([A-Z]\d+)"', mark)}


def _of(file: Path) -> str:
    return file.read_text()


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", REVIEW.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_when_a_page_names_claims_files_and_places_then_they_exist(page: Path) -> None:
    text = page.read_text()
    assert claims_in(text) <= read_claims(LIST.read_text()).keys()
    for path in re.findall(r"`((?:tests|services|governance|guardrails|routing|grounding|api)/[\w./]*)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
    for target, anchor in re.findall(r"\]\(([\w./-]+\.md)#?([\w-]*)\)", text):
        there = (page.parent / target).resolve()
        assert there.is_file(), f"{page.name} links to {target}"
        headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", there.read_text(), re.M)}
        assert not anchor or anchor in headings, f"{target} has no #{anchor}"


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_when_a_question_is_asked_then_it_is_answered_proved_or_said_not_to_be(question: str) -> None:
    section = sections()[question]
    assert {"Answer", "Control", "Yours"} <= set(re.findall(r"^\*\*([\w ]+)\.\*\*", section, re.MULTILINE))
    shown = re.search(r"^\*\*Proved by\.\*\*(.*?)(?=^\*\*|\Z)", section, re.MULTILINE | re.DOTALL)
    assert shown or "**Not yet.**" in section
    if shown:
        assert claims_in(shown[1]), "no claim is named"
        assert claims_in(shown[1]) <= proved(), "a claim is named that no test proves"


def test_when_a_claim_is_made_then_the_review_speaks_of_it() -> None:
    assert sections().keys() == {*QUESTIONS, "Evidence"}
    assert claims_in(REVIEW.read_text()) == read_claims(LIST.read_text()).keys()


def test_when_the_lists_of_owasp_and_stride_are_gone_through_then_each_item_is_there() -> None:
    text = (DOCS / "threat-model.md").read_text()
    wanted = [f"API{n}" for n in range(1, 11)] + [f"LLM{n:02}" for n in range(1, 11)]
    assert re.findall(r"^\| ((?:API|LLM)\d+) ", text, re.MULTILINE) == wanted
    boundaries = text.count("| threat | what stands against it |")
    letters = ("Spoofing", "Tampering", "Repudiation", "Information disclosure", "Denial of service", "Elevation of")
    assert [text.count(f"\n| {letter}") for letter in letters] == [boundaries] * len(letters)


@pytest.mark.claim("P2")
def test_when_a_control_of_annex_a_is_mapped_then_it_exists_and_has_evidence_and_no_certificate_is_claimed() -> None:
    text = (DOCS / "iso27001.md").read_text()
    rows = re.findall(r"^\| A\.(\d)\.(\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert len(rows) == text.count("\n| A.") > 40
    assert [(int(clause), int(number)) for clause, number, *_ in rows] == sorted(
        {(int(clause), int(number)) for clause, number, *_ in rows}
    )
    for clause, number, _, _, evidence in rows:
        assert int(number) <= ANNEX_A[int(clause)]
        assert claims_in(evidence) <= proved(), f"A.{clause}.{number}"
        assert claims_in(evidence) or "`" in evidence or "](" in evidence
    assert "**No certification is held, and none is claimed.**" in text


def test_when_a_weakness_is_reported_then_the_promised_times_are_said() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert re.search(r"acknowledged \| within two working days", text)
    assert re.search(r"substantive answer .* \| within ten working days", text)


def test_when_a_price_is_shown_then_its_date_and_source_are() -> None:
    prices = (DOCS / "cost.md").read_text().partition("## A thousand")[0]
    rows = re.findall(r"^\| (?!what|---)(.+?) \| (.+?) \|(.*)\|$", prices, re.MULTILINE)
    assert len(rows) >= 8
    assert all(price == "look it up" or re.search(r"from memory, \d{4}-\d\d-\d\d", source) for _, price, source in rows)
