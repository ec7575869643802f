"""Names, addresses, places, organisations and nationalities: a small model of this project's own, in numpy.

Every token is described by hashed features (the word if training saw it often, its beginnings and ends, its shape, the
case of its line), whose vectors are summed; three layers that see two tokens to either side each give it a score for
every tag; the best sequence of tags that is well formed wins. `scripts/train_ner.py` makes the model.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

LABELS = ("PERSON", "STREET_ADDRESS", "LOCATION", "ORGANIZATION", "NRP")
TAGS = ("O", *(f"{part}-{label}" for label in LABELS for part in "BI"))
"""`B` starts an entity, `I` carries it on."""

BUCKETS = 30_000
"""Rows of the vectors for features other than known words; the first is nothing, the second the unknown word."""
FEATURES = 12
REACH = 2
"""Tokens to either side that a layer sees."""

type Floats = NDArray[np.float32]
type Ints = NDArray[np.int64]

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]|_|\n")
_YEAR = re.compile(r"(?:19|20)\d\d")
_LONGEST = 24
"""Characters of a word that are looked at."""


class Token(NamedTuple):
    """A word, a number, a sign or a line break."""

    text: str
    start: int
    end: int


class Entity(NamedTuple):
    """Something of a label in `[start, end)` of the text; `confidence` is the mean of its tokens' probabilities."""

    label: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class Parameters:
    """What training makes. The layers are matrices over what a token and its neighbours within reach are."""

    words: NDArray[np.uint32]  # crc32 of the known words, in order
    vectors: Floats  # a row for each bucket, then for each known word
    layers: tuple[tuple[Floats, Floats], ...]  # weights and biases; all but the first add to what came in
    output: tuple[Floats, Floats]


def tokens(text: str) -> list[Token]:
    """The text as the model sees it; white space other than line breaks is left out, and so is what cannot be seen."""
    return [Token(match.group(), *match.span()) for match in _TOKEN.finditer(text)]


def features(text: str, parts: Sequence[Token]) -> tuple[NDArray[np.uint32], Ints]:
    """The hash of each token's word, and the rows of its other features, `FEATURES - 1` for each."""
    words, rows = [], []
    seen: dict[str, tuple[int, list[int]]] = {}
    case, line_ends, previous_end = "", -1, 0
    for word, start, end in parts:
        if start > line_ends:
            line_ends = _line_end(text, start)
            case = _case(text[start:line_ends])
        known = seen.get(word)
        if known is None:
            known = seen[word] = _word_features(word)
        words.append(known[0])
        gap = "=" if start == previous_end else "+"
        rows.append([*known[1], _bucket(gap + case)])
        previous_end = end
    return np.array(words, np.uint32), np.array(rows, np.int64).reshape(len(rows), FEATURES - 1)


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start + 1)
    return len(text) if end < 0 else end


def _case(line: str) -> str:
    """How a line is written: a name in a line without capitals has none, either."""
    if line.islower():
        return "lower"
    if line.isupper():
        return "upper"
    return "title" if line.istitle() else "mixed"


def _word_features(word: str) -> tuple[int, list[int]]:
    word = word[:_LONGEST]
    if word[0].isdigit():
        form = "year" if _YEAR.fullmatch(word) else "0" * len(word)
        return crc32(form.encode()), [_bucket("n" + form), *[_bucket("n")] * (FEATURES - 3)]
    lower = word.lower()
    edged = f"^{lower}$"
    plain = unicodedata.normalize("NFKD", lower)[0]
    return crc32(lower.encode()), [
        _bucket("s" + _shape(word)),
        _bucket("l" + str(min(len(word), 9)) + plain),
        _bucket("p" + edged[:2]),
        _bucket("p" + edged[:3]),
        _bucket("p" + edged[:4]),
        _bucket("p" + edged[:5]),
        _bucket("e" + edged[-2:]),
        _bucket("e" + edged[-3:]),
        _bucket("e" + edged[-4:]),
        _bucket("e" + edged[-5:]),
    ]


def _shape(word: str) -> str:
    if word.islower():
        return "x"
    if word.istitle():
        return "Xx" if len(word) > 1 else "X"
    if word.isupper():
        return "XX"
    if not word.isalpha():
        return word
    return "xX" if word[0].islower() else "XxX" if any(map(str.isupper, word)) else "-"


def _bucket(feature: str) -> int:
    return 2 + crc32(feature.encode()) % (BUCKETS - 2)


class Model:
    """The model at work. It is not changed by what it reads."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def entities(self, text: str) -> list[Entity]:
        """What the text names, in order, without overlaps. Time grows in proportion to the length of the text."""
        parts = tokens(text)
        if not parts:
            return []
        scores = self.scores(text, parts)
        return _entities(parts, best_tags(scores), _probabilities(scores))

    def scores(self, text: str, parts: Sequence[Token]) -> Floats:
        """A score for each tag of each token."""
        words, rows = features(text, parts)
        known = self._parameters.words
        places = np.searchsorted(known, words).clip(max=len(known) - 1)
        word_rows = np.where(known[places] == words, places + BUCKETS, 1)
        vectors = self._parameters.vectors
        state = vectors[rows].sum(axis=1) + vectors[word_rows]
        for number, (weights, bias) in enumerate(self._parameters.layers):
            change = np.maximum(neighbourhood(state) @ weights + bias, 0)
            state = state + change if number else change
        weights, bias = self._parameters.output
        scores: Floats = state @ weights + bias
        return scores


def neighbourhood(state: Floats) -> Floats:
    """Each row with those of the tokens within reach beside it."""
    padded = np.pad(state, ((REACH, REACH), (0, 0)))
    return np.concatenate([padded[shift : shift + len(state)] for shift in range(2 * REACH + 1)], axis=1)


def _probabilities(scores: Floats) -> Floats:
    powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _allowed() -> Floats:
    """0 where the tag of the column may follow that of the row, else a very low score."""
    return np.array([
        [-1e9 if after[0] == "I" and before[2:] != after[2:] else 0 for after in TAGS] for before in TAGS
    ], np.float32)  # fmt: skip


_TRANSITIONS = _allowed()
_FIRST = np.array([-1e9 if tag[0] == "I" else 0 for tag in TAGS], np.float32)


def best_tags(scores: Floats) -> list[int]:
    """The well formed sequence with the highest sum of scores (Viterbi)."""
    best = scores[0] + _FIRST
    back = []
    for row in scores[1:]:
        options = best[:, None] + _TRANSITIONS
        chosen = options.argmax(axis=0)
        back.append(chosen)
        best = options[chosen, range(len(TAGS))] + row
    tag = int(best.argmax())
    path = [tag]
    for chosen in reversed(back):
        tag = int(chosen[tag])
        path.append(tag)
    return path[::-1]


def _entities(parts: Sequence[Token], tags: Sequence[int], probabilities: Floats) -> list[Entity]:
    """Neighbours of one label are one entity: a first name and a last name, a street and its town."""
    found: list[Entity] = []
    first = 0
    while first < len(tags):
        label = TAGS[tags[first]][2:]
        last = first
        while last + 1 < len(tags) and TAGS[tags[last + 1]][2:] == label:
            last += 1
        if label and any(part.text[0].isalpha() for part in parts[first : last + 1]):  # numbers alone say nothing
            begins = TAGS.index(f"B-{label}")
            confidence = float(probabilities[first : last + 1, begins : begins + 2].sum(axis=1).mean())
            found.append(Entity(label, parts[first].start, parts[last].end, min(confidence, 1.0)))
        first = last + 1
    return found
