"""A burst against a cap with room for some: no more reach the model, with two instances, with faults, after a crash."""

import asyncio
import json
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from governance import reservations
from governance.reservations import Reservation
from governance.sweep import kept_usage
from local.stack import Stack
from services.clock import utc_now
from tests.e2e.asking import Asking
from tests.e2e.kit import Answer, Kit, eventually, opened
from tests.e2e.test_caps import Board

BURST = int(os.environ.get("BURST", "80"))
ROOM = 20
LATENCY = {"operation": "chat", "kind": "delay", "seconds": 0.2}
SILENT = {"match": None, "answer": "Offer a discount.", "usage": None}
"""It reports no usage, so each call costs the most that it can."""
SETTINGS = {"MODEL_TIMEOUT_SECONDS": "5", "AUDIT_PENDING_AFTER_SECONDS": "1"}

# No client can give a maximum: the assistant's always holds.


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loaded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    """Two instances of each group, which have loaded their guardrails."""
    folder = tmp_path_factory.mktemp("load")
    async with Stack(folder, instances=2, settings=SETTINGS) as stack, opened(stack) as kit:
        await asyncio.gather(*(kit.ask() for _ in range(8)))
        yield kit


@dataclass
class Burst:
    """What happened, as seen from everywhere."""

    answers: list[Answer]
    model_calls: int
    ledger: list[Reservation]
    """Of this burst."""
    history: list[dict[str, Any]]
    """Every state that the period's counter ever had meanwhile."""

    @property
    def statuses(self) -> Counter[int | None]:
        return Counter(answer.status for answer in self.answers)


class Cap:
    """The cap of Sales, with room for ROOM calls that each cost the most."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.amount = 0
        self._board = Board(Asking(kit))

    async def make_room(self, calls: int) -> None:
        attempts = [each for of_one in (await self.kit.reservations()).values() for each in of_one]
        self.amount = attempts[0].amount_micro
        assert {each.amount_micro for each in attempts} == {self.amount}
        assert (await self._board.reset()).status == 200
        assert (await self._board.set(calls * self.amount + self.amount - 1)).status == 200

    async def burst(self, of: int) -> Burst:
        before, calls = set(await self.kit.reservations()), await self.kit.model_calls()
        with history(self.kit.stack) as states:
            http = self.kit.stack.http
            answers = await asyncio.gather(*(self.kit.ask(at=http[n % len(http)]) for n in range(of)))
            await self.settled()
        ledger = [
            each for id_, of_one in (await self.kit.reservations()).items() if id_ not in before for each in of_one
        ]
        return Burst(answers, await self.kit.model_calls() - calls, ledger, states)

    async def settled(self) -> None:
        """Everything has ended, what was left behind by the sweep's hand."""

        async def no_work() -> None:
            states = {each["status"] for each in await self.kit.orchestrations()}
            assert states <= {"COMPLETED", "FAILED"}

        await eventually(no_work, within=60)
        late = utc_now() + timedelta(hours=1)
        await reservations.settle_expired(self.kit.store.budgets, kept_usage(self.kit.store), late)


@contextmanager
def history(stack: Stack) -> Iterator[list[dict[str, Any]]]:
    """Every state of the counters, as the account writes them; complete when the block has ended."""
    file = next(Path(stack.logs.parent).rglob("cosmos.sqlite"))
    database = sqlite3.connect(file, isolation_level=None, timeout=30)
    database.executescript(
        """
        CREATE TABLE IF NOT EXISTS history (id TEXT, body BLOB);
        DELETE FROM history;
        CREATE TRIGGER IF NOT EXISTS keep_history AFTER INSERT ON items
            WHEN NEW.container = 'budgets' AND NEW.id LIKE 'cap:%'
            BEGIN INSERT INTO history VALUES (NEW.id, NEW.body); END;
        """
    )
    states: list[dict[str, Any]] = []
    try:
        yield states
        states += [json.loads(body) for (body,) in database.execute("SELECT body FROM history")]
    finally:
        database.execute("DROP TRIGGER keep_history")
        database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cap(loaded: Kit) -> AsyncIterator[Cap]:
    models = loaded.stack.control("models")
    await models.faults([LATENCY])
    await models.call("PUT", "/control/script", json=[SILENT])
    cap = Cap(loaded)
    await cap.make_room(ROOM)
    yield cap
    for standin in ("models", "cosmos"):
        await loaded.stack.control(standin).faults()
    await models.call("PUT", "/control/script", json=[])


@asynccontextmanager
async def random_faults(kit: Kit, chance: random.Random) -> AsyncIterator[None]:
    """Cosmos DB is throttled, conflicts and fails, and so does the model, now here, now there."""
    operations = ("batch budgets", "patch budgets", "read budgets", "read control", "patch requests")

    async def going_wrong() -> None:
        while True:
            faults = [
                {"operation": chance.choice(operations), "kind": "status", "times": 1,
                 "status": chance.choice((429, 449, 503))}
                for _ in range(2)
            ]  # fmt: skip
            await kit.stack.control("cosmos").faults(faults)
            refused = {"operation": "chat", "kind": "status", "status": chance.choice((429, 503)), "times": 1}
            await kit.stack.control("models").faults([*([refused] if chance.random() < 0.3 else []), LATENCY])
            await asyncio.sleep(0.25)

    task = asyncio.create_task(going_wrong())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await kit.stack.control("cosmos").faults()
        await kit.stack.control("models").faults([LATENCY])


def holds(burst: Burst) -> None:
    """At no moment more was spent and reserved than may be."""
    assert burst.history
    assert all(each["spent_micro"] + each["reserved_micro"] <= each["limit_micro"] for each in burst.history)
    assert all(each["reserved_micro"] >= 0 for each in burst.history)
    last = burst.history[-1]
    assert (last["reserved_micro"], last["spent_micro"]) == (0, sum(each.charged_micro for each in burst.ledger))
    assert {each.state for each in burst.ledger} <= {"settled", "released"}


def reaches_as_many_as_fit(burst: Burst) -> None:
    """Exactly ROOM calls. On a machine too busy to read the switches in time a call is given up (503) before it is
    made, with its reservation released: each one that is missing is one of those."""
    given_up = sum(each.state == "released" for each in burst.ledger)
    assert ROOM - given_up <= burst.model_calls <= ROOM
    assert given_up <= burst.statuses[503]


@pytest.mark.claim("C1")
async def test_when_many_ask_two_instances_at_once_and_20_fit_then_exactly_20_reach_the_model(cap: Cap) -> None:
    burst = await cap.burst(BURST)
    holds(burst)
    reaches_as_many_as_fit(burst)
    assert burst.statuses[200] + burst.statuses[402] + burst.statuses[503] == BURST
    assert burst.model_calls - burst.statuses[200] <= burst.statuses[503]
    after = await cap.burst(4)
    assert after.model_calls <= ROOM - burst.model_calls
    assert after.model_calls or after.statuses.keys() <= {402, 503}


@pytest.mark.claim("C1", "A5")
async def test_when_many_ask_and_services_fail_and_an_instance_dies_then_at_most_20_are_paid_for(cap: Cap) -> None:
    stack = cap.kit.stack
    started = await cap.kit.model_calls()

    async def dying() -> None:
        async def under_way() -> None:
            assert await cap.kit.model_calls() >= started + 2

        await eventually(under_way, within=60)
        await stack.instances("durable")[0].kill()
        await stack.start_instance("durable")

    async with random_faults(cap.kit, random.Random(1)):  # noqa: S311  # faults, not secrets
        burst, _ = await asyncio.gather(cap.burst(BURST), dying())
    holds(burst)
    settled = [each for each in burst.ledger if each.state == "settled"]
    assert burst.statuses[200] <= len(settled) <= ROOM
    assert sum(burst.statuses.values()) == BURST
    released = len(burst.ledger) - len(settled)
    assert ROOM - len(settled) <= released, "what was not spent was held by calls that failed meanwhile"


@pytest.mark.claim("C1")
async def test_when_everything_that_knows_is_killed_after_a_burst_then_what_was_spent_is_not_forgotten(
    cap: Cap,
) -> None:
    burst = await cap.burst(2 * ROOM)
    reaches_as_many_as_fit(burst)
    stack = cap.kit.stack
    for group in ("http", "durable", "queues"):
        for instance in stack.instances(group):
            await instance.kill()
        for _ in range(2):
            await stack.start_instance(group)
    after = await cap.burst(2 * ROOM)
    assert after.model_calls <= ROOM - burst.model_calls
    assert after.model_calls or after.statuses.keys() <= {402, 503}


@pytest.mark.claim("C1")
async def test_when_the_model_bills_more_than_it_may_then_only_the_calls_in_flight_go_over_and_all_is_shown(
    cap: Cap,
) -> None:
    bill = {"prompt_tokens": 8000, "completion_tokens": 2000}
    await cap.kit.stack.control("models").call("PUT", "/control/script", json=[{**SILENT, "usage": bill}])
    burst = await cap.burst(3 * ROOM)
    last = burst.history[-1]
    assert 1 <= burst.model_calls <= ROOM, "those that fitted when they were reserved"
    assert last["spent_micro"] == sum(each.charged_micro for each in burst.ledger)
    assert last["overrun_micro"] == last["spent_micro"] - burst.model_calls * cap.amount > 0
    assert last["stopped"]
    assert (await cap.burst(4)).model_calls == 0
