"""Makes the texts that the name model is trained on, with the places of what is to be found in them. Seeded."""

import random
import re
import string
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics  # the language reference: 500 KB of plain prose
from typing import NamedTuple

from scripts import ner_words as words
from scripts.ner_fillers import Fillers


class Text(NamedTuple):
    """A text and `(start, end, label)` of each thing to be found in it."""

    text: str
    spans: list[tuple[int, int, str]]


SLOT = re.compile(r"\{(\w+)\}")
PERSON_SLOTS = frozenset({"per", "first", "last"})
PLACE_SLOTS = frozenset({"loc", "city", "country"})
ADDRESS_SLOTS = frozenset({"addr", "street", "corner", "addr_corner"})

SUBJECTS = (
    *("{first}", "{first}", "{per}", "{per}", "{last}", "{title} {last}", "{org}", "{city}", "{country}") * 2,
    "the {jobtitle} {per}", "{jobtitle} {last}", "{first} and {first}", "{last} and {last}",
    "{last}, {last} and {last}",
    "{acronym}", "the {acronym} {thing}", "{first}, {first} and {first}", "my friend {first}", "our cousin {first}",
    "a certain {title} {last}",
    "{last}'s {thing}",
    "the {thing}", "the {quality} {thing}", "the {word}", "a {word} {word}", "he", "she", "they", "we", "I", "you",
    "it",
    "nobody", "everyone", "the {nrp} {jobtitle}", "the {nrp} {thing}", "people in {city}", "the {city} {thing}",
    "the {jobtitle} of {org}", "the {word} of {word}", "the {org} {thing}", "{product}", "the {last} {thing}",
    "this {thing}",
)  # fmt: skip
VERB_PHRASES = (
    "is", "was", "has", "saw", "met", "told", "asked", "called", "likes", "hates", "found", "left", "joined", "visited",
    "will {verb}", "can {verb}", "should {verb}", "did not {verb}", "{verb}s", "{verb}ed", "wants to {verb}",
    "works for",
    "worked with", "comes from", "went to", "is from", "lives in", "moved to", "looks like", "is called",
    "used to {verb}",
    "was {verb}ed by", "is {quality} and likes", "had a {thing} from", "gave a {thing} to", "got a {thing} from",
    "became",
    "is waiting for", "laughed at", "plays", "stars with", "fell out with", "married", "knows", "owes {money} to",
    "is near",
)  # fmt: skip
OBJECTS = (
    *("{first}", "{per}", "{last}", "{title} {last}", "{org}", "{city}", "{country}", "{loc}", "{nrp}") * 2,
    "a {thing}", "the {thing}", "{quality} {thing}s", "it", "them", "the {word}", "a {word} {word}", "{n} {thing}s",
    "{product}",
    "{acronym}", "{word}", "{word} and {word}", "{first}'s {thing}", "{last} or {last}", "{street}",
    "the {city} {thing}", "nothing",
    "the {Quality} {Thing}", "{Word} {Word}", "a {nrp} {thing}", "her {thing}", "my {word}", "{month}",
    "the {last} family",
)  # fmt: skip
ADVERBIALS = (
    "in {city}", "in {city}", "near {city}", "from {city}", "in {country}", "at {org}", "for {org}", "with {first}",
    "on {day}",
    "in {month}", "in {year}", "on {date}", "at {time}", "for {n} days", "because of {first}", "by {word}",
    "without a {thing}",
    "after the {thing}", "with a {quality} {thing}", "in the {word}", "and {word}", "since {year}", "like {per}",
    "in {city}, {loc}",
    "which {first} had {verb}ed", "although it was {quality}", "of the {word}", "at {addr}", "during the {word}",
    "to {city}",
)  # fmt: skip


def label_of(slot: str) -> str | None:
    """The label of what fills this slot, if it is to be found."""
    if slot in PERSON_SLOTS:
        return "PERSON"
    if slot in PLACE_SLOTS:
        return "LOCATION"
    if slot in ADDRESS_SLOTS:
        return "STREET_ADDRESS"
    return {"org": "ORGANIZATION", "nrp": "NRP"}.get(slot)


class Corpus:
    """An endless supply of texts; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311  # texts, not secrets
        self._fillers = Fillers(self._chance)
        self._blocks = _sentences()
        self._prose = prose()

    def text(self) -> Text:
        """One to four sentences, a passage of prose, or a piece of one of them."""
        draw = self._chance.random()
        if draw < 0.09:
            return Text(self._passage(), [])
        if draw < 0.15:
            return self._babble()
        if draw < 0.165:
            return Text(self._junk(), [])
        parts = [self._sentence() for _ in range(self._chance.choice((1, 1, 1, 2, 2, 3, 4)))]
        whole = parts[0]
        for part in parts[1:]:
            whole = _joined(whole, part, self._chance.choice((" ", " ", " ", "\n", "\n", "\n\n", ", ", " - ", ". ")))
        whole = self._recased(whole)
        return self._redacted(whole) if self._chance.random() < 0.12 else whole

    def _redacted(self, text: Text) -> Text:
        """The text after some of what is in it was replaced: a placeholder is nobody, and says nothing new."""
        spans: list[tuple[int, int, str]] = []
        made, end = "", 0
        for start, stop, label in text.spans:
            made += text.text[end:start]
            thing = f"<{label}>" if self._chance.random() < 0.6 else text.text[start:stop]
            if thing[0] != "<":
                spans.append((len(made), len(made) + len(thing), label))
            made += thing
            end = stop
        return Text(made + text.text[end:], spans)

    def _junk(self) -> str:
        """The same signs again and again, which name nothing."""
        signs = string.ascii_letters + string.digits + " .,-/:;()%#'é߀Öñж"
        unit = "".join(self._chance.choice(signs) for _ in range(self._chance.randint(1, 5)))
        unit = self._chance.choice(
            (unit, unit, self._fillers.word(), self._chance.choice(words.TITLES), "<STREET_ADDRESS>")
        )
        return self._chance.choice((" ", " ", "", "\n", ", ")).join([unit] * self._chance.randint(4, 60))

    def _passage(self) -> str:
        start = self._chance.randrange(len(self._prose) - 8)
        return " ".join(self._prose[start : start + self._chance.randint(1, 6)])

    def _babble(self) -> Text:
        """Words of another language, perhaps with a name among them."""
        vocabulary = self._chance.choice(words.vocabularies())
        chosen = [self._chance.choice(vocabulary) for _ in range(self._chance.randint(3, 16))]
        chosen[0] = chosen[0].capitalize()
        before = " ".join(chosen) + " "
        if self._chance.random() < 0.6:
            return Text(before.strip() + self._chance.choice((".", "?", "")), [])
        name = self._fillers.person()
        after = " " + " ".join(self._chance.choice(vocabulary) for _ in range(self._chance.randint(1, 8)))
        return Text(f"{before}{name}{after}.", [(len(before), len(before) + len(name), "PERSON")])

    def _composed(self) -> str:
        """A sentence put together by a small grammar, so that names stand in more places than anyone writes down."""
        one = self._chance.choice
        who, verb, whom = one(SUBJECTS), one(VERB_PHRASES), one(OBJECTS)
        rest = "".join(f" {one(ADVERBIALS)}" for _ in range(one((0, 0, 1, 1, 2))))
        front = one(
            ("", "", "", "", f"{one(ADVERBIALS).capitalize()}, ", one(("But ", "So ", "And ", "Then ", "Well, ")))
        )
        statement = f"{who} {verb} {whom}{rest}"
        draw = self._chance.random()
        if draw < 0.12:
            question = one(("why", "when", "how", "where", "since when", "do you know why", "is it true that"))
            return f"{question.capitalize()} {one(('did', 'does', 'will', 'would', 'has', ''))} {statement}?"
        if draw < 0.17:
            return f'"{statement}," {one(("says", "said", "writes", "replied"))} {one(SUBJECTS)}.'
        if draw < 0.22:
            return f"{one(SUBJECTS)}{one((': ', ':', ' - ', ' said: '))}{one(('', chr(34)))}{statement}!"
        if draw < 0.27:
            return f"{one(OBJECTS)}, {one(OBJECTS)} {one(('and', 'or', '&'))} {one(OBJECTS)}{rest}"
        sentence = front + statement
        return (sentence[:1].upper() + sentence[1:] if sentence[0] != "{" else sentence) + one((".", ".", ".", "!", ""))

    def _sentence(self) -> Text:
        if self._chance.random() < 0.25:
            return self._filled(self._composed())
        block = self._chance.choices(self._blocks, (25, 14, 16, 16, 13, 12, 4))[0]
        template = self._chance.choice(block)
        return self._quoted() if template == "{quoted}" else self._filled(self._varied(template))

    def _filled(self, template: str) -> Text:
        spans: list[tuple[int, int, str]] = []
        text, end = "", 0
        for match in SLOT.finditer(template):
            text += template[end : match.start()].replace("{{", "{").replace("}}", "}")
            end = match.end()
            filler = self._fillers.fill(match[1])
            label = label_of(match[1])
            if label and spans and spans[-1][2] == label and text[spans[-1][1] :] == " ":  # a first and a last name
                spans[-1] = (spans[-1][0], len(text) + len(filler), label)
            elif label:
                spans.append((len(text), len(text) + len(filler), label))
            text += filler
        return Text(text + template[end:].replace("{{", "{").replace("}}", "}"), spans)

    def _varied(self, template: str) -> str:
        """The sentence with another word here and there, sometimes cut short: it must not be known by heart."""
        draw = self._chance.random()
        if draw < 0.35:
            return template
        words_changed = 0.06 if draw < 0.8 else 0.2
        pieces = re.split(r"(\{\{|\}\}|\{\w+\}|\b[a-z]{3,}\b)", template)
        for place, piece in enumerate(pieces):
            if place % 2 and piece.isalpha() and self._chance.random() < words_changed:
                pieces[place] = self._fillers.word()
        return "".join(pieces)

    def _quoted(self) -> Text:
        """The block of an address or of the end of a letter, as it is quoted in an answer."""
        block = self._chance.choice(self._blocks[2])
        while block.count("\n") < 1:
            block = self._chance.choice(self._blocks[2] + self._blocks[3])
        mark = self._chance.choice(("> ", ">", "| ", "* ", "- ", "    ", "# ", "?? ", "• "))
        text, spans = self._filled(block)
        marked, places = "", []
        for character in mark + text:
            places.append(len(marked))
            marked += character + (mark if character == "\n" else "")
        shift = len(mark)
        return Text(
            marked, [(places[start + shift], places[end + shift - 1] + 1, label) for start, end, label in spans]
        )

    def _recased(self, text: Text) -> Text:
        """The text as it is, or without capitals, or shouted, or without its full stop."""
        way = self._chance.random()
        changed = text.text
        if way < 0.13:
            changed = changed.lower()
        elif way < 0.17:
            changed = changed.upper()
        elif way < 0.27:  # towns, sometimes names, stand in capitals in letters and forms of some countries
            for start, end, label in text.spans:
                if label == "LOCATION" or (label == "PERSON" and way < 0.19):
                    changed = changed[:start] + changed[start:end].upper() + changed[end:]
        return Text(changed if len(changed) == len(text.text) else text.text, text.spans)


def _sentences() -> list[list[str]]:
    """The sentences of each block, with their line breaks."""
    blocks: dict[str, str] = tomllib.loads(Path(__file__).with_name("ner_sentences.toml").read_text())
    return [
        [line.replace("\\n", "\n").replace("\\t", "\t") for line in block.strip().splitlines()]
        for block in blocks.values()
    ]


@cache
def prose() -> list[str]:
    """Sentences and bits of code of Python's language reference, in which hardly anybody is named."""
    text = "\n".join(topics.values())
    pieces = re.split(r"(?<=[.:?])\s+|\n\n+", text)
    return [" ".join(piece.split()) for piece in pieces if 20 < len(piece) < 400 and "@" not in piece]


def _joined(first: Text, second: Text, between: str) -> Text:
    shift = len(first.text) + len(between)
    moved = [(start + shift, end + shift, label) for start, end, label in second.spans]
    return Text(first.text + between + second.text, first.spans + moved)


def check(text: Text) -> None:
    """Raises AssertionError unless the spans lie in the text, in order and apart."""
    assert all(0 <= start < end <= len(text.text) for start, end, _ in text.spans)
    assert all(before[1] <= after[0] for before, after in pairwise(text.spans))
