"""``python -m scripts.claims``: which of the promises in docs/claims.md are kept, and by which tests.

Runs the tests that are marked with a claim and prints a line a claim; after a run of all tests, the table in
docs/security-review.md says the same. Kept: there are such tests, all of them passed,
and the list does not say that a part is missing; a test that was skipped, or expected to fail, has proved nothing. Exit
code 0, unless the tests can't be run.
"""

import re
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from datetime import UTC, date, datetime
from enum import IntEnum
from io import StringIO
from pathlib import Path

import pytest

from services.version import VERSION

DOCS = Path(__file__).resolve().parent.parent / "docs"
LIST = DOCS / "claims.md"
REVIEW = DOCS / "security-review.md"
PROCESSES = ("-n", "2", "--dist", "loadfile")
"""As ``make test`` does it."""
BEGIN, END = "<!-- filled in by make claims -->\n", "<!-- end -->\n"


class Outcome(IntEnum):
    """Ordered: a test that ran more than once, or with many parameters, counts as its worst."""

    PASSED = 0
    SKIPPED = 1
    FAILED = 2


IN_PART = "## Proved in part"
"""The heading of the list's last table: what the tests of a claim do not prove yet."""


def read_claims(text: str) -> dict[str, str]:
    """The promises by their ids, in the list's order."""
    return _rows(text.partition(IN_PART)[0])


def read_missing(text: str) -> dict[str, str]:
    """What is missing of the claims that are proved in part, by their ids."""
    return _rows(text.partition(IN_PART)[2])


def _rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| ([A-Z]\d+) \| (.+) \|$", text, re.MULTILINE))


def claims_of(item: pytest.Item) -> list[str]:
    """The ids of the claims that a test says it proves."""
    return [str(claim) for marker in item.iter_markers("claim") for claim in marker.args]


class Recorder:
    """A pytest plugin that notes how the tests of each claim ended."""

    def __init__(self) -> None:
        self.claims: dict[str, list[str]] = {}
        """By test: the claims that it proves."""
        self.outcomes: dict[str, Outcome] = {}
        self.broken = False
        """Something could not be collected."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.broken = self.broken or report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:  # none, where other processes run them
            self.claims[_name(item.nodeid)] = claims_of(item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = {"passed": Outcome.PASSED, "skipped": Outcome.SKIPPED, "failed": Outcome.FAILED}[report.outcome]
        if hasattr(report, "wasxfail"):
            outcome = Outcome.SKIPPED
        name = _name(report.nodeid)
        self.outcomes[name] = max(outcome, self.outcomes.get(name, Outcome.PASSED))


def lines(
    promises: Iterable[str], missing: dict[str, str], claims: dict[str, list[str]], outcomes: dict[str, Outcome]
) -> list[str]:
    """A line a promise: its id, ``kept`` or ``open``, its tests, how those ended that did not pass, what is missing."""
    result = []
    for promise in promises:
        tests = [test for test, proved in claims.items() if promise in proved]
        kept = bool(tests) and promise not in missing and all(outcomes.get(test) is Outcome.PASSED for test in tests)
        described = [f"{test}{_remark(outcomes.get(test))}" for test in tests]
        if promise in missing:
            described.append(f"missing: {missing[promise]}")
        result.append(f"{promise:<3} {'kept' if kept else 'open'}  {', '.join(described)}".rstrip())
    return result


def filled_in(page: str, shown: Iterable[str], day: date) -> str:
    """The page with a row for each line: the claim, how it stands, the files of its tests, and what is missing."""
    rows = [f"As of {day.isoformat()}, version {VERSION}:\n", "| claim | | by the tests in |", "| --- | --- | --- |"]
    for line in shown:
        claim, state, tests = [*line.split(maxsplit=2), ""][:3]
        named, _, missing = tests.partition("missing: ")
        files = sorted({f"`tests/{each}.py`" for each in re.findall(r"([\w/]+)::", named)})
        failed = ", some did not pass" if re.search(r"\((failed|skipped|not run)\)", named) else ""
        said = ", ".join(files) + failed + (f"; missing: {missing}" if missing else "")
        rows.append(f"| {claim} | {state} | {said or 'none yet'} |")
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n".join(rows) + "\n" + END + rest.partition(END)[2]


def _remark(outcome: Outcome | None) -> str:
    return "" if outcome is Outcome.PASSED else f" ({'not run' if outcome is None else outcome.name.lower()})"


def _name(nodeid: str) -> str:
    """``tests/e2e/test_chain.py::test_when[a]`` is shown as ``e2e/test_chain::test_when``."""
    return nodeid.partition("[")[0].removeprefix("tests/").replace(".py::", "::")


def main(arguments: list[str]) -> int:
    """``arguments`` go to pytest: which tests to look at, for one."""
    listed = LIST.read_text()
    promises = read_claims(listed)
    recorder = Recorder()
    print("Running the tests that prove a claim, which takes as long as make test ...", file=sys.stderr, flush=True)
    asked = ["-m", "claim", *arguments]
    with redirect_stdout(StringIO()) as said:
        code = pytest.main([*asked, "--collect-only"], plugins=[recorder])
    if recorder.broken or code != pytest.ExitCode.OK:
        print("The tests could not be run:", said.getvalue(), file=sys.stderr)
        return 1
    with redirect_stdout(sys.stderr):
        code = pytest.main([*asked, *PROCESSES], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print("The tests could not be run.", file=sys.stderr)
        return 1
    shown = lines(promises, read_missing(listed), recorder.claims, recorder.outcomes)
    print("\n".join(shown))
    if not arguments:
        REVIEW.write_text(filled_in(REVIEW.read_text(), shown, datetime.now(UTC).date()))
    print(f"{sum(line[4:8] == 'kept' for line in shown)} of {len(shown)} claims are kept")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
