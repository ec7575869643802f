"""spaCy's tokenizer, in linear time.

Between white space it takes one affix after another off what is left, and hashes that each time: quadratic, and seconds
for a few thousand emoji or percent signs in a row. So what has no white space for long is given to it in pieces. Only
tokens are cut: the recognisers that match patterns see the text whole.
"""

import re
from itertools import pairwise

from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc

LONGEST_RUN = 200
"""Characters without white space that the tokenizer is given at once: more than words and most URLs have."""

_CUT = re.compile(rf"(?=\S{{{LONGEST_RUN + 1}}})(?:\S{{{LONGEST_RUN // 2},{LONGEST_RUN}}}(?!(?<=\w)\w)|\S{{{LONGEST_RUN}}})")
