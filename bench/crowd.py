"""A crowd that calls at a steady rate, each without waiting for the others, from a process of its own.

``python -m bench.crowd`` reads jobs from standard input, a JSON line each, and says what came of each in a line. It
speaks HTTP over bare sockets: a client that took more of the machine would slow down what is measured beside it.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from local.process import ROOT

LINE_BYTES = 64 * 2**20


class Call(NamedTuple):
    method: str
    path: str
    token: str
    body: str = ""


class Outcome(NamedTuple):
    seconds: float
    """From the first call to the last answer."""
    statuses: dict[str, int]
    """How many answers there were of each."""
    median: float
    """Seconds that an answer took."""
    slowest: float


@dataclass
class _Server:
    """One address, and the connections to it that nobody uses."""

    host: str
    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def call(self, call: Call) -> int:
        """The status of the answer. Raises :class:`OSError`, :class:`EOFError`."""
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        body = call.body.encode()
        writer.write(
            f"{call.method} {call.path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {call.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        members = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if b"content-length" in members:
            await reader.readexactly(int(members[b"content-length"]))
        else:
            await reader.readuntil(b"0\r\n\r\n")  # in pieces; no text of ours ends so
        self.idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])


async def _at_rate(server: _Server, calls: Sequence[Call], rate: float) -> Outcome:
    statuses: Counter[str] = Counter()
    took: list[float] = []

    async def call(each: Call) -> None:
        began = time.perf_counter()
        try:
            statuses[str(await server.call(each))] += 1
        except (OSError, EOFError) as error:
            statuses[type(error).__name__] += 1
        took.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, each in enumerate(calls, 1):
            group.create_task(call(each))
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
    took.sort()
    return Outcome(time.perf_counter() - began, statuses, took[len(took) // 2], took[-1])


class Crowd:
    """The process, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, url: str, calls: Sequence[Call], rate: float) -> Outcome:
        """Makes these calls, so many a second, and waits for all the answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([url, calls, rate]).encode() + b"\n")
        await self._process.stdin.drain()
        return Outcome(*json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def crowd() -> AsyncIterator[Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.crowd", cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Crowd(process)
    finally:
        process.kill()
        await process.wait()


async def _serve() -> None:
    commands = asyncio.StreamReader(limit=LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    servers: dict[str, _Server] = {}
    async for line in commands:
        job: list[Any] = json.loads(line)
        url, calls, rate = job
        address = urlsplit(url)
        server = servers.setdefault(url, _Server(str(address.hostname), int(address.port or 80)))
        outcome = await _at_rate(server, [Call(*each) for each in calls], rate)
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve())
