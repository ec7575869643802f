"""What a detector of personal data is: a function from a text to what it found there."""

from collections.abc import Callable
from typing import NamedTuple


class Detection(NamedTuple):
    """What a detector found in `[start, end)` of the text that it was given."""

    category: str
    rule: str
    start: int
    end: int
    confidence: float


type Detector = Callable[[str, frozenset[str], float], list[Detection]]
"""Takes a text, the categories to look for and the least confidence; runs in the analysis thread."""
