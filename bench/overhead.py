"""What the pipeline adds to a call of the model, beside the model alone and, where it is installed, LiteLLM's proxy.

``python -m bench.overhead [--peer PYTHON]``: PYTHON is an interpreter with ``litellm[proxy]``. All three speak OpenAI's
API, get the same question with personal data in it, and stand before the same scripted model on this machine, with
whoever asks. "added" is the median less that of the model alone at the same concurrency. What is not answered with 200
is counted, and is in no time. CPU is of the app's processes (or the proxy and Presidio), without the
stand-ins; Linux only.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench import peer
from local.stack import Stack

QUESTION = (
    "Our customer Jane Doe (jane.doe@contoso.com, +1 425 555 0143) has asked for an offer for forty chairs, and wants "
    "to know by when they can be delivered to her office. Please tell me in two or three sentences what makes a good "
    "sales offer, what it should never leave out, and how long it may be so that somebody who is busy reads it to its "
    "end. Then say what I should write first. Keep to plain words, and don't repeat what I have said."
)
ANSWER = (
    "A good offer names the price first. It says what the customer gets and by when. It tells how long it holds. "
    "It is short and has no small print. It thanks the customer for asking. It ends with a name to call. "
    "That name answers on the same day. Write the price and the date first, then what is included. "
    "Leave out whatever the customer does not need to decide. Nothing else matters as much."
)
POINTS = ((1, 20), (16, 96), (64, 192))
"""How many ask at once, and how many questions they ask together."""
MODEL_SECONDS = (0.0, 0.2)
STREAMS = 10
WORD_SECONDS = 0.02
PROCESSES = ("http", "queues", "durable")
TIMEOUT = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True)
class System:
    name: str
    url: str
    key: str
    model: str
    pids: Sequence[int] = ()


@dataclass(frozen=True)
class Point:
    """What came of some questions."""

    seconds: list[float]
    """Each that was answered, sorted."""
    wall: float
    cpu: float
    failed: int

    def milliseconds(self, share: float) -> float:
        if not self.seconds:
            return float("nan")
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))] * 1000


async def load(system: System, at_once: int, questions: int) -> Point:
    """So many questions, by so many who each wait for their answer before they ask again."""
    left = iter(range(questions))
    seconds: list[float] = []
    failed = 0
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as http:

        async def person() -> None:
            nonlocal failed
            for _ in left:
                began = time.perf_counter()
                async with http.post(system.url, headers=_headers(system), json=_body(system)) as answer:
                    await answer.read()
                if answer.status == 200:
                    seconds.append(time.perf_counter() - began)
                else:
                    failed += 1

        cpu, began = cpu_seconds(system.pids), time.perf_counter()
        await asyncio.gather(*(person() for _ in range(at_once)))
        wall = time.perf_counter() - began
        return Point(sorted(seconds), wall, cpu_seconds(system.pids) - cpu, failed)


async def first_tokens(system: System) -> tuple[list[float], list[float]]:
    """Seconds to the first text of a streamed answer, and to its end."""
    first, whole = [], []
    async with aiohttp.ClientSession(timeout=TIMEOUT, raise_for_status=True) as http:
        for _ in range(STREAMS):
            began, seen = time.perf_counter(), False
            body = {**_body(system), "stream": True}
            async with http.post(system.url, headers=_headers(system), json=body) as answer:
                async for line in answer.content:
                    if not seen and _has_text(line):
                        first.append(time.perf_counter() - began)
                        seen = True
            whole.append(time.perf_counter() - began)
    return first, whole


def _has_text(line: bytes) -> bool:
    data = line.removeprefix(b"data: ").strip()
    if data == line.strip() or data == b"[DONE]":
        return False
    return any(choice["delta"].get("content") for choice in json.loads(data)["choices"])


def _headers(system: System) -> dict[str, str]:
    return {"Authorization": f"Bearer {system.key}"}


def _body(system: System) -> dict[str, object]:
    return {"model": system.model, "messages": [{"role": "user", "content": QUESTION}]}


def cpu_seconds(pids: Sequence[int]) -> float:
    """Of these processes and their children, user and system."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total += cpu_seconds([int(child) for child in children])
    return total


@asynccontextmanager
async def answering(stack: Stack, *, delay: float = 0.0, pause: float = 0.0) -> AsyncIterator[None]:
    """The model says the same to everything, after so long, and streams a word at a time."""
    models = stack.control("models")
    line = {"match": None, "answer": ANSWER, "pause_seconds": pause}
    await models.call("PUT", "/control/script", json=[line])
    slow = {"operation": "chat/completions", "kind": "delay", "seconds": delay}
    await models.faults([slow] if delay else [])
    yield
    await models.faults([])


def governed(stack: Stack, name: str) -> System:
    pids = [instance.pid for group in PROCESSES for instance in stack.instances(group)]
    url = f"{stack.http[0].url}/api/openai/v1/chat/completions"
    return System(name, url, stack.token("alice"), "sales-helper", pids)


async def compared(stack: Stack, systems: Sequence[System]) -> None:
    for system in systems:
        await load(system, 4, 8)  # wakes it
    for delay in MODEL_SECONDS:
        async with answering(stack, delay=delay):
            say(f"\nThe model answers after {delay * 1000:.0f} ms; times in ms")
            say(HEAD)
            for at_once, questions in POINTS:
                alone: Point | None = None
                for system in systems:
                    point = await load(system, at_once, questions)
                    alone = alone or point
                    say(row(system, at_once, point, alone))
    async with answering(stack, pause=WORD_SECONDS):
        say(f"\nStreamed, a word each {WORD_SECONDS * 1000:.0f} ms, one after the other: median ms")
        say(f"{'':26}{'first text':>14}{'whole answer':>16}")
        for system in systems:
            first, whole = (statistics.median(each) * 1000 for each in await first_tokens(system))
            say(f"{system.name:26}{first:>14.0f}{whole:>16.0f}")


HEAD = (
    f"{'':26}{'at once':>8}{'p50':>8}{'p95':>8}{'added p50':>11}{'added p95':>11}"
    f"{'per s':>8}{'CPU ms':>8}{'failed':>10}"
)


def row(system: System, at_once: int, point: Point, alone: Point) -> str:
    middle, high = point.milliseconds(0.5), point.milliseconds(0.95)
    answered = len(point.seconds)
    added = f"{'':>22}"
    if point is not alone:
        added = f"{middle - alone.milliseconds(0.5):>11.0f}{high - alone.milliseconds(0.95):>11.0f}"
    cpu = f"{point.cpu * 1000 / max(1, answered):>8.1f}" if system.pids else f"{'':>8}"
    failed = f"{point.failed} of {answered + point.failed}"
    return (
        f"{system.name:26}{at_once:>8}{middle:>8.0f}{high:>8.0f}{added}{answered / point.wall:>8.1f}{cpu}{failed:>10}"
    )


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def measure(folder: Path, peer_python: str | None) -> None:
    async with Stack(folder / "one") as stack, AsyncExitStack() as exits:
        models = stack.standins["models"].url
        systems = [System("the model alone", f"{models}/v1/chat/completions", "any", "large")]
        systems.append(governed(stack, "governed, one instance"))
        if peer_python:
            proxy = await exits.enter_async_context(peer.running(peer_python, models))
            url = f"{proxy.url}/v1/chat/completions"
            systems.append(System("LiteLLM with Presidio", url, peer.KEY, peer.MODEL, proxy.pids))
        async with answering(stack):
            await compared(stack, systems)
    async with Stack(folder / "two", instances=2) as stack, answering(stack):
        pids = governed(stack, "").pids
        doors = [f"{each.url}/api/openai/v1/chat/completions" for each in stack.http]
        two = [System("two instances", door, stack.token("alice"), "sales-helper", pids) for door in doors]
        for each in two:
            await load(each, 4, 8)
        at_once, questions = POINTS[-1]
        cpu, began = cpu_seconds(pids), time.perf_counter()
        halves = await asyncio.gather(*(load(each, at_once // 2, questions // 2) for each in two))
        wall, spent = time.perf_counter() - began, cpu_seconds(pids) - cpu
        seconds = sorted(itertools.chain(*(each.seconds for each in halves)))
        both = Point(seconds, wall, spent, sum(each.failed for each in halves))
        say(f"\nTwo instances of each group, the model answers after 0 ms\n{HEAD}")
        say(row(two[0], at_once, both, both))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", metavar="PYTHON", default=os.environ.get("PEER"), help="one with litellm[proxy]")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    say(f"What the pipeline adds to a call of the model ({machine}; the stand-ins, the model and who asks share them)")
    if not options.peer:
        say("LiteLLM is left out: name an interpreter that has litellm[proxy] with --peer (make bench PEER=...).")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.peer))


if __name__ == "__main__":
    main()
