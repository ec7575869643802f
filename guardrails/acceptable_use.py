"""The acceptable-use rules: patterns that must not occur in a prompt or an answer."""

from collections.abc import Sequence

import regex  # type: ignore[import-untyped]

from guardrails.policy import DenyPattern
from guardrails.reading import readings
from guardrails.verdict import Finding

PATTERN_SECONDS = 1.0
"""How long one pattern may search one reading of a text; ordinary ones take milliseconds for 100,000 characters."""


def violations(text: str, rules: Sequence[DenyPattern]) -> set[Finding]:
    """Every match of every rule. Raises TimeoutError for a pattern that backtracks for too long."""
    found = set()
    for reading in readings(text):
        for rule in rules:
            pattern = regex.compile(rule.pattern, regex.IGNORECASE)  # from the module's cache, but for the first time
            for match in pattern.finditer(reading.text, timeout=PATTERN_SECONDS):
                start, end = reading.source(*match.span())
                found.add(
                    Finding(
                        category=rule.category, rule=rule.id, start=start, end=end, confidence=1.0, action=rule.action
                    )
                )
    return found
