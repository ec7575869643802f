"""Child processes of the stack: started, awaited until they say that they are ready, stopped, killed.

A child is a module of this tree, run by :mod:`local.child` in a session of its own: Ctrl-C reaches the supervisor
alone, which then stops its children in order; and no child outlives the supervisor.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, where children run."""

START_LIMIT = 60.0
"""Seconds that a child may take to be ready: many times what it needs on a busy machine."""

_TAIL_LINES = 20


class StartFailed(Exception):
    """A child ended, or stayed silent, instead of doing what it was started for. The message has its log's end."""


class Process:
    """One child. ``ready`` is what it said on its ready line."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.log = log
        self.ready: dict[str, Any] = {}
        self._process = process
        self._ended = asyncio.create_task(self._reap())
        self._output: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, name: str, module: str, options: Sequence[object], *, environment: Mapping[str, str], logs: Path
    ) -> Self:
        """Start a module and wait for its ready line: the first line of its output that is a JSON object.

        What else it writes, to either output, goes to ``logs/<name>.log``. Raises :class:`StartFailed`.
        """
        child = await cls._spawn(name, module, options, environment, logs)
        try:
            async with asyncio.timeout(START_LIMIT):
                child.ready = await child._ready_line()
        except TimeoutError:
            await child.kill()
            raise StartFailed(f"{name} was not ready after {START_LIMIT:.0f} s{child._tail()}") from None
        except BaseException:
            await child.kill()
            raise
        child._output = asyncio.create_task(child._keep_output())
        return child

    @classmethod
    async def run(
        cls, name: str, module: str, options: Sequence[object], *, environment: Mapping[str, str], logs: Path
    ) -> None:
        """Run a module to its end. Raises :class:`StartFailed` if it ends with anything but exit code 0."""
        child = await cls._spawn(name, module, options, environment, logs)
        try:
            await child._keep_output()
            code = await child.wait()
        except BaseException:
            await child.kill()
            raise
        if code != 0:
            raise StartFailed(f"{name} ended with exit code {code}{child._tail()}")

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def control(self) -> str:
        """The URL of its control port."""
        return str(self.ready["control"])

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit code, once it has ended; negative: the signal that ended it."""
        code = await asyncio.shield(self._ended)
        if self._output is not None:
            await self._output
        return code

    async def kill(self) -> None:
        """End it at once (SIGKILL), with all that it started, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self.wait()

    async def stop(self, grace: float) -> None:
        """Ask it to end (SIGTERM); kill it if it has not after ``grace`` seconds."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    async def _reap(self) -> int:
        code = await self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it may have left behind
        return code

    @classmethod
    async def _spawn(
        cls, name: str, module: str, options: Sequence[object], environment: Mapping[str, str], logs: Path
    ) -> Self:
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"{name}.log"
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "local.child", module, *map(str, options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )  # fmt: skip
        return cls(name, process, log)

    async def _ready_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            async for line in self._process.stdout:
                if line.startswith(b"{"):
                    ready: dict[str, Any] = json.loads(line)
                    return ready
                log.write(line)
        code = await self.wait()
        raise StartFailed(f"{self.name} ended with exit code {code} before it was ready{self._tail()}")

    async def _keep_output(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            while chunk := await self._process.stdout.read(65536):
                log.write(chunk)

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"; the end of {self.log}:", *lines]) if lines else f"; {self.log} is empty"
