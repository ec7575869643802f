"""What a policy may say, and how findings amount to a verdict."""

import json

import pytest
from pydantic import ValidationError

from guardrails.policy import DEFAULT_PII, PII_CATEGORIES, Policy
from guardrails.topics import Topic
from guardrails.verdict import Action, Finding, Verdict


def finding(action: Action, start: int = 0) -> Finding:
    return Finding(category="WEAPONS", rule="r", start=start, end=start + 1, confidence=1.0, action=action)


def test_when_a_policy_names_no_pii_then_the_defaults_are_redacted() -> None:
    assert Policy(id="p", version=1).pii == DEFAULT_PII
    assert set(DEFAULT_PII.values()) == {Action.REDACT}
    assert DEFAULT_PII.keys() <= PII_CATEGORIES
    assert DEFAULT_PII.keys() >= {
        "EMAIL_ADDRESS",
        "PHONE_NUMBER",
        "CREDIT_CARD",
        "IBAN_CODE",
        "US_SSN",
        "PERSON",
        "STREET_ADDRESS",
    }
    assert not DEFAULT_PII.keys() & {"DATE_TIME", "NRP", "URL", "LOCATION"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"pii": {"EMAIL": "redact"}}, "no detector for EMAIL"),
        ({"pii": {"PERSON": "shred"}}, "pii.PERSON"),
        ({"pii_threshold": 1.5}, "pii_threshold"),
        ({"version": 0}, "version"),
        ({"acceptable_user": []}, "acceptable_user"),
        ({"acceptable_use": [{"id": "a", "category": "c", "patterns": ["("], "action": "block"}]}, "not a regular"),
        ({"acceptable_use": [{"id": "a", "category": "c", "patterns": ["x*"], "action": "block"}]}, "empty text"),
        ({"acceptable_use": [{"id": "a", "category": "c", "patterns": ["x"], "action": "redact"}]}, "action"),
        ({"acceptable_use": [{"id": "a", "category": "c", "patterns": ["x"], "action": "warn"}] * 2}, "same id"),
    ],
)
def test_when_a_policy_could_not_be_enforced_then_it_is_refused(document: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Policy.model_validate({"id": "p", "version": 1, **document})


def test_when_a_policy_goes_through_json_then_it_is_the_same() -> None:
    policy = Policy(
        id="p",
        version=3,
        pii={"PERSON": Action.BLOCK},
        acceptable_use=[Topic(id="a", category="c", patterns=["x"], action=Action.WARN)],
    )
    assert Policy.model_validate(json.loads(json.dumps(policy.model_dump(mode="json")))) == policy


@pytest.mark.parametrize(
    ("actions", "verdict"),
    [
        ([], Action.ALLOW),
        ([Action.ALLOW], Action.ALLOW),
        ([Action.ALLOW, Action.WARN], Action.WARN),
        ([Action.REDACT, Action.WARN], Action.REDACT),
        ([Action.WARN, Action.BLOCK, Action.REDACT], Action.BLOCK),
    ],
)
def test_when_findings_differ_then_the_strictest_action_decides(actions: list[Action], verdict: Action) -> None:
    assert Verdict.of(finding(action) for action in actions).action is verdict


def test_when_a_verdict_goes_through_json_then_it_is_the_same_and_in_order() -> None:
    verdict = Verdict.of([finding(Action.WARN, start=7), finding(Action.BLOCK, start=2)])
    stored = json.loads(json.dumps(verdict.model_dump(mode="json")))
    assert stored["action"] == "block"
    assert [found["start"] for found in stored["findings"]] == [2, 7]
    assert Verdict.model_validate(stored) == verdict
