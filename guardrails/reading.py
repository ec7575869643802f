"""A text as it is read by the detectors, with the way back to where each character came from.

Full-width or mathematical letters, ligatures and invisible characters must not hide a word or an address.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WINDOW = 2_000
OVERLAP = 320
"""Characters that two windows share: more than the longest thing looked for, an e-mail address of 254 (RFC 5321)."""
LONGEST_CLUSTER = 32
"""A character and the marks on it. Normalising is quadratic in the marks; no language has more than a few (Unicode
Standard Annex 15, "Stream-Safe Text Format", allows 30)."""
_BEYOND_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
"""What normalising may change, with the character before it, which may combine with it."""
LARGEST_GROWTH = 6
"""How many times as long a normalised text may be. U+FDFA alone stands for 18 characters."""


@dataclass(frozen=True)
class Reading:
    """`text`, whose character `i` stands for `[starts[i], ends[i])` of the source."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The span of the source that `[start, end)` of this reading stands for."""
        if start == end:
            place = self.starts[start] if start < len(self.starts) else (self.ends[-1] if self.ends else 0)
            return place, place
        return self.starts[start], self.ends[end - 1]


def as_typed(text: str) -> Reading:
    """The text itself."""
    return Reading(text, range(len(text)), range(1, len(text) + 1))


def normalised(text: str) -> Reading:
    """NFKC (Unicode Standard Annex 15) without format characters (category Cf: zero-width, soft hyphen, bidi marks)."""
    visible = [index for index, character in enumerate(text) if unicodedata.category(character) != "Cf"]
    shown = "".join(text[index] for index in visible)
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(shown):
        piece = shown[start:end]
        if piece.isascii():  # nothing of it changes
            starts.extend(visible[start:end])
            ends.extend(place + 1 for place in visible[start:end])
        else:
            piece = _compatible(piece)
            starts.extend([visible[start]] * len(piece))
            ends.extend([visible[end - 1] + 1] * len(piece))
        pieces.append(piece)
    return Reading("".join(pieces), starts, ends)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans that normalise each on its own: runs of ASCII, and each other character with all that combines with it."""
    done = 0
    for match in _BEYOND_ASCII.finditer(text):
        if done < match.start():
            yield done, match.start()
        yield from _combined(text, *match.span())
        done = match.end()
    if done < len(text):
        yield done, len(text)


def _combined(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    for index in range(start + 1, stop):
        character = text[index]
        if character.isascii() or index - start == LONGEST_CLUSTER or not _combines(text[start:index], character):
            yield start, index
            start = index
    yield start, stop


def _combines(cluster: str, character: str) -> bool:
    if unicodedata.combining(character):
        return True
    separate = unicodedata.normalize("NFKC", cluster) + unicodedata.normalize("NFKC", character)
    return unicodedata.normalize("NFKC", cluster + character) != separate


def _compatible(cluster: str) -> str:
    """Its NFKC; but a ligature of a whole phrase, of which there are two in Arabic, stays as it is."""
    form = unicodedata.normalize("NFKC", cluster)
    return form if len(form) <= LARGEST_GROWTH * len(cluster) else cluster


def windows(text: str) -> Iterator[tuple[int, int]]:
    """Overlapping spans that cover the text, cut at white space where there is some.

    Detectors are quadratic in places (context words, duplicates, backtracking) and hold the interpreter while they
    run; a window bounds both. What lies across a cut is whole in the next window.
    """
    start = 0
    while (end := window_end(text, start)) < len(text):
        yield start, end
        start = next_window(text, end)
    yield start, end


def window_end(text: str, start: int) -> int:
    """Where the window from there on ends; the text that decides it lies before `start + WINDOW`."""
    end = start + WINDOW
    return _white_space_before(text, end) if end < len(text) else len(text)


def next_window(text: str, end: int) -> int:
    """Where the window starts that follows the one that ends there: at the end of the text if none does."""
    return _white_space_before(text, end - OVERLAP) if end < len(text) else end


def _white_space_before(text: str, position: int) -> int:
    """The nearest cut after white space, at most an overlap back; else the position itself."""
    for cut in range(position, position - OVERLAP, -1):
        if text[cut - 1].isspace():
            return cut
    return position
