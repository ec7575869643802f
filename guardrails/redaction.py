"""Replacing spans of a text by placeholders such as `<EMAIL_ADDRESS>`."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from guardrails.reading import Reading


class Span(NamedTuple):
    """Something of a category, in `[start, end)` of a text."""

    start: int
    end: int
    category: str
    confidence: float


def redact(reading: Reading, spans: Iterable[Span]) -> Reading:
    """The reading with every span replaced; spans that overlap are replaced as one, so that no part is left over."""
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    kept_to = 0

    def keep(end: int) -> None:
        text.append(reading.text[kept_to:end])
        starts.extend(reading.starts[kept_to:end])
        ends.extend(reading.ends[kept_to:end])

    for group in _overlapping(spans):
        start, end = group[0].start, max(span.end for span in group)
        keep(start)
        placeholder = f"<{_telling(group).category}>"
        text.append(placeholder)
        starts.extend([reading.starts[start]] * len(placeholder))
        ends.extend([reading.ends[end - 1]] * len(placeholder))
        kept_to = end
    keep(len(reading.text))
    return Reading("".join(text), starts, ends)


def _overlapping(spans: Iterable[Span]) -> list[list[Span]]:
    """The spans in groups that overlap, in order of their place."""
    groups: list[list[Span]] = []
    end = -1
    for span in sorted(spans):
        if groups and span.start < end:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span.end)
    return groups


def _telling(group: Sequence[Span]) -> Span:
    """The span that names the placeholder of a group: the longest, then the surest."""
    return min(group, key=lambda span: (span.start - span.end, -span.confidence, span.category))


def placeholders(text: str, categories: Collection[str]) -> list[tuple[int, int]]:
    """Where the text has placeholders of these categories; also ones that were typed, which hide nothing."""
    if not categories:
        return []
    names = "|".join(sorted(categories))
    return [match.span() for match in re.finditer(f"<(?:{names})>", text)]


def outside(start: int, end: int, protected: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of `[start, end)` outside the protected spans (which are in order)."""
    parts = []
    for shield_start, shield_end in protected[bisect_right(protected, start, key=itemgetter(1)) :]:
        if shield_start >= end:
            break
        parts.append((start, shield_start))
        start = shield_end
    parts.append((start, end))
    return [part for part in parts if part[0] < part[1]]
