"""Questions put to something that speaks OpenAI's API, some at once: how long they took, what failed, what CPU it cost.

CPU is read from /proc, so this is Linux only.
"""

import asyncio
import itertools
import json
import math
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=120)


async def nothing_left() -> None:
    """Of a system that has done all its work when it has answered."""


@dataclass(frozen=True)
class System:
    name: str
    urls: Sequence[str]
    """Its instances, asked in turn."""
    key: str
    model: str
    pids: Sequence[int] = ()
    """Whose CPU is counted, with their children's."""
    settled: Callable[[], Awaitable[None]] = nothing_left
    """Waits until what the answers have left to do is done."""

    def asking(self, url: str, question: str, **more: object) -> dict[str, Any]:
        """What aiohttp's ``post`` takes."""
        body = {"model": self.model, "messages": [{"role": "user", "content": question}], **more}
        return {"url": url, "headers": {"Authorization": f"Bearer {self.key}"}, "json": body}


@dataclass(frozen=True)
class Load:
    """What came of some questions. What was not answered with 200 is in ``failed`` and in no time."""

    seconds: list[float]
    """Of each that was answered, sorted."""
    wall: float
    """Seconds until the last had its answer."""
    cpu: float
    """Seconds, with what was left to do after the answers."""
    failed: Counter[str]
    """By status, or by the name of what went wrong with the connection."""

    @property
    def asked(self) -> int:
        return len(self.seconds) + self.failed.total()

    def milliseconds(self, share: float) -> float:
        """The smallest time that this share of the answers did not exceed; NaN if there are none."""
        if not self.seconds:
            return float("nan")
        return self.seconds[math.ceil(len(self.seconds) * share) - 1] * 1000


async def load(system: System, question: str, *, at_once: int, questions: int) -> Load:
    """So many questions, by so many who each wait for their answer before they ask again."""
    left, urls = iter(range(questions)), itertools.cycle(system.urls)
    seconds: list[float] = []
    failed: Counter[str] = Counter()

    async def person(http: aiohttp.ClientSession, url: str) -> None:
        for _ in left:
            began = time.perf_counter()
            try:
                async with http.post(**system.asking(url, question)) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                failed[type(error).__name__] += 1
                continue
            if answer.status == 200:
                seconds.append(time.perf_counter() - began)
            else:
                failed[str(answer.status)] += 1

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as http:
        cpu, began = cpu_seconds(system.pids), time.perf_counter()
        await asyncio.gather(*(person(http, next(urls)) for _ in range(at_once)))
        wall = time.perf_counter() - began
    await system.settled()
    return Load(sorted(seconds), wall, cpu_seconds(system.pids) - cpu, failed)


@dataclass
class Streams:
    """Seconds to the first text, and to the end, of the answers that came whole."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    failed: int = 0


async def stream(system: System, question: str, times: int) -> Streams:
    """One after the other."""
    streams = Streams()
    async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
        for _ in range(times):
            began = time.perf_counter()
            try:
                moments = await _text_moments(http, system, question)
            except (aiohttp.ClientError, TimeoutError):
                moments = []
            if not moments:
                streams.failed += 1
                continue
            streams.first.append(moments[0] - began)
            streams.whole.append(time.perf_counter() - began)
            streams.pieces.append(len(moments))
    await system.settled()
    return streams


async def _text_moments(http: aiohttp.ClientSession, system: System, question: str) -> list[float]:
    """When each piece with text in it came; nothing if the answer did not come to its end."""
    moments: list[float] = []
    async with http.post(**system.asking(system.urls[0], question, stream=True)) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            data = line.removeprefix(b"data: ").strip()
            if data == b"[DONE]":
                return moments
            if line.startswith(b"data: ") and _has_text(json.loads(data)):
                moments.append(time.perf_counter())
    return []


def _has_text(chunk: dict[str, Any]) -> bool:
    return any(choice["delta"].get("content") for choice in chunk.get("choices", ()))


def cpu_seconds(pids: Sequence[int]) -> float:
    """Of these processes and their children, user and system."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total += cpu_seconds([int(child) for child in children])
    return total
