"""Numbered placeholders: in one conversation `<PERSON_1>` stays the same person, and nobody else becomes it.

What is kept to know a value again is a keyed hash of it, never the value.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Mapping

from guardrails.disguises import rewritten
from guardrails.reading import Reading


class Numbering:
    """Which placeholder stands for which value."""

    def __init__(self, key: bytes, known: Mapping[str, str] | None = None) -> None:
        """`known` as an earlier text of the conversation left it, under the same key."""
        self.known = dict(known or {})
        """Placeholder by keyed hash of the value: what is to be kept for the next text."""
        self.values: dict[str, str] = {}
        """What each placeholder stands for in the texts that this numbering has seen, as it was first written."""
        self._key = key
        self._taken = set(self.known.values())

    def keep_clear_of(self, placeholders: Iterable[str]) -> None:
        """Placeholders that somebody typed are given to no value."""
        self._taken.update(placeholders)

    def placeholder(self, category: str, value: str) -> str:
        """The placeholder of a value, the next number of its category if it has none yet."""
        digest = hmac.digest(self._key, f"{category}\0{_alike(value)}".encode(), hashlib.sha256).hex()
        if digest not in self.known:
            numbers = (int(each[len(category) + 2 : -1]) for each in self._taken if each.startswith(f"<{category}_"))
            self.known[digest] = f"<{category}_{1 + max(numbers, default=0)}>"
            self._taken.add(self.known[digest])
        self.values.setdefault(self.known[digest], value)
        return self.known[digest]


def _alike(value: str) -> str:
    """What two ways to write a value have in common: capitals and spaces do not count, nor do signs in numbers."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    if "@" not in folded and any(character.isdigit() for character in folded):
        return "".join(character for character in folded if character.isalnum())
    return " ".join(folded.split())


def unnumbered(reading: Reading, categories: Iterable[str]) -> Reading:
    """The reading with the numbers left out of its placeholders, as the detectors know them."""
    changes = [
        (match.start(), match.end(), f"<{match.group(1)}>") for match in _pattern(categories).finditer(reading.text)
    ]
    return rewritten(reading, changes)


def numbered(reading: Reading, categories: Iterable[str], source: str, numbering: Numbering) -> str:
    """The text of the reading, each placeholder with its number; one that was typed stays as it was."""
    pattern = _pattern(categories)
    numbering.keep_clear_of(match.group() for match in pattern.finditer(source) if match.group(2))
    changes = []
    for match in pattern.finditer(reading.text):
        start, end = reading.source(*match.span())
        value = source[start:end]
        new = value if pattern.fullmatch(value) else numbering.placeholder(match.group(1), value)
        changes.append((match.start(), match.end(), new))
    return rewritten(reading, changes).text


def restored(text: str, values: Mapping[str, str]) -> str:
    """The text with the values in the places of their placeholders."""
    return re.sub(r"<[A-Z][A-Z0-9_]*_\d{1,5}>", lambda match: values.get(match.group(), match.group()), text)


def _pattern(categories: Iterable[str]) -> re.Pattern[str]:
    names = "|".join(sorted(categories)) or "(?!)"
    return re.compile(rf"<({names})(?:_(\d{{1,4}}))?>")
