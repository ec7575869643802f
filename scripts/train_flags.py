"""Makes guardrails/flags_model.npz: `python -m scripts.train_flags --data FOLDER`. The same file each
time on the same machine.

It learns from rows of the public sets in FOLDER (scripts/flag_data.py says which rows) and from the sentences in
scripts/flag_sentences, and leaves out whatever is a held-out row, or all but one. Nobody needs to run it to use the
flags: the file is part of the project. docs/guardrails-flags.md says more.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from guardrails import flags
from guardrails.flags import LABELS, STRIDE, Floats, Ints, Model
from scripts import flag_corpus
from scripts.flag_corpus import Example
from scripts.flag_data import HELD_OUT, is_held_out, labels, rows, shingles

SEED = 20261123
EPOCHS = 6
BATCH = 256
"""Windows in one step."""
LEARNING_RATE = 0.03
DECAY = 1e-6
"""How strongly a weight is drawn to zero."""
PUBLIC_WEIGHT = 6.0
"""How much a row of the public sets counts beside a sentence of our own."""


def public_examples(folder: Path) -> Iterator[Example]:
    """The rows of the public sets that are not held out."""
    for file in HELD_OUT:
        for row in rows(folder, file):
            known = labels(file, row)
            if known is not None and not is_held_out(file, row["text"]):
                yield Example(row["text"], known, PUBLIC_WEIGHT)


class HeldOut:
    """The rows that are only measured on."""

    def __init__(self, folder: Path) -> None:
        self._all = {
            shingles(row["text"])
            for file in HELD_OUT
            for row in rows(folder, file)
            if is_held_out(file, row["text"]) and len(row["text"]) < 400
        }
        self._whole = {each for one in self._all for each in one}

    def has(self, text: str) -> bool:
        """Whether the text is one of them, or shares most of its words in a row with one."""
        own = shingles(text)
        if not own & self._whole:
            return False
        return any(2 * len(own & one) > min(len(own), len(one)) for one in self._all if own & one)


class Windows(NamedTuple):
    """What is learned from: the buckets of each window one after the other, and what is known of it."""

    buckets: Ints
    ends: Ints
    known: Floats  # 1 yes, 0 no, NaN not known; a row for each window
    weights: Floats


def windows(examples: list[Example]) -> Windows:
    """The windows of all texts; those of a long one share its weight."""
    buckets, known, weights = [], [], []
    for text, labelled, weight in examples:
        row = [float(labelled[label]) if label in labelled else np.nan for label in LABELS]
        made = list(_windows(text))
        for each in made:
            buckets.append(each)
            known.append(row)
            weights.append(weight / len(made) ** 0.5)
    ends = np.cumsum([len(each) for each in buckets])
    return Windows(np.concatenate(buckets), ends, np.array(known, np.float32), np.array(weights, np.float32))


def _windows(text: str) -> Iterator[Ints]:
    for block in flags.blocks(flags.fold(text)):
        found = flags.features(block)
        length = len(found.runs)
        for start in range(0, max(length - STRIDE, 1), STRIDE):
            first, end = np.searchsorted(found.places, (start, start + 2 * STRIDE))
            yield np.concatenate([found.runs[start : start + 2 * STRIDE].ravel(), found.words[first:end].ravel()])


def train(made: Windows, epochs: int) -> Model:
    """Logistic regression for each label, by Adam in small steps."""
    generator = np.random.default_rng(SEED)
    shape = (flags.BUCKETS, len(LABELS))
    weights, bias = np.zeros(shape, np.float32), np.zeros(len(LABELS), np.float32)
    first, second = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    starts = np.concatenate([[0], made.ends[:-1]])
    targets, mask = np.nan_to_num(made.known), ~np.isnan(made.known) * made.weights[:, None]
    steps, done = epochs * (len(starts) // BATCH), 0
    for epoch in range(epochs):
        losses = []
        order = generator.permutation(len(starts))
        for step in range(len(starts) // BATCH):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            sizes = made.ends[chosen] - starts[chosen]
            cuts = np.cumsum(sizes) - sizes
            places = np.repeat(starts[chosen] - cuts, sizes) + np.arange(sizes.sum())
            buckets = made.buckets[places]
            scale = (1 / np.sqrt(sizes)).astype(np.float32)[:, None]
            odds = 1 / (1 + np.exp(-(np.add.reduceat(weights[buckets], cuts, axis=0) * scale + bias)))
            losses.append(float(-(np.log(np.abs(1 - targets[chosen] - odds) + 1e-7) * mask[chosen]).sum() / BATCH))
            error = (odds - targets[chosen]) * mask[chosen] / BATCH
            gradient = _scattered(buckets, np.repeat(error * scale, sizes, axis=0)) + DECAY * weights
            done += 1
            first += 0.1 * (gradient - first)
            second += 0.01 * (gradient * gradient - second)
            rate = LEARNING_RATE * max(1 - done / steps, 0.02)
            weights -= rate * (first / (1 - 0.9**done)) / (np.sqrt(second / (1 - 0.99**done)) + 1e-5)
            bias -= rate * error.sum(axis=0)
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    return Model(weights, bias)


def _scattered(buckets: Ints, values: Floats) -> Floats:
    columns = [np.bincount(buckets, values[:, label], flags.BUCKETS) for label in range(len(LABELS))]
    return np.stack(columns, axis=1).astype(np.float32)


def main() -> None:
    """Trains, writes the file and prints the hash that guardrails/flags.py must name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=flags.FILE)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    started = time.monotonic()
    held_out = HeldOut(options.data)
    public = list(public_examples(options.data))
    own = {each.text: each for each in flag_corpus.examples(SEED)}.values()
    examples = [each for each in (*public, *own) if each.text.strip() and not held_out.has(each.text)]
    made = windows(examples)
    print(
        f"{len(public)} public rows, {len(own)} texts of our own; {len(examples)} without what is held out", flush=True
    )
    flags.save(train(made, options.epochs), options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes after {time.monotonic() - started:.0f} s, sha256")
    print(hashlib.sha256(options.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
