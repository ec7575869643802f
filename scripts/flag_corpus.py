"""The sentences that the flags learn from beside public data, made of the lines in scripts/flag_sentences. Seeded."""

import importlib
import inspect
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

from wonderwords import RandomWord  # type: ignore[import-untyped]

from guardrails.flags import HARMS
from scripts.flag_data import HARMLESS
from scripts.ner_corpus import Corpus

FOLDER = Path(__file__).with_name("flag_sentences")
BENIGN_EACH, HARM_EACH, INJECTION_EACH = 120, 72, 90
"""Sentences made of each line."""
EVERYDAY_TEXTS = 8_000
"""Messages and prose made as for the model for names, in which nothing is to be flagged."""
LONG_TEXTS = 4_000
"""Harmless texts of many sentences: length alone must not tell."""
PARAGRAPHS_EACH = 120
"""Made of each line of paragraphs.txt."""
DOCUMENTED = [
    "argparse",
    "asyncio",
    "calendar",
    "codecs",
    "collections",
    "configparser",
    "contextlib",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "doctest",
    "email",
    "enum",
    "fractions",
    "ftplib",
    "functools",
    "getpass",
    "gettext",
    "heapq",
    "html",
    "http.client",
    "imaplib",
    "inspect",
    "ipaddress",
    "json",
    "locale",
    "logging",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib",
    "pdb",
    "pickle",
    "platform",
    "random",
    "re",
    "sched",
    "selectors",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "tokenize",
    "turtle",
    "typing",
    "unittest",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "warnings",
    "weakref",
    "xml.dom",
    "xml.etree.ElementTree",
    "zipfile",
]
"""Modules of the standard library whose descriptions are read, beside the language reference: plain technical prose."""
PROSE_WEIGHT = 2.0

_CHOICE = re.compile(r"\{([^{}]*)\}")


class Example(NamedTuple):
    """A text, what is known of it, and how much it counts."""

    text: str
    known: Mapping[str, bool]
    weight: float


class Maker:
    """Makes sentences of lines; the same ones for the same seed."""

    def __init__(self, seed: int, everyday: Sequence[str]) -> None:
        self._everyday = everyday
        self._chance = random.Random(seed)  # noqa: S311  # sentences, not secrets
        pairs = (line.split(": ", 1) for line in lines("words"))
        self._words = {name: choices.split("|") for name, choices in pairs} | _ordinary_words()
        self._slot = re.compile(rf"\b(?:{'|'.join(self._words)})(?=\b|s\b)")
        self._benign = lines("benign")

    def sentence(self, line: str) -> str:
        """One of those that the line stands for."""
        while (made := _CHOICE.sub(lambda choice: self._one_of(choice[1].split("|")), line)) != line:
            line = made
        made = self._slot.sub(lambda name: self._one_of(self._words[name[0]]), line)
        return self._typed(made.replace("⟨", "{").replace("⟩", "}"))

    def among_others(self, sentence: str) -> str:
        """The sentence with harmless ones around it, as in a document or a long question."""
        others = [self._harmless() for _ in range(self._chance.randint(1, 4))]
        others.insert(self._chance.randint(0, len(others)), sentence)
        return self._one_of((" ", " ", "\n", ". ")).join(others)

    def long_text(self) -> str:
        """Several harmless texts as one, as long as a letter or a specification."""
        parts = [self._harmless() for _ in range(self._chance.randint(5, 16))]
        return self._one_of((" ", " ", "\n", "\n\n")).join(parts)

    def _harmless(self) -> str:
        return (
            self.sentence(self._one_of(self._benign)) if self._chance.random() < 0.5 else self._one_of(self._everyday)
        )

    def _one_of(self, choices: Sequence[str]) -> str:
        return self._chance.choice(choices)

    def _typed(self, sentence: str) -> str:
        """As somebody in a hurry writes it, now and then."""
        draw = self._chance.random()
        if draw < 0.15:
            return sentence.lower()
        if draw < 0.18:
            return sentence.upper()
        return sentence.rstrip("?.!") if draw < 0.3 else sentence


def lines(name: str) -> list[str]:
    """The lines of a file of sentences or words."""
    content = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in content.splitlines() if line and not line.startswith("# ")]


def harm_lines() -> Iterator[tuple[str, str]]:
    """Each line of harm.txt with its kind."""
    kind = ""
    for is_heading, group in groupby(lines("harm"), lambda line: line.startswith("[")):
        if is_heading:
            kind = next(group).strip("[]")
        else:
            yield from ((kind, line) for line in group)


def examples(seed: int) -> Iterator[Example]:
    """Sentences of each line, some of them among harmless ones; everyday texts; long ones."""
    corpus = Corpus(seed)
    everyday = [corpus.text().text for _ in range(EVERYDAY_TEXTS)]
    maker = Maker(seed, everyday)
    for line in lines("injection"):
        for number in range(INJECTION_EACH):
            text = maker.sentence(line)
            yield Example(text if number % 2 else maker.among_others(text), {"injection": True}, 1.0)
    for kind, line in harm_lines():
        known = HARMLESS | {"harm": True, kind: True}
        for number in range(HARM_EACH):
            text = maker.sentence(line)
            yield Example(text if number % 12 else maker.among_others(text), known, 1.0)
    for line in lines("benign"):
        for number in range(BENIGN_EACH):
            text = maker.sentence(line)
            yield Example(text if number % 4 else maker.among_others(text), HARMLESS, 1.0)
    for text in everyday:
        yield Example(text, HARMLESS, 1.0)
    for _ in range(LONG_TEXTS):
        yield Example(maker.long_text(), HARMLESS, 1.0)
    for line in lines("paragraphs"):
        for _ in range(PARAGRAPHS_EACH):
            yield Example(maker.sentence(line), HARMLESS, 1.0)
    for paragraph in prose():
        yield Example(paragraph, HARMLESS, PROSE_WEIGHT)


def prose() -> Iterator[str]:
    """What the standard library says of itself, in pieces of a few sentences."""
    pieces = [text for _, text in sorted(topics.items())]
    for name in DOCUMENTED:
        module = importlib.import_module(name)
        members = [member for _, member in inspect.getmembers(module) if inspect.getmodule(member) is module]
        pieces += [inspect.getdoc(each) or "" for each in (module, *members)]
    for piece in dict.fromkeys(pieces):
        yield from (part for part in piece.split("\n\n") if len(part) > 120)


def _ordinary_words() -> dict[str, list[str]]:
    """Of the dictionary, but for those in the other lists and sentences: an unknown word says nothing bad."""
    content = " ".join([*lines("harm"), *lines("words"), *lines("injection")])
    named = set(re.findall(r"[a-z]+", content.lower()))
    dictionary = RandomWord()
    return {
        slot: [
            word for word in dictionary.filter(include_parts_of_speech=[part]) if word.isalpha() and word not in named
        ]
        for slot, part in {"NOUN": "nouns", "VERB": "verbs", "ADJ": "adjectives"}.items()
    }


assert {kind for kind, _ in harm_lines()} == set(HARMS)
