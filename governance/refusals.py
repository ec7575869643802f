"""Refusals at the gate, in the trail: who was not let in, and how often (401, 403 and 404 alike).

The first of a kind is written at once, those that follow as one number a minute, so that a flood of them costs a few
events. What came since the last number is lost with the process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from governance.audit import AuditEvent
from governance.changes import change_event
from services.clock import utc_now, utc_text
from services.documents import StoreError

log = logging.getLogger(__name__)

REFUSAL = "refusal"
WINDOW_SECONDS = 60.0
MOST_KINDS = 500
"""Of a process in a window; further ones are counted together. More than one person makes by trying everything."""


class Refused(NamedTuple):
    """Refusals of one kind, which are counted together."""

    problem: str
    """The problem's type."""
    operation: str = ""
    """The function's name; none for a refused token, which nobody vouches for."""
    actor: str = ""
    """Object id, if the token was good."""
    because: str = ""
    """What was wrong with the token, in fixed words."""


OTHERS = Refused("others")


class Refusals:
    """Those of one process. ``tell`` keeps an event."""

    def __init__(self, tell: Callable[[AuditEvent], Awaitable[None]], window_seconds: float = WINDOW_SECONDS) -> None:
        self._tell = tell
        self._window_seconds = window_seconds
        self._untold: dict[Refused, int] = {}
        self._windows: set[asyncio.Task[None]] = set()

    async def note(self, refused: Refused) -> None:
        """Counts it; the first of its kind is kept when this returns, unless the store does not take it."""
        if refused not in self._untold and len(self._untold) >= MOST_KINDS:
            refused = OTHERS
        if refused in self._untold:
            self._untold[refused] += 1
            return
        self._untold[refused] = 1
        await self._told(refused)
        window = asyncio.create_task(self._count(refused))
        self._windows.add(window)
        window.add_done_callback(self._windows.discard)

    async def _count(self, refused: Refused) -> None:
        """Tells their number at the end of each window, until there was one without any."""
        while True:
            began = utc_text(utc_now())
            await asyncio.sleep(self._window_seconds)
            if not self._untold[refused]:
                break
            await self._told(refused, since=began)
        del self._untold[refused]

    async def _told(self, refused: Refused, since: str | None = None) -> None:
        count = self._untold[refused]
        event = change_event(
            REFUSAL,
            actor=refused.actor,
            target=refused.operation,
            reason=refused.problem,
            Outcome="refused",
            Count=count,
            After={name: value for name, value in (("because", refused.because), ("since", since)) if value},
        )
        try:
            await self._tell(event)
        except StoreError as error:  # they are told with the next
            log.warning("%d refusals are not in the trail yet: %s", count, type(error).__name__)
        else:
            self._untold[refused] -= count
