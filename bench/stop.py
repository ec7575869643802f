"""How soon everything stands still once the kill switch is acknowledged, with many questions under way.

``python -m bench.stop`` asks 100 questions at once of a fresh local stack with four instances, waits until the model
has all that were not refused, pulls the platform's switch, and looks at what the model and the people who wait see from
then on.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp

from local.stack import Stack

QUESTIONS = 100
INSTANCES = 4
"""An instance makes at most 32 model calls at a time (host.json)."""
ROUNDS = 3
MODEL_SECONDS = 120.0
"""How long the model takes: longer than it takes for all questions to reach it."""
LIMIT_SECONDS = 100.0
SETTINGS = {"MODEL_TIMEOUT_SECONDS": "150", "ANSWER_WAIT_SECONDS": "180"}
ANSWERED = 200


class Round(NamedTuple):
    at_the_model: int
    """When the switch was acknowledged."""
    started_after: int
    answered_after: int
    cancelled: list[float]
    """For each call the seconds from the acknowledgement to when the model noticed; below zero before it."""
    acknowledged_after: float


class Company:
    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._http = http
        self.models = stack.control("models")

    async def ask(self, number: int) -> int:
        url = f"{self._stack.http[number % INSTANCES].url}/api/assistants/sales-helper/requests"
        headers = {"Authorization": f"Bearer {self._stack.token('alice')}"}
        question = {"prompt": f"What makes a good offer number {number}?"}
        async with self._http.post(url, headers=headers, json=question) as answer:
            await answer.read()
            return answer.status

    async def switch(self, *, stopped: bool) -> None:
        headers = {"Authorization": f"Bearer {self._stack.token('ivan')}"}
        body = {"stopped": stopped, "reason": "a drill"}
        url = f"{self._stack.http[0].url}/api/switches/platform"
        async with self._http.put(url, headers=headers, json=body) as answer:
            answer.raise_for_status()

    async def counted(self, what: str) -> int:
        return (await self.models.counts()).get(what, 0)


async def one(company: Company) -> Round:
    calls, gone = await company.counted("chat"), await company.counted("chat:cancelled")
    await company.models.faults([{"operation": "chat", "kind": "delay", "seconds": MODEL_SECONDS}])
    asked = [asyncio.create_task(company.ask(number)) for number in range(QUESTIONS)]
    async with asyncio.timeout(LIMIT_SECONDS):
        # On a busy machine some are refused before: the switches could not be read in time.
        while await company.counted("chat") < calls + QUESTIONS - sum(task.done() for task in asked):
            await asyncio.sleep(0.05)
    there = await company.counted("chat") - calls
    noticed: list[float] = []

    async def watch() -> None:
        while len(noticed) < there:
            now = await company.counted("chat:cancelled") - gone
            noticed.extend([time.monotonic()] * (now - len(noticed)))
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    sent = time.monotonic()
    await company.switch(stopped=True)
    acknowledged = time.monotonic()
    started, answered = await company.counted("chat"), sum(task.done() and task.result() == ANSWERED for task in asked)
    async with asyncio.timeout(LIMIT_SECONDS):
        statuses = await asyncio.gather(*asked)
        await watching
    await company.models.faults()
    await company.switch(stopped=False)
    return Round(
        started - calls,
        await company.counted("chat") - started,
        statuses.count(ANSWERED) - answered,
        sorted(moment - acknowledged for moment in noticed),
        acknowledged - sent,
    )


async def measure(folder: Path) -> list[Round]:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Stack(folder, instances=INSTANCES, settings=SETTINGS) as stack,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http,
    ):
        company = Company(stack, http)
        await asyncio.gather(*(company.ask(number) for number in range(8)))  # which loads the guardrails
        return [await one(company) for _ in range(ROUNDS)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rounds = asyncio.run(measure(Path(folder)))
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    names = ("at the model", "started after", "answered after", "cancelled p50", "p99", "last", "acknowledged")
    lines = [
        f"{QUESTIONS} questions under way when the platform is stopped, over {INSTANCES} instances ({machine}).",
        "Seconds from the acknowledgement on, below zero before it; and how long that took:",
        "",
        "".join(f"{name:>15}" for name in names),
    ]
    for each in rounds:
        p99 = statistics.quantiles(each.cancelled, n=100, method="inclusive")[98]
        counts = (each.at_the_model, each.started_after, each.answered_after)
        seconds = (statistics.median(each.cancelled), p99, each.cancelled[-1], each.acknowledged_after)
        lines.append("".join([*(f"{count:>15}" for count in counts), *(f"{value:>15.2f}" for value in seconds)]))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
