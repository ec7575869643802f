"""The command line for policy authors."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guardrails.policy import Policy
from guardrails.scan import read_policy, scan
from guardrails.topics import Side
from local.process import ROOT

PLAIN = Policy(id="p", version=1, pii={})


async def scanned(lines: str, policy: Policy = PLAIN, side: Side = Side.PROMPT) -> tuple[int, list[Any], str]:
    """How many lines could not be read, the lines written, and what went to standard error."""
    out, err = io.StringIO(), io.StringIO()
    unread = await scan(lines.splitlines(), policy, side, out, err)
    return unread, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_when_texts_are_scanned_then_each_line_says_what_the_rules_would_do(tmp_path: Path) -> None:
    rules = tmp_path / "policy.json"
    judged = {"id": "b", "category": "c", "judge": "Is it rude?", "action": "block"}
    rules.write_text(json.dumps({"pii": {"EMAIL_ADDRESS": "redact"}, "acceptable_use": [judged]}))
    texts = "\n".join(map(json.dumps, [{"text": "👍 mail joe@example.com"}, {"text": "Nothing here.", "more": 1}]))
    command = [sys.executable, "-m", "guardrails.scan", "--policy", str(rules)]
    done = subprocess.run(command, input=texts, capture_output=True, text=True, cwd=ROOT, check=True, timeout=120)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["action"], first["text"]) == ("redact", "👍 mail <EMAIL_ADDRESS_1>")
    finding = first["findings"][0]
    assert (finding["category"], finding["start"], finding["end"]) == ("EMAIL_ADDRESS", 7, 22)
    assert {"rule", "confidence", "action"} <= finding.keys()
    assert second == {"action": "allow", "text": "Nothing here.", "findings": []}
    assert "left out: b" in done.stderr


async def test_when_a_side_is_given_then_the_rules_of_that_side_hold() -> None:
    heron = {"id": "a", "category": "c", "phrases": ["heron"], "action": "block", "sides": ["answer"]}
    policy = Policy.model_validate({"id": "p", "version": 1, "pii": {}, "acceptable_use": [heron]})
    line = json.dumps({"text": "a heron"})
    assert (await scanned(line, policy))[1][0]["action"] == "allow"
    _, (answer,), _ = await scanned(line, policy, Side.ANSWER)
    assert (answer["action"], answer["findings"][0]["rule"]) == ("block", "a")


async def test_when_a_line_is_not_json_with_a_text_then_it_is_named_and_the_others_are_done() -> None:
    unread, results, errors = await scanned('not json\n{"text": "fine"}\n\n{"txt": 1}\n')
    assert (unread, len(results)) == (2, 1)
    assert "line 1: " in errors
    assert "line 4: " in errors


@pytest.mark.parametrize("content", ["{", '{"pii": {"NAME": "redact"}}', '{"own_categories": [{"category": "A_B"}]}'])
def test_when_the_policy_can_not_be_used_then_it_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="valid"):
        read_policy(file)
