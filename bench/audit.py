"""What the trail takes and costs: how many events a second ``write_audit`` writes, and how large a request's row is.

``python -m bench.audit [--price-per-gb PRICE]`` asks some questions of a fresh local stack and weighs their rows as Log
Analytics does, which bills the text of the columns
(https://learn.microsoft.com/azure/azure-monitor/logs/cost-logs#data-size-calculation). Then it stops the queue
functions, makes some thousand events of the same kind pending, and measures how soon they are written once one
instance, then two, are there again.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from azure.identity.aio import ManagedIdentityCredential

from bench.request_cost import all_written, ask
from governance.audit import NOTES, AuditEvent, Reference, outbox_document
from local.readback import query_logs
from local.resources import DATABASE
from local.stack import Stack
from services.bus import AUDIT, Bus, bus_client
from services.clock import uuid7
from services.documents import Store, cosmos_client

QUESTIONS = 20
EVENTS = 3000
INSTANCES = (1, 2)
AT_ONCE = 16
LIMIT_SECONDS = 300.0
PRICE_PER_GB = 2.30
"""US dollars for analytics logs, pay as you go, in most regions of the United States; it differs by region:
https://azure.microsoft.com/pricing/details/monitor/"""


class Measured(NamedTuple):
    row_bytes: list[int]
    events_a_second: dict[int, float]
    """By the number of instances."""


def weight(row: dict[str, Any]) -> int:
    """Bytes of a row that are billed: the text of its columns."""
    return sum(len(_text(value).encode()) for value in row.values() if value not in (None, ""))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def make_pending(store: Store, bus: Bus, like: AuditEvent) -> None:
    """Events with a message each, as the product leaves them when Log Analytics was away."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with turns:
            event = like.model_copy(update={"EventId": uuid7()})
            await store.config.create(outbox_document(event, "config", NOTES))
            reference = Reference(container="config", partition=NOTES, id=event.EventId)
            await bus.send(AUDIT, reference.model_dump(), message_id=event.EventId)

    await asyncio.gather(*(one() for _ in range(EVENTS)))


async def events_a_second(stack: Stack, store: Store, bus: Bus, like: AuditEvent, instances: int) -> float:
    for instance in list(stack.instances("queues")):
        await stack.kill(instance)
    await make_pending(store, bus, like)
    logs = stack.control("loganalytics")
    before = (await logs.counts())["rows AuditEvents_CL"]
    for _ in range(instances):
        await stack.start_instance("queues")
    async with asyncio.timeout(LIMIT_SECONDS):
        while (await logs.counts())["rows AuditEvents_CL"] == before:  # until the first has come
            await asyncio.sleep(0.02)
        began, first = time.perf_counter(), (await logs.counts())["rows AuditEvents_CL"]
        while (await logs.counts())["rows AuditEvents_CL"] < before + EVENTS:
            await asyncio.sleep(0.05)
    return (before + EVENTS - first) / (time.perf_counter() - began)


async def measure(folder: Path) -> Measured:
    async with Stack(folder) as stack, aiohttp.ClientSession(raise_for_status=True) as http:
        await ask(stack, http, QUESTIONS)
        await all_written(stack, QUESTIONS)
        rows = await query_logs(stack, "AuditEvents_CL | where EventType == 'request'")  # sets the identity, too
        os.environ["SSL_CERT_FILE"] = str(stack.certificate_authority)
        ready = {name: standin.ready for name, standin in stack.standins.items()}
        async with (
            ManagedIdentityCredential() as identity,
            cosmos_client(ready["cosmos"]["url"], identity) as cosmos,
            bus_client(ready["servicebus"]["connection_string"], None, identity) as servicebus,
        ):
            store, bus = Store(cosmos, DATABASE), Bus(servicebus)
            document = await store.requests.read(rows[0]["EventId"], rows[0]["EventId"])
            assert document is not None
            like = AuditEvent.model_validate(document["audit"]["event"])
            rates = {number: await events_a_second(stack, store, bus, like, number) for number in INSTANCES}
    return Measured([weight(row) for row in rows], rates)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.audit", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--price-per-gb", type=float, default=float(os.environ.get("PRICE_PER_GB", PRICE_PER_GB)))
    price: float = options.parse_args().price_per_gb
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(Path(folder)))
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    median = statistics.median(measured.row_bytes)
    lines = [f"The trail ({machine}; the stand-ins share them):", ""]
    for instances, rate in measured.events_a_second.items():
        plural = "s" if instances > 1 else ""
        lines.append(f"  write_audit, {instances} instance{plural:<2}{rate:>8.0f} events/s, of {EVENTS:,} that waited")
    lines += [
        f"  a request's row         {median:>8.0f} bytes, the median of {QUESTIONS}",
        f"  1,000 requests a month  {median * 1000 / 10**9 * price:>8.4f} at {price:.2f} a GB (--price-per-gb)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
