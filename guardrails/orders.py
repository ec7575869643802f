"""Orders to the model from whoever may not give any: what a policy does with them in a question and in a document.

Sure are the well-known forms that have no other use (:mod:`guardrails.injections`); suspected are the forms that
ordinary texts have, too, and what the classifier flags (:mod:`guardrails.flags`).
"""

from collections.abc import Sequence
from typing import Literal

import regex  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from guardrails.disguises import Change
from guardrails.injections import attempts
from guardrails.topics import Side
from guardrails.verdict import Action, Finding

CATEGORY = "injection"
CLASSIFIER = "injection/classifier"
REMOVED = "[removed]"
"""What stands where a document gave orders."""

_SENTENCE = regex.compile(r"[^.!?\n]++[.!?]*+|[.!?]++")


class OrdersRule(BaseModel):
    """What becomes of a text that gives the model orders. Turns are documents, too: what was said is data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Literal[Action.ALLOW, Action.LOG, Action.WARN, Action.BLOCK] = Action.BLOCK
    """For a sure form in a question."""
    document: Literal[Action.ALLOW, Action.LOG, Action.WARN, Action.REDACT, Action.BLOCK] = Action.REDACT
    """For a sure form in a document; `redact` takes its sentence out."""
    suspected: Literal[Action.ALLOW, Action.LOG, Action.WARN, Action.BLOCK] = Action.LOG
    """For what is suspected, in both."""


def strictest_orders(rules: Sequence[OrdersRule]) -> OrdersRule:
    """Of each side the strictest action."""
    return OrdersRule.model_validate(
        {name: max((getattr(rule, name) for rule in rules), key=_severity) for name in OrdersRule.model_fields}
    )


def orders(text: str, rule: OrdersRule, side: Side) -> list[Finding]:
    """Every order that the text gives. Raises TimeoutError, and GuardrailFailed without the classifier's weights."""
    sure = {Side.PROMPT: rule.prompt, Side.DOCUMENT: rule.document}.get(side)
    if sure is None:  # what the model says is no order to it
        return []
    found = []
    if sure is not Action.ALLOW or rule.suspected is not Action.ALLOW:
        found = [
            _finding(f"{CATEGORY}/{attempt.form}", attempt.start, attempt.end, 1.0 if attempt.sure else 0.5, action)
            for attempt in attempts(text)
            if (action := sure if attempt.sure else rule.suspected) is not Action.ALLOW
        ]
    if rule.suspected is not Action.ALLOW:
        from guardrails.flags import flagged  # late: it takes time, and not every process checks

        if likely := flagged(text).get(CATEGORY):
            found.append(_finding(CLASSIFIER, 0, len(text), likely, rule.suspected))
    return found


def without(text: str, found: Sequence[Finding]) -> list[Change]:
    """What takes the place of the sentences in which the policy wants an order removed."""
    places = [(finding.start, finding.end) for finding in found if finding.action is Action.REDACT]
    if not places:
        return []
    return [
        (*sentence.span(), REMOVED)
        for sentence in _SENTENCE.finditer(text)
        if any(start < sentence.end() and sentence.start() < end for start, end in places)
    ]


def _finding(rule: str, start: int, end: int, confidence: float, action: Action) -> Finding:
    return Finding(category=CATEGORY, rule=rule, start=start, end=end, confidence=confidence, action=action)


def _severity(action: Action) -> int:
    return action.severity
