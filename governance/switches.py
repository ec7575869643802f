"""The kill switch: who may stop what, at once, and how every gate learns of it.

A switch is one document in ``control``: for the platform (scope ``platform``) or for one assistant
(``assistant:<id>``). It is read fresh at every gate, never cached, and nobody is exempt (claims K1-K3).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from governance.changes import Conflict, Journal, Outdated, change_event
from governance.problems import Problem, ProblemError
from services.clock import Timestamp, utc_text
from services.documents import Document, Items

log = logging.getLogger(__name__)

PLATFORM = "platform"
SWITCH_ID = "switch"

FRESH_SECONDS = 0.3
"""How old a reading may be when a model call is sent."""
ACKNOWLEDGE_AFTER_SECONDS = 1.0
"""How long after its write a change is acknowledged: longer than any reading that preceded it stays fresh."""
WATCH_SECONDS = 0.4
"""Between two polls while model calls run, and how long one may take."""
BLIND_SECONDS = 1.2
"""After so long without a reading a call is cancelled, once the poll under way ends, at most twice WATCH_SECONDS later:
within two seconds of the last reading, and so within one of the acknowledgement of whatever was written since."""
FRESH_TRIES = 3
MOST_WAITS = 5
"""How often a change waits anew because somebody else has made the same one."""


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


class SwitchesUnread(ProblemError):
    """The switches could not be read while a model call ran, so that it could have been stopped unseen."""

    type = "not-available"
    detail = "The kill switch could not be read while the model answered; the call was cancelled."


def assistant_scope(assistant_id: str) -> str:
    return f"assistant:{assistant_id}"


class Readable(Protocol):
    """What the switches are read from: ``control``."""

    async def read(self, item_id: str, partition: str) -> Document | None: ...


@dataclass(frozen=True)
class Reading:
    """Both switches, as they were at ``taken_at`` (monotonic seconds, before the first read was sent)."""

    taken_at: float

    def is_fresh(self) -> bool:
        return time.monotonic() - self.taken_at < FRESH_SECONDS


async def check_switches(control: Readable, assistant_id: str) -> Reading:
    """The gate. Raises :class:`Stopped`; :class:`services.documents.StoreError` if a switch can't be read."""
    taken_at = time.monotonic()
    scopes = (PLATFORM, assistant_scope(assistant_id))
    for switch in await asyncio.gather(*(control.read(SWITCH_ID, scope) for scope in scopes)):
        if switch is not None and switch["stopped"]:
            raise Stopped(switch["scope"], switch["reason"])
    return Reading(taken_at)


async def require_fresh(control: Items, assistant_id: str, reading: Reading) -> Reading:
    """A reading that is young enough to send a model call on, taken anew if need be.

    Raises what :func:`check_switches` raises, and :class:`SwitchesTooSlow`.
    """
    for _ in range(FRESH_TRIES):
        if reading.is_fresh():
            return reading
        reading = await check_switches(control, assistant_id)
    if not reading.is_fresh():
        raise SwitchesTooSlow
    return reading


async def require_running(control: Items, assistant_id: str) -> Reading:
    """The gate behind which an answer leaves: nothing is stopped, by a reading that is young enough.

    Raises what :func:`require_fresh` raises.
    """
    return await require_fresh(control, assistant_id, await check_switches(control, assistant_id))


class Position(BaseModel):
    """Where a switch is, by whom and since when; running, if nobody ever set it."""

    stopped: bool = False
    reason: str = ""
    by: str = ""
    """Object id in the directory."""
    at: Timestamp | None = None


async def position_of(control: Items, scope: str) -> Position:
    return Position.model_validate(await control.read(SWITCH_ID, scope) or {})


async def list_positions(control: Items, scopes: Iterable[str]) -> dict[str, Position]:
    """The switches of these scopes that were ever set."""
    asked = set(scopes)
    found = control.query("SELECT * FROM c WHERE c.id = @id", {"@id": SWITCH_ID})
    return {each["scope"]: Position.model_validate(each) async for each in found if each["scope"] in asked}


async def set_switch(journal: Journal, scope: str, *, stopped: bool, reason: str, actor: str) -> Position:
    """Write a switch with its audit event; acknowledge one second later, if it is still so.

    The wait is what makes the acknowledgement a promise: no model call that relied on an older reading can start
    after it, since such a reading is stale by then (:data:`FRESH_SECONDS`).

    Of changes that come at once each is written and in the trail, and what the last of them wrote holds. A change is
    acknowledged only if nobody has written another position since, so the last that is acknowledged is the one that
    holds; the others raise :class:`governance.changes.Conflict`. The same position starts the second anew.
    """
    position = {"stopped": stopped, "reason": reason}
    written = await _write(journal, scope, position, actor)
    for _ in range(MOST_WAITS):
        await asyncio.sleep(ACKNOWLEDGE_AFTER_SECONDS)
        now = await journal.store.control.read(SWITCH_ID, scope)
        if now is None or now["stopped"] != stopped:
            break
        if now["_etag"] == written:
            return Position.model_validate(now)
        written = now["_etag"]
    raise Conflict("Somebody else has set this switch since. Look where it is, and set it again if need be.")


async def _write(journal: Journal, scope: str, position: dict[str, Any], actor: str) -> str:
    """The switch's new ETag."""
    while True:
        before = await journal.store.control.read(SWITCH_ID, scope)
        event = change_event(
            "switch.set",
            actor=actor,
            target=scope,
            reason=position["reason"],
            Before={} if before is None else {name: before[name] for name in position},
            After=position,
        )
        switch = {"id": SWITCH_ID, "scope": scope, "v": 1, **position, "by": actor, "at": utc_text(event.EventTime)}
        try:
            if before is None:
                return await journal.create("control", switch, event)
            return await journal.replace("control", before, switch, event)
        except Outdated:
            continue  # somebody else was faster: what was before is now another


@dataclass(eq=False)
class _Watched:
    task: asyncio.Task[Any]
    assistant_id: str
    seen_at: float
    """When the reading was taken that was the last to let it run."""
    stop: Stopped | SwitchesUnread | None = None


class SwitchWatcher:
    """One a worker: while model calls run, it polls the switches and cancels the calls that they stop, and those of
    which it could not read for too long whether they do."""

    def __init__(self, control: Readable) -> None:
        self._control = control
        self._watched: set[_Watched] = set()
        self._poller: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watching(self, assistant_id: str, reading: Reading) -> AsyncIterator[None]:
        """Runs its body, which ``reading`` allows, cancelled with :class:`Stopped` when a switch that concerns this
        assistant goes on, or :class:`SwitchesUnread`. Whatever a cancelled body raises or returns, it ends so."""
        task = asyncio.current_task()
        assert task is not None
        watched = _Watched(task, assistant_id, reading.taken_at)
        self._watched.add(watched)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="switch-watcher")
        try:
            yield
        except BaseException:
            if watched.stop is None:
                raise
        finally:
            self._watched.discard(watched)
        if watched.stop is not None:
            task.uncancel()
            raise watched.stop

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.gather(*(self._look(each) for each in {watched.assistant_id for watched in self._watched}))

    async def _look(self, assistant_id: str) -> None:
        stop: Stopped | None = None
        reading: Reading | None = None
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                reading = await check_switches(self._control, assistant_id)
        except Stopped as switched_off:
            stop = switched_off
        except Exception as error:  # whatever it is: a poller that ends leaves the calls unwatched
            log.warning("the switches could not be polled: %s", type(error).__name__)
        now = time.monotonic()
        for watched in self._watched:
            if watched.assistant_id != assistant_id or watched.stop is not None:
                continue
            if stop is None and reading is not None:
                watched.seen_at = max(watched.seen_at, reading.taken_at)
            elif stop is not None or now - watched.seen_at > BLIND_SECONDS:
                watched.stop = stop or SwitchesUnread()
                watched.task.cancel()
