"""The detector of personal data: all recognisers of patterns and, where a category needs it, the model for names.

It never reaches the network. Importing this module takes a tenth of a second, and the model as much: do it late. Used
from the analysis thread only.
"""

import functools
from collections.abc import Iterator, Sequence

from guardrails import ner_model
from guardrails.detection import Detection
from guardrails.kinds import contact, dates, money, national
from guardrails.kinds.phones import REGIONS, find_phones
from guardrails.ner import LABELS, Model

RECOGNISERS = (*contact.RECOGNISERS, *money.RECOGNISERS, *national.RECOGNISERS, *dates.RECOGNISERS)
CATEGORIES = frozenset({*(each.category for each in RECOGNISERS), *LABELS, "PHONE_NUMBER"})
"""What can be looked for."""

_NAMED = frozenset(LABELS)


@functools.cache
def model() -> Model:
    """The model for names, loaded at the first call. Raises GuardrailFailed unless it is the one that was reviewed."""
    return ner_model.load()


def detect(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
    """What the text has of these categories with at least this confidence.

    Raises UnicodeEncodeError for half characters.
    """
    text.encode()  # what is no Unicode could not be stored or sent on, either
    return [found for found in _all(text, categories) if found.confidence >= threshold]


def detect_phones(text: str, regions: Sequence[str]) -> list[Detection]:
    """The telephone numbers of these regions, without those in which :func:`detect` looks for them."""
    return list(find_phones(text, further)) if (further := tuple(sorted({*regions} - {*REGIONS}))) else []


def _all(text: str, categories: frozenset[str]) -> Iterator[Detection]:
    for recogniser in RECOGNISERS:
        if recogniser.category in categories:
            yield from recogniser.find(text)
    if "PHONE_NUMBER" in categories:
        yield from find_phones(text)
    if categories & _NAMED:
        yield from _named(text, categories)


def _named(text: str, categories: frozenset[str]) -> Iterator[Detection]:
    for label, start, end, confidence in model().entities(text):
        # Whoever asks for places but not for addresses wants those in addresses, too.
        category = "LOCATION" if label == "STREET_ADDRESS" and label not in categories else label
        if category in categories:
            yield Detection(category, f"pii/{label.lower().replace('_', ' ')}", start, end, confidence)
