"""What every stand-in has in common: a command line, a ready line, a control port, counters and faults.

A stand-in is a process: ``python -m local.<name> [options]``. It binds loopback, prints one JSON line on standard
output when it is ready (``{"url": ..., "control": ...}`` and whatever else its clients need), logs to standard error,
and stops cleanly on SIGTERM or SIGINT. Its control port speaks plain HTTP:

=======================  ==================================================================================
GET /control/counts      ``{"<operation>": n}``, what the stand-in was asked since the last reset
POST /control/reset      forget the counts
PUT /control/faults      replace the faults: a JSON array of :class:`Fault`; ``[]`` clears them
GET /control/dump        everything that it holds, as text: what a search for leaked content reads
=======================  ==================================================================================
"""

import argparse
import asyncio
import fnmatch
import json
import logging
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError


class Fault(BaseModel):
    """Something that is to go wrong: ``kind`` happens to operations matching ``operation``, ``times`` times."""

    model_config = ConfigDict(extra="forbid")

    operation: str = "*"
    """A shell-style pattern over the stand-in's operation names (see its module's docstring)."""
    kind: Literal["status", "drop", "delay", "lock-lost"]
    """An error answer, a closed connection, a late answer, a lock taken away."""
    status: int = 503
    seconds: float = 0.0
    """How late, for ``delay``; the Retry-After of a ``status``, where the protocol has one."""
    times: int | None = None
    """How often; None until the faults are replaced."""


_faults = TypeAdapter(list[Fault])


class Control:
    """The counters and faults of one stand-in."""

    def __init__(self, dump: Callable[[], str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.dump: Callable[[], str] = dump or (lambda: "")
        self.routes: list[web.RouteDef] = []
        """What a stand-in adds to its control port."""

    def count(self, operation: str, n: int = 1) -> None:
        self.counts[operation] += n

    def fault(self, operation: str) -> Fault | None:
        """The first fault that applies to this operation, used up by one; None if nothing is to go wrong."""
        for fault in self.faults:
            if fnmatch.fnmatchcase(operation, fault.operation) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/control/counts", self._counts),
                web.post("/control/reset", self._reset),
                web.put("/control/faults", self._faults),
                web.get("/control/dump", self._dump),
                *self.routes,
            ]
        )
        return app

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(dict(sorted(self.counts.items())))

    async def _reset(self, _: web.Request) -> web.Response:
        self.counts.clear()
        return web.Response(status=204)

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self.faults = _faults.validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)

    async def _dump(self, _: web.Request) -> web.Response:
        return web.Response(text=self.dump())


@asynccontextmanager
async def serving(
    app: web.Application,
    *,
    port: int = 0,
    ssl_context: Any = None,
    shutdown_timeout: float = 1.0,
    handler_cancellation: bool = False,
) -> AsyncIterator[str]:
    """Serve an aiohttp application on loopback; yields its URL (no trailing slash).

    With ``handler_cancellation`` the handler of a request is cancelled when its client leaves.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=shutdown_timeout, handler_cancellation=handler_cancellation
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield f"{'https' if ssl_context else 'http'}://127.0.0.1:{bound}"
    finally:
        await runner.cleanup()


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every stand-in takes; each adds its own."""
    options = argparse.ArgumentParser(prog=f"python -m local.{name}", description=description)
    options.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options.add_argument("--control-port", type=int, default=0)
    options.add_argument("--data", type=Path, help="keep the data in this folder; without it, in memory")
    return options


type Service = Callable[[argparse.Namespace, Control], AbstractAsyncContextManager[dict[str, Any]]]


def main(options: argparse.ArgumentParser, service: Service, argv: list[str] | None = None) -> None:
    """Run a stand-in as a process until it is told to stop. ``service`` yields what the ready line says."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    arguments = options.parse_args(argv)
    asyncio.run(_run(service, arguments))


async def _run(service: Service, arguments: argparse.Namespace) -> None:
    control = Control()
    async with service(arguments, control) as ready, serving(control.app(), port=arguments.control_port) as url:
        sys.stdout.write(json.dumps({**ready, "control": url}) + "\n")
        sys.stdout.flush()
        await stop_signal()()


def stop_signal() -> Callable[[], Awaitable[Any]]:
    """Something to wait for: SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped.wait
