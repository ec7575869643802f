"""What goes wrong while people ask, one fault after the other: every answer has its event in the trail, exactly one by
id, once the fault is over; and nothing was answered whose record could not be kept.

``make faults`` asks 500 questions under each and prints a table; the tests ask a few.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus.aio import ServiceBusClient

from governance.audit import announce_again, reference_to_request
from governance.request import Request
from local.resources import AUDIT_STREAM
from local.stack import GROUPS, Stack
from services.bus import REQUESTS, Bus
from services.clock import uuid7
from tests.e2e.kit import Answer, Kit, ended_once, eventually, opened

QUESTIONS = int(os.environ.get("FAULT_QUESTIONS", "8"))
AT_ONCE = 8
SETTINGS = {
    "AUDIT_PENDING_AFTER_SECONDS": "1",
    "ORPHAN_AFTER_SECONDS": "25",
    "STUCK_AFTER_SECONDS": "90",
    "MODEL_TIMEOUT_SECONDS": "5",
}
UPLOAD = f"upload {AUDIT_STREAM}"
OUTAGE_SECONDS = 2.5
"""Of Service Bus, its start included less than five."""
LONG_OUTAGE_SECONDS = 12.0
DRAINED_WITHIN = 60.0 + QUESTIONS / 4
POISON = "a rotten offer"

type Fault = Callable[["Run"], AbstractAsyncContextManager[None]]


@dataclass
class Run:
    """What was asked under one fault, and what became of it."""

    kit: Kit
    asked: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def statuses(self) -> Counter[int | None]:
        return Counter(answer.status for answer in self.answers)

    async def half_way(self) -> None:
        """Returns when half of the questions are answered or refused."""
        while len(self.answers) < QUESTIONS // 2:
            await asyncio.sleep(0.05)

    async def ask(self, prompt: str) -> None:
        self.asked += 1
        while not (http := self.kit.stack.http):  # all of them have died
            await asyncio.sleep(0.1)
        self.answers.append(await self.kit.ask(prompt, at=http[self.asked % len(http)]))


def says(standin: str, **fault: Any) -> Fault:
    """As long as people ask, this goes wrong at a stand-in."""

    @asynccontextmanager
    async def happening(run: Run) -> AsyncIterator[None]:
        control = run.kit.stack.control(standin)
        await control.faults([fault])
        try:
            yield
        finally:
            await control.faults()

    return happening


def now_and_then(standin: str, *faults: dict[str, Any]) -> Fault:
    """Ten times a second one of these, once."""

    @asynccontextmanager
    async def happening(run: Run) -> AsyncIterator[None]:
        chance = random.Random(1)  # noqa: S311 - faults, not secrets

        async def going_wrong() -> None:
            while True:
                await run.kit.stack.control(standin).faults([{**chance.choice(faults), "times": 1}])
                await asyncio.sleep(0.1)

        async with _meanwhile(going_wrong()):
            yield
        await run.kit.stack.control(standin).faults()

    return happening


@asynccontextmanager
async def _meanwhile(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def poisoned(run: Run) -> AsyncIterator[None]:
    await run.kit.stack.control("loganalytics").call("PUT", "/control/poison", json=[POISON])
    try:
        yield
    finally:
        await run.kit.stack.control("loganalytics").call("PUT", "/control/poison", json=[])


def bus_away(seconds: float) -> Fault:
    """Half-way Service Bus dies, and is there again after so long."""

    @asynccontextmanager
    async def happening(run: Run) -> AsyncIterator[None]:
        async def away() -> None:
            await run.half_way()
            await run.kit.stack.restart("servicebus", after_seconds=seconds)

        task = asyncio.create_task(away())
        yield
        await task

    return happening


@asynccontextmanager
async def bus_of(kit: Kit) -> AsyncIterator[Bus]:
    """A connection that no outage has been through."""
    connection = kit.stack.standins["servicebus"].ready["connection_string"]
    async with ServiceBusClient.from_connection_string(connection) as client:
        yield Bus(client)


@asynccontextmanager
async def delivered_twice(run: Run) -> AsyncIterator[None]:
    """Each request's messages come once more."""
    before = set(await run.kit.requests())
    yield
    async with bus_of(run.kit) as bus:
        for request_id in set(await run.kit.requests()) - before:
            await bus.send(REQUESTS, {"v": 1, "request_id": request_id}, message_id=uuid7())
            await announce_again(bus, reference_to_request(request_id))


@asynccontextmanager
async def killed(run: Run) -> AsyncIterator[None]:
    """Every second an instance of another group dies, and is replaced."""
    chance = random.Random(1)  # noqa: S311 - faults, not secrets

    async def dying() -> None:
        while True:
            await asyncio.sleep(1.0)
            group = chance.choice(GROUPS)
            if instances := run.kit.stack.instances(group):
                os.kill(chance.choice(instances).pid, 9)

    async with _meanwhile(dying()):
        yield


COSMOS = [
    f"{kind} {container}" for kind in ("read", "patch") for container in ("requests", "control", "budgets", "config")
]
FAULTS: dict[str, Fault] = {
    "log analytics down": says("loganalytics", operation=UPLOAD, kind="status", status=503),
    "log analytics 429": says("loganalytics", operation=UPLOAD, kind="status", status=429, seconds=2),
    "log analytics 413": says("loganalytics", operation=UPLOAD, kind="status", status=413),
    "log analytics 403": says("loganalytics", operation=UPLOAD, kind="status", status=403),
    "log analytics 400 for a row": poisoned,
    "log analytics takes it and does not say": now_and_then("loganalytics", {"operation": UPLOAD, "kind": "drop"}),
    "log analytics slow": says("loganalytics", operation=UPLOAD, kind="delay", seconds=2),
    "service bus away for seconds": bus_away(OUTAGE_SECONDS),
    "service bus away for long": bus_away(LONG_OUTAGE_SECONDS),
    "service bus loses locks": now_and_then("servicebus", {"operation": "complete *", "kind": "lock-lost"}),
    "service bus delivers twice": delivered_twice,
    "cosmos 429": now_and_then("cosmos", *({"operation": each, "kind": "status", "status": 429} for each in COSMOS)),
    "cosmos 503": now_and_then("cosmos", *({"operation": each, "kind": "status", "status": 503} for each in COSMOS)),
    "processes die": killed,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    """A stack of its own, where the dead are replaced, and which has loaded its guardrails."""
    folder = tmp_path_factory.mktemp("faults")
    async with Stack(folder, instances=2, lock_seconds=3.0, settings=SETTINGS) as stack, opened(stack) as kit:
        replacing = asyncio.create_task(replace_the_dead(stack))
        await asyncio.gather(*(kit.ask() for _ in range(4)))
        yield kit
        replacing.cancel()
        with suppress(asyncio.CancelledError):
            await replacing


async def replace_the_dead(stack: Stack) -> None:
    while True:
        group, _ = await stack.next_death()
        if group is None:  # Service Bus, which comes back
            await asyncio.sleep(0.1)
        else:
            await stack.start_instance(group)


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[list[str]]:
    """A line for each fault, printed by ``make faults``."""
    lines: list[str] = []
    yield lines
    if "FAULT_QUESTIONS" in os.environ:
        head = f"{'fault':<42}{'asked':>6}{'answered':>9}{'refused':>8}{'broken':>7}{'events':>7}{'doubled':>8}{'s':>6}"
        sys.stderr.write("\n".join(["", head, *lines, ""]))


async def drained(kit: Kit) -> None:
    """Waits until every request that was ever accepted has ended, and its event is written, or set aside."""

    async def nothing_is_left() -> None:
        assert kit.stack.instances("queues"), "they have died"
        await kit.run_timer("sweep")
        accepted = (await kit.requests()).values()
        assert all(request.answerable for request in accepted)
        assert {(request.audit or {}).get("status") for request in accepted} <= {"written", "rejected"}

    await eventually(nothing_is_left, within=DRAINED_WITHIN)


@pytest.mark.claim("A1", "A5")
@pytest.mark.parametrize("fault", FAULTS)
async def test_when_something_goes_wrong_then_every_answer_has_its_one_event(
    kit: Kit, fault: str, table: list[str]
) -> None:
    began, before = time.monotonic(), set(await kit.requests())
    rows_before = len(await kit.events())
    run, turns = Run(kit), asyncio.Semaphore(AT_ONCE)

    async def ask(number: int) -> None:
        async with turns:
            about = POISON if number == QUESTIONS // 2 else f"offer number {number}"
            await run.ask(f"What do you think of {about}?")

    async with FAULTS[fault](run):
        await asyncio.gather(*map(ask, range(QUESTIONS)))
    await drained(kit)
    if set_aside := await rejected(kit):  # as whoever looks after them would, once it is mended
        async with bus_of(kit) as bus:
            for request_id in set_aside:
                await kit.change(request_id, "/audit/status", "pending")
                await announce_again(bus, reference_to_request(request_id))
    accepted = await ended_once(kit, before)

    answered = {str(answer.body["request_id"]) for answer in run.answers if answer.status == 200}
    events = [event for event in await kit.events() if event["EventId"] not in before]
    told = Counter(event["EventId"] for event in events if event["Outcome"] == "answered")
    assert answered <= told.keys(), "an answer without its event"
    assert told.keys() <= accepted.keys()
    assert {id_ for id_, request in accepted.items() if request.outcome == "answered"} == told.keys()
    refused = sum(count for status, count in run.statuses.items() if status not in (200, 202, None))
    if fault == "service bus away for seconds":
        assert refused <= QUESTIONS // 100
    if fault.startswith("log analytics"):
        assert refused == 0, "whether it is there is nobody's concern who asks"
    doubled = len(await kit.events()) - rows_before - len({event["EventId"] for event in events})
    table.append(
        f"{fault:<42}{QUESTIONS:>6}{run.statuses[200]:>9}{refused:>8}{run.statuses[None]:>7}{len(told):>7}"
        f"{doubled:>8}{time.monotonic() - began:>6.0f}"
    )


async def rejected(kit: Kit) -> list[str]:
    def is_rejected(request: Request) -> bool:
        return request.audit is not None and request.audit["status"] == "rejected"

    return [id_ for id_, request in (await kit.requests()).items() if is_rejected(request)]
