"""The kill switch: who may stop what, at once, and how every gate learns of it.

A switch is one document in ``control``: for the platform (scope ``platform``) or for one assistant
(``assistant:<id>``). It is read fresh at every gate, never cached, and nobody is exempt (claims K1-K3).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from governance.changes import Journal, Outdated, change_event
from governance.problems import Problem, ProblemError
from services.clock import utc_text
from services.documents import Items, StoreError

log = logging.getLogger(__name__)

PLATFORM = "platform"
SWITCH_ID = "switch"

FRESH_SECONDS = 0.3
"""How old a reading may be when a model call is sent."""
ACKNOWLEDGE_AFTER_SECONDS = 1.0
"""How long after its write a change is acknowledged: longer than any reading that preceded it stays fresh."""
WATCH_SECONDS = 0.5
FRESH_TRIES = 3


class Stopped(ProblemError):
    """A kill switch is on."""

    type = "stopped"

    def __init__(self, scope: str, reason: str) -> None:
        super().__init__(scope)
        self.reason = reason

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=self.reason)


class SwitchesTooSlow(ProblemError):
    """The switches can't be read fast enough to send a model call on."""

    type = "not-available"
    detail = "The kill switch could not be read in time; nothing was sent to a model."


def assistant_scope(assistant_id: str) -> str:
    return f"assistant:{assistant_id}"


@dataclass(frozen=True)
class Reading:
    """Both switches, as they were at ``taken_at`` (monotonic seconds, before the first read was sent)."""

    taken_at: float

    def is_fresh(self) -> bool:
        return time.monotonic() - self.taken_at < FRESH_SECONDS


async def check_switches(control: Items, assistant_id: str) -> Reading:
    """The gate. Raises :class:`Stopped`; :class:`services.documents.StoreError` if a switch can't be read."""
    taken_at = time.monotonic()
    scopes = (PLATFORM, assistant_scope(assistant_id))
    for switch in await asyncio.gather(*(control.read(SWITCH_ID, scope) for scope in scopes)):
        if switch is not None and switch["stopped"]:
            raise Stopped(switch["scope"], switch["reason"])
    return Reading(taken_at)


async def require_fresh(control: Items, assistant_id: str, reading: Reading) -> None:
    """Returns with a reading that is young enough to send a model call on, read anew if need be.

    Raises what :func:`check_switches` raises, and :class:`SwitchesTooSlow`.
    """
    for _ in range(FRESH_TRIES):
        if reading.is_fresh():
            return
        reading = await check_switches(control, assistant_id)
    if not reading.is_fresh():
        raise SwitchesTooSlow


async def require_running(control: Items, assistant_id: str) -> None:
    """The gate behind which an answer leaves: nothing is stopped, by a reading that is young enough.

    Raises what :func:`require_fresh` raises.
    """
    await require_fresh(control, assistant_id, await check_switches(control, assistant_id))


async def set_switch(journal: Journal, scope: str, *, stopped: bool, reason: str, actor: str) -> None:
    """Write a switch with its audit event; acknowledge one second later.

    The wait is what makes the acknowledgement a promise: no model call that relied on an older reading can start
    after it, since such a reading is stale by then (:data:`FRESH_SECONDS`).
    """
    position = {"stopped": stopped, "reason": reason}
    while True:
        before = await journal.store.control.read(SWITCH_ID, scope)
        event = change_event(
            "switch.set",
            actor=actor,
            target=scope,
            reason=reason,
            Before={} if before is None else {name: before[name] for name in position},
            After=position,
        )
        switch = {"id": SWITCH_ID, "scope": scope, "v": 1, **position, "by": actor, "at": utc_text(event.EventTime)}
        try:
            if before is None:
                await journal.create("control", switch, event)
            else:
                await journal.replace("control", before, switch, event)
        except Outdated:
            continue  # somebody else was faster: what was before is now another
        break
    await asyncio.sleep(ACKNOWLEDGE_AFTER_SECONDS)


@dataclass(eq=False)
class _Watched:
    task: asyncio.Task[Any]
    assistant_id: str
    stop: Stopped | None = None


class SwitchWatcher:
    """One a worker: while model calls run, it polls the switches and cancels the calls that they stop.

    A poll that fails is left to the gate after the call, which fails closed.
    """

    def __init__(self, control: Items) -> None:
        self._control = control
        self._watched: set[_Watched] = set()
        self._poller: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watching(self, assistant_id: str) -> AsyncIterator[None]:
        """Runs its body, cancelled with :class:`Stopped` when a switch that concerns this assistant goes on."""
        task = asyncio.current_task()
        assert task is not None
        watched = _Watched(task, assistant_id)
        self._watched.add(watched)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="switch-watcher")
        try:
            yield
        except asyncio.CancelledError:
            if watched.stop is None:
                raise
            task.uncancel()
            raise watched.stop from None
        finally:
            self._watched.discard(watched)

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(WATCH_SECONDS)
            for assistant_id in {watched.assistant_id for watched in self._watched}:
                try:
                    await check_switches(self._control, assistant_id)
                except Stopped as stop:
                    self._cancel(assistant_id, stop)
                except StoreError as error:
                    log.warning("the switches could not be polled: %s", error)

    def _cancel(self, assistant_id: str, stop: Stopped) -> None:
        for watched in self._watched:
            if watched.assistant_id == assistant_id and watched.stop is None:
                watched.stop = stop
                watched.task.cancel()
