"""Whether a text looks like an attempt at the model's instructions, or like a request for harm: a flag, not a gate.

A linear model of this project's own over hashed words, pairs of words and runs of characters, in numpy. It scores a
text in overlapping windows, of which the highest counts. It knows no meaning: what it is good for, and what it misses,
is in docs/guardrails-flags.md. `scripts/train_flags.py` makes it.
"""

import functools
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guardrails.errors import GuardrailFailed
from guardrails.readings import readings

FILE = Path(__file__).with_name("flags_model.npz")
SHA256 = "67d0a122bf10d8d9c0b221594817d26204125ef0f89a48b612febb8fce5a3e8c"

HARMS = ("violence", "weapons", "self-harm", "hate", "sexual", "crime", "cyber", "privacy", "fraud", "deception")
LABELS = ("injection", "harm", *HARMS)
"""What is scored; `harm` is any of the kinds after it."""

THRESHOLDS = {"injection": 0.7, "harm": 0.7}
"""From which score on a text is flagged; about one harmless text in a hundred is."""

LEAST_WORDS, LEAST_CHARACTERS = 4, 40
"""A text with less of both is not flagged: single words weigh too much in it."""

STRIDE = 200
"""Characters from one window to the next. A window is two of them long: an instruction in a document must count."""
BUCKETS = 1 << 15
RUNS = (3, 4, 5)
"""Lengths of the runs of characters."""
WORDS = 5
"""Features of a word: itself, and together with those that follow."""
BLOCK = 40
"""Strides that are worked on at a time, so that memory does not grow with the text."""

type Floats = NDArray[np.float32]
type Ints = NDArray[np.int64]
type Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF, _TOP = np.uint64(32), np.uint64(64 - BUCKETS.bit_length() + 1)
_COMPANY = tuple(np.uint64(odd) for odd in (0xA24BAED4963EE407, 0x9FB21C651E98DF25, 0xC2B2AE3D27D4EB4F))
_EDGE = np.uint64(1)
"""Stands before the first word and after the last."""
_REST = "  " * max(RUNS)


def _powers(base: int, count: int) -> Hashes:
    powers = [1]
    while len(powers) < count:
        powers.append(powers[-1] * base % (1 << 64))
    return np.array(powers, np.uint64)


_LONGEST = (BLOCK + 1) * STRIDE + 2 * len(_REST)
_POWERS = _powers(_BASE, _LONGEST)
_INVERSES = _powers(pow(_BASE, -1, 1 << 64), _LONGEST)


@dataclass(frozen=True)
class Features:
    """The buckets of a block of text: a row for each character, and a row for each word, with its place."""

    runs: Ints
    words: Ints
    places: Ints


def fold(text: str) -> str:
    """The text as it is hashed: small letters, single spaces."""
    return " ".join(text.lower().split())


def features(folded: str) -> Features:
    """What a folded text of at most a block is made of. Everything is hashed at once: a hash of a run is the difference
    of two sums, divided by the power that its place gave it."""
    codes = np.frombuffer(f" {folded}{_REST}".encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    codes[(codes >= ord("0")) & (codes <= ord("9"))] = ord("0")
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * _POWERS[: len(codes)], out=sums[1:])
    length = len(folded)
    first = sums[:length]
    runs = [(sums[size : size + length] - first) * _INVERSES[:length] + np.uint64(size) for size in RUNS]
    edges = np.flatnonzero(np.diff(_in_word(codes).astype(np.int8)))
    starts, ends = edges[::2] + 1, edges[1::2] + 1
    hashes = np.full(len(starts) + 4, _EDGE)
    hashes[1:-3] = (sums[ends] - sums[starts]) * _INVERSES[starts]
    return Features(_buckets(runs), _buckets(_in_company(hashes)), np.maximum(starts - 1, 0))


def _in_word(codes: Hashes) -> NDArray[np.bool_]:
    """Letters and digits; beyond ASCII all but the blocks of signs and spaces."""
    ascii_word = ((codes >= ord("a")) & (codes <= ord("z"))) | (codes == ord("0"))
    sign = ((codes >= 0x2000) & (codes < 0x2C00)) | ((codes >= 0x3000) & (codes < 0x3040))
    word: NDArray[np.bool_] = ascii_word | ((codes >= 0xAA) & ~sign)
    return word


def _in_company(hashes: Hashes) -> list[Hashes]:
    """Each word alone, after the one before it, between its neighbours, and with the second and third word after it."""
    one, two, three = _COMPANY
    before, word, after, second, third = hashes[:-4], hashes[1:-3], hashes[2:-2], hashes[3:-1], hashes[4:]
    pair = before * one + word
    return [word, pair, pair + after * two, word + second * three, word + third * two]


def _buckets(kinds: list[Hashes]) -> Ints:
    hashes = np.stack(kinds, axis=1)
    return (((hashes ^ (hashes >> _HALF)) * _MIX) >> _TOP).astype(np.int64)


def blocks(folded: str) -> Iterator[str]:
    """The text in parts that overlap by a stride, each at most a block long."""
    for start in range(0, max(len(folded) - STRIDE, 1), (BLOCK - 1) * STRIDE):
        yield folded[start : start + BLOCK * STRIDE]


@dataclass(frozen=True)
class Model:
    """A column for each label."""

    weights: Floats
    bias: Floats

    def scores(self, text: str) -> dict[str, float]:
        """How likely each label is by what was learned, 0 to 1; of all windows of all readings the highest.

        Time grows in proportion to the length of the text.
        """
        parts = (features(block) for reading in readings(text) for block in blocks(fold(reading.text)))
        highest = np.max([self._highest(part) for part in parts], axis=0)
        return dict(zip(LABELS, (1 / (1 + np.exp(-highest))).tolist(), strict=True))

    def _highest(self, found: Features) -> Floats:
        """Of the windows of a block, the highest logit of each label."""
        if not len(found.runs):
            return self.bias
        cuts = np.arange(0, len(found.runs), STRIDE)
        firsts = np.searchsorted(found.places, cuts)
        sums = np.add.reduceat(self.weights[found.runs].sum(axis=1), cuts, axis=0)
        if len(found.words):
            rows = np.concatenate([self.weights[found.words].sum(axis=1), np.zeros((1, len(LABELS)), np.float32)])
            words = np.add.reduceat(rows, firsts, axis=0)
            sums += np.where((np.diff(firsts, append=len(found.words)) > 0)[:, None], words, 0)
        counts = len(RUNS) * np.diff(cuts, append=len(found.runs)) + WORDS * np.diff(firsts, append=len(found.words))
        if len(cuts) > 1:  # a window is two strides
            sums, counts = sums[:-1] + sums[1:], counts[:-1] + counts[1:]
        logits: Floats = (self.bias + sums / np.sqrt(counts)[:, None]).max(axis=0)
        return logits


def load(file: Path = FILE) -> Model:
    """The model. Raises GuardrailFailed unless the file is the pinned one, byte for byte."""
    try:
        content = file.read_bytes()
    except OSError:
        raise GuardrailFailed("the model for flags is missing") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise GuardrailFailed("the model for flags is not the one that was reviewed")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Model(arrays["weights"] * arrays["scale"], arrays["bias"])


def save(made: Model, file: Path) -> None:
    """Writes the file, the weights as bytes; the same file for the same model."""
    scale = (np.abs(made.weights).max(axis=0) / 127).astype(np.float32)
    arrays = {"weights": np.rint(made.weights / scale).astype(np.int8), "scale": scale, "bias": made.bias}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)


@functools.cache
def model() -> Model:
    """The model, loaded at the first call."""
    return load()


def scores(text: str) -> dict[str, float]:
    """What the model says of the text, for each of LABELS. Raises GuardrailFailed if the model is not there."""
    return model().scores(text)


def flagged(text: str) -> dict[str, float]:
    """The labels that the text is flagged with, and their scores: `injection`, and `harm` with its likeliest kind.

    Raises GuardrailFailed if the model is not there.
    """
    if len(text) < LEAST_CHARACTERS and len(text.split()) < LEAST_WORDS:
        return {}
    said = scores(text)
    found = {label: said[label] for label, threshold in THRESHOLDS.items() if said[label] >= threshold}
    if "harm" in found:
        kind = max(HARMS, key=said.__getitem__)
        found[kind] = said[kind]
    return found
