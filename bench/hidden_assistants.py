"""Whether the time of a 404 tells somebody outside an assistant's audience that it exists (claim I3).

``python -m bench.hidden_assistants [ROUNDS]`` starts a local stack with the scripted model. In each round alice calls
two operations on two assistants that are hidden from her and on three ids that are nobody's, in random order. What is
hidden is compared with a made-up id of the same length; so is another made-up id, which shows what chance does.

*Slower* is the probability that one call takes longer than one to the made-up id (Mann-Whitney's U over the number of
pairs): 50 % is a coin. Intervals are bootstrapped over the rounds, and so wide that in 95 of 100 runs all of them are
right. This measures the product's code and the local stand-in of Cosmos DB. Of the real one it says only what is
counted below the times: that it is asked for the same.
"""

import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from bench.request_cost import CONNECTING
from local.stack import Stack

ROUNDS = 400
WARM_UP = 20
COUNTED = 10
"""Calls of each whose Cosmos operations are counted."""
RESAMPLES = 4000
RIGHT = 0.95
"""How often all intervals together are right."""

LARGE: dict[str, Any] = {
    "name": "Large",
    "description": "Not for alice",
    "system_prompt": "You explain bookings to accountants. " * 320,
    "route": "general",
    "temperature": 0,
    "max_output_tokens": 80,
    "owner_team": "sales",
    "policies": ["standard"],
    "residency": "any",
}


class Operation(NamedTuple):
    method: str
    path: str
    prompt: str | None = None


OPERATIONS = (
    Operation("GET", "/api/assistants/{}"),
    Operation("POST", "/api/assistants/{}/requests", "What makes a good offer?"),
)


class Subject(NamedTuple):
    """An assistant that alice must not know of, or that there is none."""

    name: str
    id: str
    beside: str | None = None
    """The name of the made-up one that it is compared with."""


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """With a made-up id. The first is in milliseconds, the second a probability."""

    median: Estimate
    slower: Estimate

    @property
    def told_apart(self) -> bool:
        return not self.slower.low <= 0.5 <= self.slower.high


type Times = dict[tuple[Operation, Subject], list[float]]
"""Milliseconds, a number a round."""
type Counts = dict[tuple[Operation, Subject], dict[str, float]]
"""Cosmos operations of one call."""


def slower(ones: Sequence[float], others: Sequence[float]) -> float:
    """The probability that one of the ones is greater than one of the others; half of it if they are equal."""
    ordered = sorted(others)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ones) / 2
    return wins / (len(ones) * len(others))


def difference(ones: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(ones) - statistics.median(others)


def estimated(
    what: Callable[[Sequence[float], Sequence[float]], float], ones: list[float], others: list[float], right: float
) -> Estimate:
    """With its bootstrap interval (percentiles), which is right so often."""
    chance = random.Random(len(ones))  # noqa: S311 - it keeps no secret
    rounds = range(len(ones))
    found = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(rounds, k=len(ones))
        found.append(what([ones[each] for each in drawn], [others[each] for each in drawn]))
    found.sort()
    beyond = int(RESAMPLES * (1 - right) / 2)
    return Estimate(what(ones, others), found[beyond], found[-1 - beyond])


class Alice:
    """Asks for what she may not know of."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._url = stack.http[0].url
        self._headers = {"Authorization": f"Bearer {stack.token('alice')}"}
        self.heard: set[str] = set()
        """Every answer she got."""

    async def call(self, operation: Operation, subject: Subject) -> float:
        """The milliseconds until she was told that there is no such assistant."""
        url = self._url + operation.path.format(subject.id)
        body = None if operation.prompt is None else {"prompt": operation.prompt}
        started = time.perf_counter()
        async with self._http.request(operation.method, url, headers=self._headers, json=body) as answer:
            text = await answer.text()
        took = time.perf_counter() - started
        self.heard.add(f"{answer.status} {text}")
        return took * 1000


async def hide_large_one(stack: Stack, http: aiohttp.ClientSession) -> str:
    """Publish an assistant for Finance alone; its id."""
    headers = {"Authorization": f"Bearer {stack.token('paula')}"}
    url = f"{stack.http[0].url}/api/assistants"
    settings = {**LARGE, "audience": [stack.group("Finance")]}
    async with http.post(url, headers=headers, json={"settings": settings, "reason": "a bench"}) as made:
        made.raise_for_status()
        id_ = str((await made.json())["id"])
    headers["If-Match"] = made.headers["ETag"]
    async with http.post(f"{url}/{id_}/publish", headers=headers, json={"reason": "a bench"}) as published:
        published.raise_for_status()
    return id_


async def timed(alice: Alice, subjects: Sequence[Subject], rounds: int) -> Times:
    calls = [(operation, subject) for operation in OPERATIONS for subject in subjects]
    times: Times = {call: [] for call in calls}
    for number in range(-WARM_UP, rounds):
        for call in random.sample(calls, len(calls)):
            took = await alice.call(*call)
            if number >= 0:
                times[call].append(took)
    return times


async def counted(stack: Stack, alice: Alice, subjects: Sequence[Subject]) -> Counts:
    cosmos = stack.control("cosmos")
    counts: Counts = {}
    for operation in OPERATIONS:
        for subject in subjects:
            await cosmos.reset()
            for _ in range(COUNTED):
                await alice.call(operation, subject)
            counts[operation, subject] = {
                name: count / COUNTED
                for name, count in (await cosmos.counts()).items()
                if not name.startswith(CONNECTING)
            }
    return counts


async def measure(folder: Path, rounds: int) -> tuple[Times, Counts]:
    async with Stack(folder) as stack, aiohttp.ClientSession() as http:
        subjects = [
            Subject("made up", "weaver"),
            Subject("another one made up", "falcon", "made up"),
            Subject("hidden", "ledger", "made up"),
            Subject("made up, long id", str(uuid.uuid4())),
            Subject("hidden, large prompt", await hide_large_one(stack, http), "made up, long id"),
        ]
        for instance in stack.instances("queues"):  # its timers read, too; a 404 needs neither them nor queues
            await stack.kill(instance)
        alice = Alice(stack, http)
        measured = await timed(alice, subjects, rounds), await counted(stack, alice, subjects)
        assert len(alice.heard) == 1, "she is not told the same of all"
        return measured


def compared(times: Times) -> dict[tuple[Operation, Subject], Comparison]:
    """Whatever is compared with something made up."""
    named = {(operation, subject.name): took for (operation, subject), took in times.items()}
    pairs = [(call, took, named[call[0], call[1].beside]) for call, took in times.items() if call[1].beside is not None]
    right = 1 - (1 - RIGHT) / (2 * len(pairs))  # two intervals of each (Bonferroni's correction)
    return {
        call: Comparison(estimated(difference, ones, others, right), estimated(slower, ones, others, right))
        for call, ones, others in pairs
    }


def table(times: Times, comparisons: dict[tuple[Operation, Subject], Comparison], operation: Operation) -> list[str]:
    lines = [f"{'':<24}{'n':>6}{'median':>8}{'p95':>8}   {'difference of medians':<28}slower"]
    for (each, subject), took in times.items():
        if each != operation:
            continue
        p95 = statistics.quantiles(took, n=20, method="inclusive")[18]
        line = f"{subject.name:<24}{len(took):>6}{statistics.median(took):>8.2f}{p95:>8.2f}"
        if comparison := comparisons.get((operation, subject)):
            median, chance = comparison
            line += f"   {median.value:+.2f} ({median.low:+.2f} .. {median.high:+.2f})".ljust(31)
            line += f"{chance.value:.1%} ({chance.low:.1%} .. {chance.high:.1%})"
        lines.append(line)
    return lines


def verdict(comparisons: dict[tuple[Operation, Subject], Comparison]) -> str:
    told = [
        f"{subject.name} ({operation.method})"
        for (operation, subject), comparison in comparisons.items()
        if comparison.told_apart
    ]
    if not told:
        return "No hidden assistant could be told from a made-up id by the time of its answer."
    return f"TOLD APART from a made-up id by the time of the answer: {', '.join(told)}."


def reads(counts: Counts, operation: Operation) -> str:
    mine = [counted for (each, _), counted in counts.items() if each == operation]
    same = all(each == mine[0] for each in mine)
    listed = ", ".join(f"{count:g} {name}" for name, count in sorted(mine[0].items()))
    return f"the same for all: {listed}" if same else f"NOT THE SAME: {mine}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        times, counts = asyncio.run(measure(Path(folder), rounds))
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    comparisons = compared(times)
    lines = [f"The time until a 404, in milliseconds ({machine}):"]
    for operation in OPERATIONS:
        lines += ["", f"{operation.method} {operation.path.format('{assistant_id}')}"]
        lines += [f"  {line}" for line in table(times, comparisons, operation)]
        lines += [f"  Cosmos DB operations of a call, {reads(counts, operation)}"]
    lines += ["", verdict(comparisons)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
