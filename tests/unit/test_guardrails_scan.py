"""The command line for policy authors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.process import ROOT


def scanned(lines: str, *options: str) -> tuple[int, list[Any], str]:
    """Exit status, the lines written, and what went to standard error."""
    command = [sys.executable, "-m", "guardrails.scan", *options]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_when_texts_are_scanned_then_each_line_says_what_the_default_rules_would_do() -> None:
    texts = [{"text": "👍 mail joe@example.com"}, {"text": "Nothing here.", "more": 1}]
    status, (first, second), _ = scanned("\n".join(map(json.dumps, texts)))
    assert status == 0
    assert (first["action"], first["text"]) == ("redact", "👍 mail <EMAIL_ADDRESS>")
    finding = first["findings"][0]
    assert (finding["category"], finding["start"], finding["end"]) == ("EMAIL_ADDRESS", 7, 22)
    assert {"rule", "confidence", "action"} <= finding.keys()
    assert second == {"action": "allow", "text": "Nothing here.", "findings": []}


def test_when_a_policy_is_given_then_it_decides_and_the_side_counts(tmp_path: Path) -> None:
    rules = {
        "pii": {},
        "acceptable_use": [
            {"id": "a", "category": "c", "phrases": ["heron"], "action": "block", "sides": ["answer"]},
            {"id": "b", "category": "c", "judge": "Is it rude?", "action": "block"},
        ],
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(rules))
    line = json.dumps({"text": "joe@example.com saw a heron"})
    assert scanned(line, "--policy", str(file))[1][0]["action"] == "allow"
    _, (answer,), warnings = scanned(line, "--policy", str(file), "--side", "answer")
    assert (answer["action"], answer["findings"][0]["rule"]) == ("block", "a")
    assert "left out: b" in warnings


def test_when_a_line_is_not_json_with_a_text_then_it_is_named_and_the_others_are_done() -> None:
    status, results, errors = scanned('not json\n{"text": "fine"}\n\n{"txt": 1}\n')
    assert (status, len(results)) == (1, 1)
    assert "line 1: " in errors
    assert "line 4: " in errors


@pytest.mark.parametrize("content", ["{", '{"pii": {"NAME": "redact"}}', '{"own_categories": [{"category": "A_B"}]}'])
def test_when_the_policy_can_not_be_used_then_it_says_why_and_reads_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(content)
    status, results, errors = scanned('{"text": "fine"}', "--policy", str(file))
    assert (status, results) == (2, [])
    assert "the policy can't be used" in errors
