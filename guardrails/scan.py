"""What a policy would do to texts, for whoever writes one: ``python -m guardrails.scan [--policy FILE] [--side SIDE]``.

Reads JSON lines with a member ``text`` from standard input, and writes a line for each: ``action``, ``text`` as it
would go on, and ``findings`` (category, rule, start and end in code points of the text as it came, confidence, action).
The file has the policy's rules as JSON, as the API takes them; without one the default rules hold. Topics that need a
service or a model beyond this process are left out, and named on standard error.

Exit status: 0, or 1 if a line could not be read, or 2 if the policy could not.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ValidationError

from guardrails.check import check
from guardrails.policy import Policy, Rules, require_enforceable
from guardrails.topics import Side


class Line(BaseModel):
    text: str


async def scan(lines: Iterable[str], policy: Policy, side: Side, out: TextIO, err: TextIO) -> int:
    """Returns how many lines could not be read. Raises :class:`guardrails.errors.GuardrailFailed`."""
    unread = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            text = Line.model_validate_json(line).text
        except ValidationError:
            unread += 1
            print(f"line {number}: not JSON with a member text", file=err)
            continue
        checked = await check(text, policy, side=side)
        findings = [finding.model_dump(mode="json") for finding in checked.verdict.findings]
        result = {"action": checked.verdict.action, "text": checked.text, "findings": findings}
        print(json.dumps(result, ensure_ascii=False), file=out, flush=True)
    return unread


def read_policy(file: Path | None) -> Policy:
    """The rules of a file as a policy. Raises OSError, ValueError (of which pydantic's errors are)."""
    rules = Rules() if file is None else Rules.model_validate_json(file.read_bytes())
    require_enforceable(rules)
    return Policy.model_validate({**rules.model_dump(), "id": "scanned", "version": 1})


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m guardrails.scan", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--policy", type=Path, metavar="FILE", help="the rules, as JSON; the default ones if left out")
    options.add_argument("--side", choices=list(Side), default=Side.PROMPT, type=Side)
    arguments = options.parse_args()
    try:
        policy = read_policy(arguments.policy)
    except (OSError, ValueError) as error:
        print(f"the policy can't be used: {error}", file=sys.stderr)
        return 2
    for topic in policy.acceptable_use:
        if topic.is_remote:
            print(f"left out: {topic.id} needs a service or a model", file=sys.stderr)
    here = [topic for topic in policy.acceptable_use if not topic.is_remote]
    policy = policy.model_copy(update={"acceptable_use": here})
    return 1 if asyncio.run(scan(sys.stdin, policy, arguments.side, sys.stdout, sys.stderr)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
