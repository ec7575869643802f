"""``make claims``: a claim is kept when tests prove it and all of them pass; a test can't prove what isn't promised."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from local.process import ROOT
from scripts.claims import BEGIN, END, IN_PART, LIST, REVIEW, Outcome, filled_in, lines, read_claims

TESTS = """
import pytest

@pytest.mark.claim("K1", "K2")
@pytest.mark.parametrize("n", [1, 2])
def test_stop(n): pass

@pytest.mark.claim("K2")
def test_release(): assert False

@pytest.mark.claim("A6")
@pytest.mark.skip
def test_skipped(): pass

@pytest.mark.claim("A2")
@pytest.mark.xfail
def test_expected_to_fail(): assert False

@pytest.fixture
def broken(): raise OSError

@pytest.mark.claim("A7")
def test_never_set_up(broken): pass

@pytest.mark.claim("A4")
@pytest.mark.parametrize("n", [1, 2])
def test_half(n): assert n == 2

def test_of_no_claim(): assert False
"""


def claims(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text("from tests.conftest import pytest_collection_modifyitems\n")
    (folder / "test_some.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = claim\nasyncio_default_fixture_loop_scope = function\n")
    return subprocess.run(
        [sys.executable, "-m", "scripts.claims", folder, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_when_tests_pass_fail_or_prove_nothing_then_only_the_proven_claim_is_kept(tmp_path: Path) -> None:
    answer = claims(tmp_path, TESTS)
    assert answer.returncode == 0, answer.stderr
    *shown, total = answer.stdout.splitlines()
    by_id = {line.split()[0]: line for line in shown}
    assert list(by_id) == list(read_claims(LIST.read_text()))
    assert by_id["K1"] == "K1  kept  test_some::test_stop"
    assert by_id["K2"] == "K2  open  test_some::test_stop, test_some::test_release (failed)"
    assert by_id["A6"] == "A6  open  test_some::test_skipped (skipped)"
    assert by_id["A2"] == "A2  open  test_some::test_expected_to_fail (skipped)"
    assert by_id["A7"] == "A7  open  test_some::test_never_set_up (failed)"
    assert by_id["A4"] == "A4  open  test_some::test_half (failed)"
    assert by_id["T1"] == "T1  open"
    assert total == f"1 of {len(by_id)} claims are kept"


def test_when_a_test_names_an_unknown_claim_then_the_run_fails(tmp_path: Path) -> None:
    answer = claims(tmp_path, 'import pytest\n@pytest.mark.claim("K9")\ndef test_x(): pass\n')
    assert answer.returncode == 1
    assert "proves K9: not in docs/claims.md" in answer.stderr


def test_when_tests_cannot_be_collected_then_nothing_is_called_kept(tmp_path: Path) -> None:
    answer = claims(tmp_path, "import nothing_of_this_name\n")
    assert answer.returncode == 1
    assert "nothing_of_this_name" in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Outcome.PASSED, "K1  kept  a::b"),
        (Outcome.FAILED, "K1  open  a::b (failed)"),
        (None, "K1  open  a::b (not run)"),
    ],
)
def test_when_a_test_ended_so_then_its_line_says_so(outcome: Outcome | None, shown: str) -> None:
    assert lines(["K1"], {}, {"a::b": ["K1"]}, {"a::b": outcome} if outcome is not None else {}) == [shown]


def test_when_a_part_is_missing_then_the_claim_is_open_and_the_line_says_what() -> None:
    shown = lines(["K1"], {"K1": "fallback"}, {"a::b": ["K1"]}, {"a::b": Outcome.PASSED})
    assert shown == ["K1  open  a::b, missing: fallback"]


def test_when_all_tests_were_run_then_the_review_says_how_each_claim_stands() -> None:
    page = f"before\n{BEGIN}what it was\n{END}after\n"
    shown = [
        "K1  kept  e2e/test_a::one, e2e/test_a::two",
        "T1  open  stack/test_b::c (failed), missing: a part",
        "P1  open",
    ]
    filled = filled_in(page, shown, date(2026, 11, 24))
    assert filled.startswith(f"before\n{BEGIN}As of 2026-11-24")
    assert "| K1 | kept | `tests/e2e/test_a.py` |" in filled
    assert "| T1 | open | `tests/stack/test_b.py`, some did not pass; missing: a part |" in filled
    assert "| P1 | open | none yet |" in filled
    assert filled.endswith(f"{END}after\n")
    assert filled_in(filled, shown, date(2026, 11, 24)) == filled
    assert BEGIN in REVIEW.read_text()


def test_when_the_list_is_read_then_every_claim_is_there_once() -> None:
    text = LIST.read_text().partition(IN_PART)[0]
    assert len(read_claims(text)) == sum(line.startswith("| ") for line in text.splitlines()) - 2 * text.count("| id |")
