"""Personal data: found by a detector, then acted on as the policy says."""

from collections.abc import Iterable, Iterator, Sequence

from guardrails.analysis_thread import analyse
from guardrails.detection import Detection, Detector
from guardrails.numbering import Numbering, numbered, unnumbered
from guardrails.own_categories import detect_own
from guardrails.policy import Policy
from guardrails.reading import WINDOW, Reading, next_window, window_end, windows
from guardrails.readings import readings
from guardrails.redaction import Span, outside, placeholders, redact
from guardrails.verdict import Action, Finding

REMOVED = frozenset({Action.REDACT, Action.BLOCK})
"""The actions that take the finding out of the text."""


def local_detector(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
    """The detector of this process, loaded at the first call."""
    from guardrails.detector import detect

    return detect(text, categories, threshold)


def local_phones(text: str, regions: Sequence[str]) -> list[Detection]:
    """Telephone numbers of the customer's own regions."""
    from guardrails.detector import detect_phones

    return detect_phones(text, regions)


async def redacted(
    source: str, reading: Reading, policy: Policy, detector: Detector, numbering: Numbering
) -> tuple[str, list[Finding]]:
    """The text without what the policy redacts or blocks, and all findings in the source of the reading.

    Taking a name out changes the context of what is left, in which the model may then see another name. So a window
    that changes is analysed again until nothing more is found: checking a redacted text changes nothing. What is found
    where two windows overlap is removed together with what the later one finds there: the earlier may see only a part.
    """
    if not policy.pii:
        return reading.text, []
    removed = frozenset(category for category, action in policy.pii.items() if action in REMOVED)
    found: list[Finding] = []
    reading = unnumbered(reading, removed)
    starts = [0]  # of the window being analysed, and of those before it
    for_next: list[Span] = []
    while True:
        start, end = starts[-1], window_end(reading.text, starts[-1])
        next_start = next_window(reading.text, end)
        shields = placeholders(reading.text, removed)
        to_remove, for_next = for_next, []
        for detection in await _detections(reading.text[start:end], policy, detector):
            for part in _telling_parts(reading.text, start + detection.start, start + detection.end, shields):
                found.append(_finding(detection, reading.source(*part), policy))
                if detection.category in removed:
                    span = Span(*part, detection.category, detection.confidence)
                    (to_remove if span.start < next_start else for_next).append(span)
        if to_remove:
            reading, for_next = redact(reading, to_remove), []
            if len(starts) > 1 and min(to_remove).start < starts[-2] + WINDOW:  # the window before changes, too
                starts.pop()
        elif next_start < len(reading.text):
            starts.append(next_start)
        else:
            return numbered(reading, removed, source, numbering), _widest(found)


async def _detections(text: str, policy: Policy, detector: Detector) -> list[Detection]:
    """What is detected in any reading of the text, a window, at its place in the text itself."""
    found = []
    for reading in readings(text):
        for offset, stop in windows(reading.text):
            for detection in await analyse(_detect, reading.text[offset:stop], policy, detector):
                start, end = reading.source(offset + detection.start, offset + detection.end)
                found.append(detection._replace(start=start, end=end))
    return found


def _detect(text: str, policy: Policy, detector: Detector) -> list[Detection]:
    own = {each.category for each in policy.own_categories}
    found = detect_own(text, policy.own_categories)
    if categories := policy.pii.keys() - own:
        found += detector(text, frozenset(categories), min(map(policy.threshold, categories)))
    if policy.phone_regions and "PHONE_NUMBER" in categories:
        found += local_phones(text, policy.phone_regions)
    return [each for each in found if each.confidence >= policy.threshold(each.category)]


def _telling_parts(text: str, start: int, end: int, shields: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of a detection beside placeholders: without outer white space, and with a letter or digit."""
    for part_start, part_end in outside(start, end, shields):
        part = text[part_start:part_end]
        if any(character.isalnum() for character in part):
            yield part_start + len(part) - len(part.lstrip()), part_end - len(part) + len(part.rstrip())


def _finding(detection: Detection, place: tuple[int, int], policy: Policy) -> Finding:
    return Finding(
        category=detection.category,
        rule=detection.rule,
        start=place[0],
        end=place[1],
        confidence=detection.confidence,
        action=policy.pii[detection.category],
    )


def _widest(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without those inside another of their category (from a second reading, window or pass)."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (one.category, one.start, -one.end, -one.confidence)):
        last = kept[-1] if kept else None
        if last is None or last.category != finding.category or finding.end > last.end:
            kept.append(finding)
    return kept
