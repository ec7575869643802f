"""Timer triggers: schedules in UTC, fired by one queues instance at a time.

The instance that fires holds an exclusive lock on a file in the run directory, where Azure uses a lease on a blob. The
kernel drops it when its holder ends, however that ends, and the next instance takes over. A function never overlaps
itself on its schedule; occurrences that it slept through are not made up for.
"""

import asyncio
import fcntl
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from local.host import hostjson
from local.host.hostjson import Refused
from local.host.ncrontab import Schedule
from local.host.protos import TypedData
from local.host.worker import Function, FunctionFailed, Worker

log = logging.getLogger("local.host")

_LEASE_POLL = 0.5
"""Seconds between attempts to become the instance that fires."""


class Timers:
    """The timer functions. Raises :class:`~local.host.hostjson.Refused` for a schedule that isn't one."""

    def __init__(self, worker: Worker, functions: Sequence[Function], run_dir: Path) -> None:
        self._worker = worker
        self._lock = run_dir / "timers.lock"
        self._functions = {function.name: function for function in functions}
        self._schedules: dict[str, Schedule] = {}
        for function in functions:
            try:
                self._schedules[function.name] = Schedule.parse(hostjson.resolved(function.trigger["schedule"]))
            except ValueError as error:
                raise Refused(f"{function.name}: {error}") from error
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, grace: float) -> None:
        """Fire until cancelled; then what is running may finish, for ``grace`` seconds at most."""
        with self._lock.open("w") as lock:
            try:
                while not _acquired(lock.fileno()):  # noqa: ASYNC110 - a file lock has nothing to wait for
                    await asyncio.sleep(_LEASE_POLL)
                log.info("this instance fires the timers")
                await asyncio.gather(*map(self._follow, self._functions.values()))
            finally:
                if self._running:
                    await asyncio.wait(self._running, timeout=grace)
                for task in self._running:
                    task.cancel()

    async def _follow(self, function: Function) -> None:
        schedule = self._schedules[function.name]
        due = datetime.now(UTC) if function.trigger.get("runOnStartup") else schedule.next_after(datetime.now(UTC))
        while True:
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
            await asyncio.wait({self._start(function)})
            due = schedule.next_after(max(due, datetime.now(UTC)))  # a sleep may end a little early

    def _start(self, function: Function) -> asyncio.Task[None]:
        task = asyncio.create_task(self._fire(function))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the worker has logged and counted it

    async def _fire(self, function: Function) -> None:
        """Raises :class:`~local.host.worker.FunctionFailed`."""
        now = datetime.now(UTC)
        following = self._schedules[function.name].next_after(now)
        status = {"Last": now.isoformat(), "LastUpdated": now.isoformat(), "Next": following.isoformat()}
        info = {"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": status}
        await self._worker.invoke(function, TypedData(json=json.dumps(info)))

    async def fire_now(self, request: web.Request) -> web.Response:
        """``POST /control/run/{function}``"""
        function = self._functions.get(request.match_info["function"])
        if function is None:
            return web.Response(status=404, text="no such timer function")
        try:
            await self._start(function)
        except FunctionFailed as failure:
            return web.Response(status=500, text=failure.kind)
        return web.Response(status=204)


def _acquired(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
