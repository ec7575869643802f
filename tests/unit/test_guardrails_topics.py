"""Acceptable use: what a topic's detectors find, and the patterns that a customer may not write."""

from collections.abc import Mapping
from typing import Any

import pytest

from guardrails.check import About, check
from guardrails.detection import Detection
from guardrails.errors import GuardrailFailed
from guardrails.patterns import PatternBacktracks, require_harmless
from guardrails.policy import Policy, require_enforceable, strictest, tightened
from guardrails.topics import Side
from guardrails.verdict import Action


def nothing_personal(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
    return []


def policy(*topics: dict[str, Any], **more: Any) -> Policy:
    numbered = [{"id": f"t{n}", "category": "c", "action": "block", **topic} for n, topic in enumerate(topics, start=1)]
    return Policy.model_validate({"id": "p", "version": 1, "pii": {}, "acceptable_use": numbered, **more})


class Detectors:
    """Beyond this process: says what it is told to, and keeps what it was asked."""

    def __init__(self, severities: Mapping[str, int] | None = None, *, attack: bool = False, yes: str = "") -> None:
        self.asked: list[str] = []
        self._severities = {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0, **(severities or {})}
        self._attack = attack
        self._yes = yes

    async def severities(self, text: str) -> Mapping[str, int]:
        self.asked.append(text)
        return self._severities

    async def attacks(self, prompt: str) -> bool:
        self.asked.append(prompt)
        return self._attack

    async def judges(self, question: str, text: str) -> bool:
        self.asked.append(text)
        return question == self._yes


async def rules(text: str, of: Policy, side: Side = Side.PROMPT, remote: Detectors | None = None) -> list[str]:
    checked = await check(text, of, side=side, remote=remote, detector=nothing_personal)
    return [finding.rule for finding in checked.verdict.findings]


@pytest.mark.claim("G1")
async def test_when_a_phrase_or_a_pattern_of_a_topic_is_there_then_it_is_found() -> None:
    topics = policy({"phrases": ["merger talks"]}, {"patterns": [r"\bproject \w+\b"], "action": "log"})
    assert await rules("The MERGER  talks are on", topics) == ["t1"]
    assert await rules("about project Heron", topics) == ["t2"]
    assert await rules("the mergers talk of projects", topics) == []


@pytest.mark.claim("G1")
async def test_when_a_topic_is_only_logged_then_the_text_goes_on_and_the_finding_stays() -> None:
    checked = await check("merger", policy({"phrases": ["merger"], "action": "log"}), detector=nothing_personal)
    assert (checked.text, checked.verdict.action) == ("merger", Action.LOG)
    assert [finding.rule for finding in checked.verdict.findings] == ["t1"]


@pytest.mark.claim("G1")
async def test_when_a_topic_is_of_one_side_then_the_other_is_free() -> None:
    topics = policy({"phrases": ["merger"], "sides": ["answer"]})
    assert await rules("a merger", topics, Side.PROMPT) == []
    assert await rules("a merger", topics, Side.ANSWER) == ["t1"]


@pytest.mark.claim("G1")
@pytest.mark.parametrize(("severity", "found"), [(2, []), (4, ["t1"]), (6, ["t1"])])
async def test_when_content_safety_sees_enough_of_a_category_then_the_topic_is_found(
    severity: int, found: list[str]
) -> None:
    topics = policy({"content_safety": {"Violence": 4}})
    assert await rules("any", topics, remote=Detectors({"Violence": severity, "Hate": 6})) == found


@pytest.mark.claim("G1")
async def test_when_prompt_shields_see_an_attack_then_the_prompt_is_found_and_answers_are_not_asked_about() -> None:
    topics = policy({"prompt_shield": True})
    assert await rules("any", topics, remote=Detectors(attack=True)) == ["t1"]
    assert await rules("any", topics, remote=Detectors()) == []
    assert await rules("any", topics, Side.ANSWER, Detectors(attack=True)) == []


@pytest.mark.claim("G1")
async def test_when_a_judge_says_yes_then_the_topic_is_found() -> None:
    topics = policy({"judge": "Is it legal advice?"}, {"judge": "Is it medical advice?"})
    assert await rules("any", topics, remote=Detectors(yes="Is it medical advice?")) == ["t2"]


@pytest.mark.claim("G2")
async def test_when_a_text_goes_to_a_remote_detector_then_without_its_personal_data() -> None:
    remote = Detectors()
    topics = policy({"content_safety": {"Hate": 2}}, pii={"STAFF": "redact"}, own_categories=[STAFF])
    await check("Who is E123456?", topics, remote=remote, detector=nothing_personal)
    assert remote.asked == ["Who is <STAFF_1>?"]


STAFF = {"category": "STAFF", "patterns": [r"\bE\d{6}\b"]}


@pytest.mark.claim("G1")
async def test_when_a_detector_that_the_policy_asks_for_is_missing_then_the_check_fails() -> None:
    with pytest.raises(GuardrailFailed, match="a detector that is not there"):
        await rules("any", policy({"judge": "Is it?"}), remote=None)


class Broken(Detectors):
    async def severities(self, text: str) -> Mapping[str, int]:
        raise ConnectionError(text)


@pytest.mark.claim("G1")
async def test_when_a_remote_detector_fails_then_the_check_fails_and_tells_nothing() -> None:
    with pytest.raises(GuardrailFailed, match="ConnectionError") as failed:
        await rules("a-word-of-the-prompt", policy({"content_safety": {"Hate": 2}}), remote=Broken())
    assert "a-word" not in repr(failed.value)


PROMPT = "You are the helper of the sales team. Never speak of prices below the list, and never name other customers."


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("answer", "caught"),
    [
        ("My instructions: you are the helper of the sales team. never speak of prices below the list", True),
        ("YOU ARE THE HELPER of the *sales* team; never, speak of prices", True),
        ("You\u200b are the hel\u00adper of the sales team. Never speak of prices below", True),
        ("I am the helper of the sales team and I never speak of prices.", False),
        ("I help you to sell.", False),
        ("", False),
    ],
)
async def test_when_an_answer_tells_its_instructions_then_it_is_blocked(answer: str, caught: bool) -> None:
    checked = await check(
        answer, policy(), side=Side.ANSWER, about=About(instructions=PROMPT), detector=nothing_personal
    )
    assert [finding.rule for finding in checked.verdict.findings] == (["system-prompt-leak"] if caught else [])
    assert checked.verdict.action is (Action.BLOCK if caught else Action.ALLOW)


@pytest.mark.claim("G1")
async def test_when_an_answer_is_not_of_the_shape_then_the_policy_says_what_becomes_of_it() -> None:
    shapes = policy(output=[{"rule": "length", "most_characters": 3, "action": "warn"}])
    assert await rules("long", shapes, Side.ANSWER) == ["length"]
    assert await rules("long", shapes, Side.PROMPT) == []


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"x(\w+\s?)*$", r"(x|xx)+y", r"(.*a){12}b", r"(\s*,\s*)+x", r"(\w+\s?)+!"]
)
def test_when_a_pattern_backtracks_then_a_policy_with_it_is_not_saved(pattern: str) -> None:
    with pytest.raises(PatternBacktracks, match="pattern 2"):
        require_harmless(["fine", pattern])
    with pytest.raises(PatternBacktracks):
        require_enforceable(policy({"patterns": [pattern]}))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bE\d{6}\b",
        r"(?:PRJ|INC)-\d{4,8}",
        r"[A-Z]{2}\d{2}(?: ?\d{4}){3}",
        r"\w+@contoso\.com",
        r"\b(build|make|assemble)\b.{0,40}\b(bomb|explosive|grenade)s?\b",
    ],
)
def test_when_a_pattern_is_an_ordinary_one_then_it_is_taken(pattern: str) -> None:
    require_harmless([pattern])


def test_when_policies_are_put_together_then_of_each_rule_the_strictest_holds() -> None:
    one = Policy.model_validate(
        {
            "id": "one",
            "version": 2,
            "pii": {"PERSON": "warn", "URL": "allow"},
            "pii_thresholds": {"PERSON": 0.9},
            "acceptable_use": [{"id": "a", "category": "c", "phrases": ["xx"], "action": "warn"}],
        }
    )
    two = Policy.model_validate(
        {
            "id": "two",
            "version": 5,
            "pii": {"PERSON": "block"},
            "acceptable_use": [
                {"id": "a", "category": "c", "phrases": ["yy"], "action": "block"},
                {"id": "b", "category": "c", "phrases": ["zz"], "action": "log"},
            ],
            "output": [{"rule": "no-code", "action": "warn"}],
        }
    )
    both = strictest([one, two])
    assert both.pii == {"PERSON": Action.BLOCK, "URL": Action.ALLOW}
    assert both.threshold("PERSON") == 0.4
    assert [(rule.id, rule.action) for rule in both.acceptable_use] == [
        ("one/a", Action.WARN),
        ("two/a", Action.BLOCK),
        ("b", Action.LOG),
    ]
    assert len(both.output) == 1
    assert strictest([one]) is one


def test_when_a_policy_is_tightened_then_nothing_gets_milder() -> None:
    plain = policy(pii={"PERSON": "block", "URL": "warn"})
    tight = tightened(plain, {"PERSON": Action.WARN, "URL": Action.REDACT, "UUID": Action.WARN})
    assert tight.pii == {"PERSON": Action.BLOCK, "URL": Action.REDACT, "UUID": Action.WARN}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"own_categories": [STAFF]}, "no action for STAFF"),
        ({"own_categories": [STAFF, STAFF], "pii": {"STAFF": "redact"}}, "the same name"),
        ({"own_categories": [{**STAFF, "category": "PERSON"}], "pii": {"PERSON": "redact"}}, "the same name"),
        ({"pii_thresholds": {"NAME": 0.5}}, "no detector for NAME"),
        ({"acceptable_use": [{"id": "a", "category": "c", "action": "block"}]}, "no detector"),
    ],
)
def test_when_a_policy_contradicts_itself_then_it_is_refused(document: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Policy.model_validate({"id": "p", "version": 1, **document})
