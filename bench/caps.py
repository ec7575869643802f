"""How many calls a second a team's cap can take: reserve, begin and settle, from 1, 2 and 4 processes at once.

``python -m bench.caps`` runs against a fresh Cosmos DB stand-in, which has one core and takes most of the time: the
calls a second are its limit, not the account's. What holds in Azure is in the request units, which are its estimate
from Microsoft's published charges: a partition, and so a team, has 10,000 a second.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import aiohttp
from azure.core.credentials import AccessToken

from governance import reservations
from governance.caps import Cap, cap_document, current_counter, read_cap
from governance.prices import Price
from governance.reservations import Reservation, Usage
from local.process import Process
from local.resources import DATABASE, containers
from local.tls import issue
from services.clock import utc_now, uuid7
from services.documents import Store, cosmos_client

PROCESSES = (1, 2, 4)
AT_ONCE = 8
"""Calls under way in each process."""
SECONDS = 6.0
AMOUNT = 1000
PARTITION_UNITS = 10_000
"""Request units a second: https://learn.microsoft.com/azure/cosmos-db/concepts-limits"""


class Anybody:
    """A token of no authority: the stand-in was given none."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("any", int(time.time()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "Anybody":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Row(NamedTuple):
    processes: int
    calls_a_second: float
    p50_ms: float
    p95_ms: float
    units: float


def reservation(team: str) -> Reservation:
    now = utc_now()
    return Reservation(
        id=reservations.reservation_id(uuid7(), "answer", 1),
        team=team,
        price=Price(since=now, currency="EUR", input_micro=1_000_000, output_micro=1_000_000),
        amount_micro=AMOUNT,
        assistant="sales-helper",
        person=uuid7(),
        endpoint="own-model",
        provider="openai-compatible",
        model="large",
        region="westeurope",
        residency="azure",
        created_at=now,
        deadline=now + reservations.RESERVED_FOR,
    )


async def call_on_end(store: Store, team: str, until: float) -> list[float]:
    """The seconds that each call took, one after the other."""
    took = []
    while (started := time.perf_counter()) < until:
        made = await reservations.reserve(store.budgets, reservation(team), utc_now())
        await reservations.begin(store.budgets, made, made.deadline)
        await reservations.settle(store.budgets, made, Usage(input_tokens=300, output_tokens=200))
        took.append(time.perf_counter() - started)
    return took


async def worked(url: str, team: str) -> list[float]:
    async with cosmos_client(url, Anybody()) as client:
        store = Store(client, DATABASE)
        until = time.perf_counter() + SECONDS
        took = await asyncio.gather(*(call_on_end(store, team, until) for _ in range(AT_ONCE)))
    return list(chain.from_iterable(took))


def work(url: str, team: str) -> list[float]:
    """In a process of its own."""
    return asyncio.run(worked(url, team))


async def measure(cosmos: Process, http: aiohttp.ClientSession, processes: int) -> Row:
    team = f"team-{processes}"
    async with cosmos_client(cosmos.url, Anybody()) as client:
        budgets = Store(client, DATABASE).budgets
        await budgets.create(cap_document(Cap(team=team, limit_micro=10**15, currency="EUR")))
        await http.post(f"{cosmos.control}/control/charges/reset")
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            began = (loop.run_in_executor(pool, work, cosmos.url, team) for _ in range(processes))
            took = sorted(chain.from_iterable(await asyncio.gather(*began)))
        charges = await (await http.get(f"{cosmos.control}/control/charges")).json()
        found = await read_cap(budgets, team)
        assert found is not None
        counter = await current_counter(budgets, found[0], utc_now())
        assert (counter.reserved_micro, counter.spent_micro) == (0, 500 * len(took)), "the counter does not add up"
    units = sum(charge for name, charge in charges.items() if name.endswith("budgets")) / len(took)
    p95 = statistics.quantiles(took, n=20, method="inclusive")[18]
    return Row(processes, len(took) / SECONDS, statistics.median(took) * 1000, p95 * 1000, units)


async def run(folder: Path) -> list[Row]:
    certificates = issue(folder / "tls")
    os.environ |= {"SSL_CERT_FILE": str(certificates.ca), "REQUESTS_CA_BUNDLE": str(certificates.ca)}
    (folder / "containers.json").write_text(json.dumps(containers().model_dump(mode="json")))
    options = ["--containers", folder / "containers.json", "--tls", certificates.server]
    cosmos = await Process.start("cosmos", "local.cosmos", options, environment=dict(os.environ), logs=folder / "logs")
    try:
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            return [await measure(cosmos, http, processes) for processes in PROCESSES]
    finally:
        await cosmos.stop(5)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(run(Path(folder)))
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    what = f"Reserve, begin and settle on one team, {AT_ONCE} at once in each process"
    lines = [f"{what} ({machine}; the stand-in has one):", ""]
    lines.append(f"{'processes':>9}{'calls/s':>10}{'p50 ms':>9}{'p95 ms':>9}{'RU a call':>11}")
    for row in rows:
        rate = f"{row.processes:>9}{row.calls_a_second:>10.0f}"
        lines.append(f"{rate}{row.p50_ms:>9.0f}{row.p95_ms:>9.0f}{row.units:>11.1f}")
    most = PARTITION_UNITS / rows[-1].units
    lines += ["", f"A partition's {PARTITION_UNITS:,} RU/s allow {most:.0f} calls a second of one team."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
