"""What one request costs, as counted by a fresh local stack with the scripted model.

``python -m bench.request_cost`` asks the same short question some times, one after the other, waits until every audit
event is written, and prints the averages of one. Request units are the stand-in's estimate from Microsoft's published
charges. What the timers do besides (their queries once a minute) is left out.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from local.stack import Stack

REQUESTS = 20
WARM_UP = 3
QUESTION = "Our customer jane.doe@contoso.com asks what makes a good sales offer. What should I tell them?"
LIMIT_SECONDS = 60.0

TIMERS = ("query requests", "query control")
"""Cosmos operations of the timers alone."""
CONNECTING = ("account", "database", "container ", "pkranges ")
"""Cosmos operations of a client that makes itself known, a few an hour."""

type Row = tuple[str, str, str]


async def ask(stack: Stack, http: aiohttp.ClientSession, times: int) -> list[float]:
    """The seconds that each took."""
    url = f"{stack.http[0].url}/api/assistants/sales-helper/requests"
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    took = []
    for _ in range(times):
        started = time.perf_counter()
        async with http.post(url, headers=headers, json={"prompt": QUESTION}) as answer:
            await answer.read()
        took.append(time.perf_counter() - started)
    return took


async def all_written(stack: Stack, events: int) -> None:
    """Wait until so many rows are in Log Analytics and no audit message is left."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            queues = await stack.control("servicebus").call("GET", "/control/queues")
            rows = (await stack.control("loganalytics").counts()).get("rows AuditEvents_CL", 0)
            if rows >= events and not queues["audit"]["active"] and not queues["audit"]["locked"]:
                return
            await asyncio.sleep(0.05)


def counted(counts: Mapping[str, int], *starts: str) -> list[Row]:
    """A row for each operation that begins so."""
    return [
        (operation, f"{count / REQUESTS:.2f}", "")
        for operation, count in sorted(counts.items())
        if operation.startswith(starts)
    ]


def cosmos(counts: Mapping[str, int], charges: Mapping[str, float]) -> list[Row]:
    mine = {
        operation: count
        for operation, count in counts.items()
        if operation not in TIMERS and not operation.startswith(CONNECTING)
    }
    rows = [
        (operation, f"{count / REQUESTS:.2f}", f"{charges[operation] / REQUESTS:.1f} RU")
        for operation, count in sorted(mine.items(), key=lambda each: (each[0].split()[-1], each[0]))
    ]
    total = sum(charges[operation] for operation in mine)
    return [*rows, ("all", f"{sum(mine.values()) / REQUESTS:.2f}", f"{total / REQUESTS:.1f} RU")]


async def measure(folder: Path) -> dict[str, list[Row]]:
    async with Stack(folder) as stack, aiohttp.ClientSession(raise_for_status=True) as http:
        await ask(stack, http, WARM_UP)
        await all_written(stack, WARM_UP)
        for name in stack.standins:
            await stack.control(name).reset()
        await stack.control("cosmos").call("POST", "/control/charges/reset")
        took = sorted(await ask(stack, http, REQUESTS))
        await all_written(stack, REQUESTS)
        counts = {name: await stack.control(name).counts() for name in stack.standins}
        charges = await stack.control("cosmos").call("GET", "/control/charges")
    percentiles = statistics.quantiles(took, n=20, method="inclusive")
    return {
        "Latency": [
            ("p50", f"{statistics.median(took) * 1000:.0f}", "ms"),
            ("p95", f"{percentiles[18] * 1000:.0f}", "ms"),
        ],
        "Service Bus messages": counted(counts["servicebus"], "send "),
        "Durable": counted(counts["durable"], "history-event", "orchestrator-turn", "activity "),
        "Cosmos DB operations": cosmos(counts["cosmos"], charges),
        "Log Analytics": counted(counts["loganalytics"], "upload "),
        "Model calls": counted(counts["models"], "chat"),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = asyncio.run(measure(Path(folder)))
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [f"One request, the average of {REQUESTS} asked one after the other ({machine}):"]
    for title, rows in tables.items():
        lines += ["", title, *(f"  {name:<28}{value:>8}  {more}".rstrip() for name, value, more in rows)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
