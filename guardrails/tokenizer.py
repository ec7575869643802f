"""spaCy's tokenizer, kept from the texts that it is slow on.

What stands between white space it takes apart from the ends, searching and hashing all that is left at every step.
That is quadratic: a few thousand percent signs or emoji in a row take seconds.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from spacy.tokens import Doc

LONGEST_RUN = 200
"""Characters without white space that the tokenizer gets at once: more than words have, and most URLs."""

_LONG_RUN = rf"(?=\S{{{LONGEST_RUN + 1}}})"
_TO_A_WORDS_END = rf"\S{{{LONGEST_RUN // 2},{LONGEST_RUN}}}(?!(?<=\w)\w)"
PIECE = re.compile(rf"{_LONG_RUN}(?:{_TO_A_WORDS_END}|\S{{{LONGEST_RUN}}})")
"""What is cut off a longer run: as much as is allowed, up to where a word ends, if there is such a place."""


def in_pieces(tokenizer: Callable[[str], Doc]) -> Callable[[str], Doc]:
    """A tokenizer that gives this one long runs in pieces, and its tokens as those of the whole text."""

    def tokenize(text: str) -> Doc:
        cuts = [0, *(piece.end() for piece in PIECE.finditer(text)), len(text)]
        pieces = [tokenizer(text[start:end]) for start, end in pairwise(cuts)]
        return pieces[0] if len(pieces) == 1 else Doc.from_docs(pieces, ensure_whitespace=False)

    return tokenize
