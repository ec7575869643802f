"""An answer that leaves while it is made: window by window, and no more of it than the guardrails have passed.

What is checked is always all that there is, not a piece of it, so a window leaves only what the whole check would leave
of it, too. It ends with a sentence, and before anything of which the rules can't be sure yet.
"""

import re
from collections.abc import Awaitable, Callable

from guardrails.check import Checked
from guardrails.policy import Policy
from guardrails.topics import Side, concerning
from guardrails.verdict import Action

MOST_CHARACTERS = 20_000
"""Beyond, the rest waits for the end: every window costs two checks of all before it."""

_SENTENCE_END = re.compile(r"[.!?…]['\")\]]*\s+|\n+")

type Look = Callable[[str], Awaitable[Checked]]
type Undecided = Callable[[str], Awaitable[int]]
type Release = Callable[[str], Awaitable[None]]


def may_stream(policy: Policy) -> bool:
    """Whether a part of an answer can be judged: a shape, a classifier and a remote detector look at all of it, and the
    caller's own values are put back at the end."""
    topics = concerning(policy.acceptable_use, Side.ANSWER)
    return not (policy.output or policy.restore or any(topic.is_remote or topic.classifier for topic in topics))


class Windows:
    """Takes an answer in pieces. ``look`` is the whole check of a text, ``undecided`` says from where on it can't be
    sure yet, and ``release`` lets all of a text go."""

    def __init__(self, look: Look, undecided: Undecided, release: Release) -> None:
        self._look = look
        self._undecided = undecided
        self._release = release
        self._text = ""
        self._looked_to = 0
        self._closed = False
        self.released = ""

    @property
    def begun(self) -> bool:
        """Something has left: no other answer can take the place of this one."""
        return bool(self.released)

    async def add(self, piece: str) -> None:
        """Lets go what is sure by now. Raises what ``look`` and ``release`` raise."""
        self._text += piece
        if self._closed or len(self._text) > MOST_CHARACTERS:
            return
        ends = [match.end() for match in _SENTENCE_END.finditer(self._text, self._looked_to)]
        if not ends or ends[0] == self._looked_to:
            return
        undecided = await self._undecided(self._text)
        end = max((each for each in ends if each <= undecided), default=0)
        if not end:
            return
        self._looked_to = end
        all_of_it, window = await self._look(self._text), await self._look(self._text[:end])
        if Action.BLOCK in (all_of_it.verdict.action, window.verdict.action):
            self._closed = True  # the check of the whole says why
            return
        sure = all_of_it.text.startswith(window.text) and window.text.startswith(self.released)
        if sure and window.text != self.released:
            await self._release(window.text)
            self.released = window.text
