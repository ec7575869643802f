"""spaCy's tokenizer, kept from the texts that it is slow on.

What stands between white space it takes apart from the ends, searching and hashing all that is left at every step.
That is quadratic: a few thousand percent signs or emoji in a row take seconds.
"""

import re
from collections.abc import Callable

from spacy.tokens import Doc
from spacy.vocab import Vocab

LONGEST_RUN = 300
"""Characters without white space that spaCy's tokenizer gets: more than words have, and most URLs."""

_LONG_RUN = re.compile(rf"(\S{{{LONGEST_RUN + 1},}} ?)")
# Of two letters at least: the model takes time for every token, and junk would have one for nearly every character.
_WORD = re.compile(r"([^\W\d_]{2,})")


def without_long_runs(tokenizer: Callable[[str], Doc], vocab: Vocab) -> Callable[[str], Doc]:
    """The tokenizer, but that longer runs are simply split into words and what stands between them.

    Names and context words are found by tokens; a recogniser that matches a pattern sees the text itself.
    """

    def tokenize(text: str) -> Doc:
        parts = _LONG_RUN.split(text)
        docs = [words_and_signs(part) if _LONG_RUN.match(part) else tokenizer(part) for part in parts]
        return docs[0] if len(docs) == 1 else Doc.from_docs(docs, ensure_whitespace=False)

    def words_and_signs(run: str) -> Doc:
        tokens = [token for token in _WORD.split(run.rstrip(" ")) if token]
        return Doc(vocab, words=tokens, spaces=[False] * (len(tokens) - 1) + [run.endswith(" ")])

    return tokenize
