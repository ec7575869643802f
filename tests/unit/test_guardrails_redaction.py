"""Redaction as such, with detectors that find what the test wants found."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.check import Checked, check
from guardrails.detection import Detection, Detector
from guardrails.policy import Policy
from guardrails.reading import OVERLAP, WINDOW
from guardrails.redaction import outside
from guardrails.verdict import Action


def finds(**patterns: str) -> Detector:
    """A detector that finds, for each category, what its regular expression matches."""

    def detect(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        return [
            Detection(category, "test", *match.span(), 0.9)
            for category, pattern in patterns.items()
            if category in categories
            for match in re.finditer(pattern, text)
        ]

    return detect


def policy(**pii: str) -> Policy:
    """Of personal data only: what the classifiers flag stays in the text."""
    rules = {"pii": pii, "acceptable_use": [], "injection": {"suspected": "allow"}}
    return Policy.model_validate({"id": "p", "version": 1, **rules})


def spans(checked: Checked) -> list[tuple[str, int, int, Action]]:
    return [(found.category, found.start, found.end, found.action) for found in checked.verdict.findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see joe@x.org now", "see <EMAIL_ADDRESS_1> now"),
        ("joe@x.org", "<EMAIL_ADDRESS_1>"),
        ("joe@x.org joe@y.org", "<EMAIL_ADDRESS_1> <EMAIL_ADDRESS_2>"),
        ("http://h/joe@x.org?a=b ok", "<URL_1> ok"),  # an e-mail address inside a URL: the URL
        ("joe@x.org/path/longer/still ok", "<URL_1> ok"),  # overlapping at one end: the union, named for the longer
        ("👍🏽joe@x.org👍🏽", "👍🏽<EMAIL_ADDRESS_1>👍🏽"),
        ("-" * (WINDOW - 5) + "joe@x.org--", "-" * (WINDOW - 5) + "<EMAIL_ADDRESS_1>--"),  # across the cut of a window
        ("", ""),
        ("nothing", "nothing"),
    ],
)
async def test_when_spans_overlap_then_the_whole_union_is_one_placeholder(text: str, expected: str) -> None:
    detector = finds(EMAIL_ADDRESS=r"[a-z]+@[a-z.]+", URL=r"(http://\S+|x\.org/\S+)")
    checked = await check(text, policy(EMAIL_ADDRESS="redact", URL="redact"), detector=detector)
    assert checked.text == expected


@pytest.mark.parametrize(
    ("action", "text"),
    [("allow", "Ann"), ("warn", "Ann"), ("redact", "<PERSON_1>"), ("block", "<PERSON_1>")],
)
async def test_when_a_category_has_an_action_then_that_is_what_happens(action: str, text: str) -> None:
    checked = await check("Ann", policy(PERSON=action), detector=finds(PERSON="Ann"))
    assert checked.text == text
    assert checked.verdict.action == action
    assert spans(checked) == [("PERSON", 0, 3, Action(action))]


async def test_when_a_category_is_not_in_the_policy_then_it_is_not_looked_for() -> None:
    asked: list[frozenset[str]] = []

    def detector(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        asked.append(categories)
        return []

    await check("Ann", policy(URL="warn"), detector=detector)
    await check("Ann", policy(), detector=detector)
    assert asked == [frozenset({"URL"})]


async def test_when_redacting_uncovers_something_then_it_is_found_at_its_place_in_the_original() -> None:
    detector = finds(PERSON=r"Ann|(?<=<PERSON> )Bob")
    checked = await check("so Ann Bob", policy(PERSON="redact"), detector=detector)
    assert checked.text == "so <PERSON_1> <PERSON_2>"
    assert [span[1:3] for span in spans(checked)] == [(3, 6), (7, 10)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<PERSON>", "<PERSON>"),  # typed or from an earlier check: it hides nothing
        ("Ann <PERSON> Bob", "<PERSON_1> <PERSON> <PERSON_2>"),  # nor does it shield what stands beside it
        ("Ann <PERSON_1> <PERSON_7>", "<PERSON_8> <PERSON_1> <PERSON_7>"),  # what was typed stands for nobody else
        ("<ANN>", "<<PERSON_1>>"),  # not a placeholder
    ],
)
async def test_when_the_text_has_placeholders_then_they_stay_and_protect_nothing_else(text: str, expected: str) -> None:
    detector = finds(PERSON=r"(?i)ann <PERSON> bob|ann|bob|PERSON")
    checked = await check(text, policy(PERSON="redact"), detector=detector)
    assert checked.text == expected


async def test_when_only_a_second_reading_shows_it_then_the_typed_characters_are_redacted() -> None:
    checked = await check(
        "to joe\N{FULLWIDTH COMMERCIAL AT}x.org!",
        policy(EMAIL_ADDRESS="redact"),
        detector=finds(EMAIL_ADDRESS=r"\w+@[a-z.]+"),
    )
    assert checked.text == "to <EMAIL_ADDRESS_1>!"
    assert spans(checked) == [("EMAIL_ADDRESS", 3, 12, Action.REDACT)]


@settings(max_examples=40, deadline=None)
@given(st.text("ab1@. <>PERSON²", max_size=60), st.sampled_from([r"[a-z]+", r"a.?b", r"1+", r"(?<=>)\S", r"PERS|SON"]))
async def test_when_a_text_was_redacted_then_checking_it_again_changes_nothing(text: str, pattern: str) -> None:
    rules, detector = policy(PERSON="redact", URL="block"), finds(PERSON=pattern, URL=r"\w@\w+")
    once = await check(text, rules, detector=detector)
    again = await check(once.text, rules, detector=detector)
    assert again.text == once.text
    assert again.verdict.action is Action.ALLOW
    for found in once.verdict.findings:
        assert 0 <= found.start < found.end <= len(text)


FILLERS = st.integers(0, WINDOW).map(lambda length: ("- " * WINDOW)[:length])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(FILLERS | st.text("ab1 <>PERSON", max_size=40), max_size=9).map("".join),
    st.sampled_from([r"[a-z]+", r"a.?b", r"b(?=[ -]{9}|$)", r"(?<=>)\S\S", r"(?<=<PERSON> )-"]),
)
async def test_when_a_text_of_many_windows_was_redacted_then_checking_it_again_changes_nothing(
    text: str, pattern: str
) -> None:
    rules, detector = policy(PERSON="redact"), finds(PERSON=pattern)
    once = await check(text, rules, detector=detector)
    again = await check(once.text, rules, detector=detector)
    assert (again.text, again.verdict.action) == (once.text, Action.ALLOW)


async def test_when_a_removal_uncovers_something_in_the_window_before_then_it_is_found() -> None:
    words = {WINDOW - OVERLAP - 80: "Bob", WINDOW - OVERLAP + 80: "Ann"}  # the second lies in two windows
    text = "".join(words.get(place, "-") for place in range(2 * WINDOW))
    checked = await check(text, policy(PERSON="redact"), detector=finds(PERSON="Ann|Bob(?=-+<PERSON>)"))
    assert checked.text == text.replace("Bob", "<PERSON_1>").replace("Ann", "<PERSON_2>")


@pytest.mark.parametrize("unit", ["-", "- ", "a-", "\ufdfa", "㌖", "1 "])
async def test_when_a_text_is_long_then_no_detector_gets_more_than_a_window_of_it(unit: str) -> None:
    lengths = []

    def detector(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        lengths.append(len(text))
        return []

    await check(unit * 2 * WINDOW, policy(PERSON="redact"), detector=detector)
    assert max(lengths) <= WINDOW


async def test_when_one_window_changes_then_the_others_are_not_analysed_again() -> None:
    calls = 0
    find = finds(PERSON="Ann")

    def detector(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        nonlocal calls
        calls += 1
        return find(text, categories, threshold)

    await check("word " * 2 * WINDOW, policy(PERSON="redact"), detector=detector)
    undisturbed, calls = calls, 0
    await check("word " * WINDOW + "Ann " + "word " * WINDOW, policy(PERSON="redact"), detector=detector)
    assert calls <= undisturbed + 4


@pytest.mark.parametrize(
    ("span", "protected", "parts"),
    [
        ((2, 8), [], [(2, 8)]),
        ((2, 8), [(0, 2), (8, 9)], [(2, 8)]),
        ((2, 8), [(4, 5)], [(2, 4), (5, 8)]),
        ((2, 8), [(0, 3), (7, 9)], [(3, 7)]),
        ((2, 8), [(2, 8)], []),
        ((2, 8), [(2, 4), (4, 8)], []),
    ],
)
def test_when_part_of_a_span_is_protected_then_the_rest_is_left(
    span: tuple[int, int], protected: list[tuple[int, int]], parts: list[tuple[int, int]]
) -> None:
    assert outside(*span, protected) == parts
