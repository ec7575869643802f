"""How soon IT Operations hear of a report, and what a burst of reactions does to those who ask meanwhile.

``python -m bench.reports`` runs against a fresh local stack. A receiver on Microsoft's SDK waits for the session of the
assistant; each report is timed from its POST to the message in the receiver's hands. Then reactions are posted as fast
as some clients at once can, each to a request of its own, and it is counted how many are kept and in the queue. Then
questions are asked one after the other, alone and beside as many reactions a second as are said, by turns, and beside
as many calls as a burst of 10,000 a minute has, of a function that does nothing at all: of a model that answers at
once, and of one that takes as long as a model does. The stand-ins share the machine's CPUs with the app.
"""

import asyncio
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from azure.identity.aio import ManagedIdentityCredential
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from bench.request_cost import ask
from local.resources import DATABASE
from local.stack import Stack
from services.bus import ESCALATIONS
from services.clock import uuid7
from services.documents import Store, cosmos_client

REPORTS = 100
REACTIONS = 10_000
AT_ONCE = 16
BURST = 167
"""Calls a second: 10,000 a minute."""
RATES = (20, BURST)
"""Reactions a second beside the questions."""
MODEL_SECONDS = (0.0, 1.0)
"""Until the model answers."""
QUESTIONS = 20
ROUNDS = 3
LIMIT_SECONDS = 120.0


class Company:
    def __init__(self, stack: Stack, http: aiohttp.ClientSession, store: Store) -> None:
        self._stack = stack
        self._http = http
        self._store = store
        self._headers = {"Authorization": f"Bearer {stack.token('alice')}"}

    async def requests(self, how_many: int) -> list[str]:
        """Answered requests of alice's: copies of one, since it is not the answers that are measured."""
        await ask(self._stack, self._http, 1)
        released = self._store.requests.query("SELECT * FROM c WHERE c.state = 'released'")
        first = next(iter([each async for each in released]))
        kept = {name: value for name, value in first.items() if not name.startswith("_") and name != "audit"}
        ids = [uuid7() for _ in range(how_many)]
        turns = asyncio.Semaphore(AT_ONCE)

        async def copy(request_id: str) -> None:
            async with turns:
                await self._store.requests.create({**kept, "id": request_id})

        await asyncio.gather(*map(copy, ids))
        return ids

    async def say(self, request_id: str, what: str, body: dict[str, Any]) -> None:
        url = f"{self._stack.http[0].url}/api/requests/{request_id}/{what}"
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            await answer.read()

    async def react(self, request_id: str) -> None:
        await self.say(request_id, "reaction", {"useful": True, "minutes_saved": 5})

    async def knock(self) -> None:
        """The function that asks nobody and does nothing."""
        async with self._http.get(f"{self._stack.http[0].url}/api/health") as answer:
            await answer.read()

    async def kept(self) -> int:
        query = "SELECT VALUE c.id FROM c WHERE c.type = 'reaction'"
        found = self._store.feedback.query(query, partition="sales-helper")
        return len({each async for each in found})


async def heard(stack: Stack, company: Company, requests: list[str]) -> list[float]:
    """Seconds from each report to its message, sorted."""
    came: dict[str, float] = {}
    connection = stack.standins["servicebus"].ready["connection_string"]

    async def receive() -> None:
        async with ServiceBusClient.from_connection_string(connection) as client:
            while True:
                with suppress(ServiceBusError):  # nothing in the session yet
                    async with client.get_queue_receiver(ESCALATIONS, session_id="sales-helper") as receiver:
                        async for message in receiver:
                            came[json.loads(str(message))["request"]] = time.perf_counter()
                            await receiver.complete_message(message)

    receiving = asyncio.create_task(receive())
    sent: dict[str, float] = {}
    async with asyncio.timeout(LIMIT_SECONDS):
        for request_id in requests:
            sent[request_id] = time.perf_counter()
            await company.say(request_id, "report", {"kind": "other", "severity": "low", "words": "It is wrong."})
        while came.keys() < sent.keys():
            await asyncio.sleep(0.05)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    return sorted(came[each] - sent[each] for each in requests[1:])  # the first loads the guardrails


async def burst(company: Company, requests: list[str]) -> float:
    """Reactions a second."""
    left = iter(requests)

    async def client() -> None:
        for request_id in left:
            await company.react(request_id)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return len(requests) / (time.perf_counter() - began)


async def beside(
    stack: Stack, http: aiohttp.ClientSession, calls: Iterable[Coroutine[Any, Any, None]], rate: int
) -> list[float]:
    """Seconds of each question while so many of these calls are made a second."""
    pending: set[asyncio.Task[None]] = set()

    async def call() -> None:
        began = time.perf_counter()
        for made, each in enumerate(calls, 1):
            pending.add(asyncio.create_task(each))
            await asyncio.sleep(max(0.0, began + made / rate - time.perf_counter()))

    calling = asyncio.create_task(call())
    took = await ask(stack, http, QUESTIONS)
    if calling.done():
        raise RuntimeError("there were too few calls to make")
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await asyncio.gather(*pending)
    return took


async def side_by_side(stack: Stack, http: aiohttp.ClientSession, company: Company, model_seconds: float) -> list[str]:
    """How long questions take, alone and beside others."""
    slow = {"operation": "chat", "kind": "delay", "seconds": model_seconds}
    await stack.control("models").faults([slow] if model_seconds else [])
    alone: list[float] = []
    among: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        alone += await ask(stack, http, QUESTIONS)
        for each in RATES:
            fresh = await company.requests(int(each * QUESTIONS * (model_seconds + 1)))
            among[f"{each} reactions"] += await beside(stack, http, map(company.react, fresh), each)
        knocks = (company.knock() for _ in itertools.count())
        among[f"{BURST} calls that do nothing"] += await beside(stack, http, knocks, BURST)
    middle = statistics.median(alone)
    lines = [f"  the model answers after {model_seconds * 1000:.0f} ms; a question: {middle * 1000:.0f} ms"]
    for what, took in among.items():
        lines.append(
            f"    beside {what} a second: {statistics.median(took) * 1000:.0f} ms,"
            f" {(statistics.median(took) / middle - 1) * 100:+.0f} %"
        )
    return lines


async def measure(folder: Path) -> list[str]:
    lines = []
    async with Stack(folder) as stack, aiohttp.ClientSession(raise_for_status=True) as http:
        entra = stack.standins["entra"].ready
        os.environ["IDENTITY_ENDPOINT"], os.environ["IDENTITY_HEADER"] = (
            entra["identity_endpoint"],
            entra["identity_header"],
        )
        os.environ["SSL_CERT_FILE"] = str(stack.certificate_authority)
        async with (
            ManagedIdentityCredential() as identity,
            cosmos_client(stack.standins["cosmos"].url, identity) as cosmos,
        ):
            company = Company(stack, http, Store(cosmos, DATABASE))
            took = await heard(stack, company, await company.requests(REPORTS + 1))
            p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
            lines.append(f"  from a report to the waiting receiver: p50 {p50:.0f} ms, p99 {p99:.0f} ms, of {REPORTS}")
            requests = await company.requests(REACTIONS)
            rate = await burst(company, requests)
            queue = (await stack.control("servicebus").call("GET", "/control/queues"))["feedback"]
            lines.append(
                f"  {REACTIONS:,} reactions from {AT_ONCE} clients: {rate:.0f} a second,"
                f" {await company.kept():,} kept, {queue['active']:,} in the queue"
            )
            for each in MODEL_SECONDS:
                lines += await side_by_side(stack, http, company, each)
    return lines


def main() -> None:
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(measure(Path(folder)))
    sys.stdout.write("\n".join([f"Reports and reactions ({machine}; the stand-ins share them):", "", *lines]) + "\n")


if __name__ == "__main__":
    main()
