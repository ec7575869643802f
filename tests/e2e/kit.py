"""Drives the app as its clients do, and looks at what it leaves behind: requests, the ledger, the trail.

The state is read as an administrator would: with Azure's SDKs, under a managed identity.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from azure.cosmos.aio import CosmosClient
from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.ingestion.aio import LogsIngestionClient
from azure.monitor.query.aio import LogsQueryClient
from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationStatus

from governance import costs, requests
from governance.caps import current_counter, read_cap
from governance.cost_differences import Difference, differences
from governance.request import Request
from governance.reservations import Reservation
from local.process import Process
from local.resources import AUDIT_STREAM, DATABASE
from local.stack import Stack
from services.bus import Bus, bus_client
from services.clock import utc_now
from services.documents import Store, put
from services.logs import AuditLog
from services.platform import LOGS_QUERY_AUDIENCE

UNDER_WAY = ("active", "scheduled", "locked")
"""The states of a message that somebody still has to deal with."""

PROMPT = "Please write a short summary of our offer."


@dataclass(frozen=True)
class Answer:
    """What a client got: no status if its connection broke."""

    status: int | None
    body: dict[str, Any]


class Kit:
    """A client of the app, and an administrator of everything it runs on."""

    def __init__(self, stack: Stack, store: Store, bus: Bus, audit_log: AuditLog, http: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.store = store
        self.bus = bus
        self.audit_log = audit_log
        self._http = http

    # As a client

    async def ask(self, prompt: str = PROMPT, *, by: str = "alice", at: Process | None = None) -> Answer:
        """Ask an assistant of Sales and wait for the answer."""
        url = f"{(at or self.stack.http[0]).url}/api/assistants/sales-helper/requests"
        return await self._call("POST", url, by, json={"prompt": prompt})

    async def look_up(self, request_id: str, *, by: str = "alice") -> Answer:
        """What the status URL says of a request."""
        return await self._call("GET", f"{self.stack.http[0].url}/api/requests/{request_id}", by)

    async def _call(self, method: str, url: str, by: str, **what: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.stack.token(by)}"}
        try:
            async with self._http.request(method, url, headers=headers, **what) as answer:
                return Answer(answer.status, await answer.json())
        except aiohttp.ClientConnectionError:
            return Answer(None, {})

    # As an administrator

    async def requests(self) -> dict[str, Request]:
        """Every request that was ever accepted, by id."""
        query = "SELECT * FROM c WHERE c.v = 1"
        return {doc["id"]: Request.model_validate(doc) async for doc in self.store.requests.query(query)}

    async def request(self, request_id: str) -> Request:
        request = await requests.load(self.store.requests, request_id)
        assert request is not None
        return request

    async def cap(self, team: str = "sales") -> dict[str, Any]:
        """What is spent and reserved in the period under way, and what of it may be."""
        found = await read_cap(self.store.budgets, team)
        assert found is not None
        return (await current_counter(self.store.budgets, found[0], utc_now())).model_dump()

    async def reservations(self, team: str = "sales") -> dict[str, list[Reservation]]:
        """A team's ledger: its reservations by request, in the order of their attempts."""
        query = "SELECT * FROM c WHERE c.kind = 'reservation'"
        ledger: dict[str, list[Reservation]] = {}
        found = [
            Reservation.model_validate(document) async for document in self.store.budgets.query(query, partition=team)
        ]
        for reservation in sorted(found, key=lambda each: each.id):
            ledger.setdefault(reservation.id.partition(":")[0], []).append(reservation)
        return ledger

    async def differences(self, team: str = "sales") -> list[Difference]:
        """What ledger, sums and trail don't agree on of a team's costs, yesterday and today, after a round."""
        await costs.roll_up(self.store.budgets, self.store.usage, team, utc_now())
        days = (utc_now().date() - timedelta(days=back) for back in (1, 0))
        found = [await differences(self.store, self.audit_log, team, day) for day in days]
        return [each for of_day in found for each in of_day]

    async def attempts(self, request_id: str) -> list[Reservation]:
        """What a request reserved for its model calls."""
        return (await self.reservations()).get(request_id, [])

    async def events(self) -> list[dict[str, Any]]:
        """Every row of the trail that tells of a request; an event that was uploaded twice has two."""
        kql = "AuditEvents_CL | where EventType == 'request'"
        return await self.audit_log.query(kql, timedelta(days=3))

    async def model_calls(self) -> int:
        """How many calls the models ever got, by whichever API."""
        counts = await self.stack.control("models").counts()
        return sum(counts.get(operation, 0) for operation in ("chat", "chat-stream", "azure-chat", "messages"))

    async def queues(self) -> dict[str, dict[str, int]]:
        """How many messages each queue has, by state."""
        queues: dict[str, dict[str, int]] = await self.stack.control("servicebus").call("GET", "/control/queues")
        return queues

    async def orchestrations(self) -> list[dict[str, str]]:
        """Id, name and status of each that Durable knows."""
        found: list[dict[str, str]] = await self.stack.control("durable").call("GET", "/control/instances")
        return found

    async def orchestrate(self, request_id: str) -> None:
        """Start a request's orchestration once more, as ``start`` does; one that is running is ended before."""
        async with AsyncTaskHubGrpcClient(host_address=self.stack.standins["durable"].url) as durable:
            state = await durable.get_orchestration_state(request_id)
            if state is not None and state.runtime_status is OrchestrationStatus.RUNNING:
                await durable.terminate_orchestration(request_id)
                await durable.wait_for_orchestration_completion(request_id)
            job = {"request_id": request_id, "reply_session": None}
            await durable.schedule_new_orchestration("answer_request", instance_id=request_id, input=job)

    async def change(self, request_id: str, path: str, value: Any) -> None:
        """Set a property of a request's document, as time or an accident would have."""
        await self.store.requests.patch(request_id, request_id, [put(path, value)])

    async def run_timer(self, function: str) -> None:
        """Fire a timer function now; returns when it is through."""
        await self.stack.control(self.stack.instances("queues")[0]).call("POST", f"/control/run/{function}")


@asynccontextmanager
async def opened(stack: Stack) -> AsyncIterator[Kit]:
    """A kit for this stack, until the block ends."""
    ready = {name: standin.ready for name, standin in stack.standins.items()}
    ca: dict[str, Any] = {"connection_verify": str(stack.logs.parent / "tls" / "ca.pem")}
    async with AsyncExitStack() as exits:
        environment = exits.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("IDENTITY_ENDPOINT", ready["entra"]["identity_endpoint"])
        environment.setenv("IDENTITY_HEADER", ready["entra"]["identity_header"])
        identity = await exits.enter_async_context(ManagedIdentityCredential())
        cosmos = await exits.enter_async_context(CosmosClient(ready["cosmos"]["url"], identity, **ca))
        bus = await exits.enter_async_context(bus_client(ready["servicebus"]["connection_string"], None, identity))
        logs = ready["loganalytics"]
        ingestion = LogsIngestionClient(logs["url"], identity, **ca)
        query = LogsQueryClient(identity, endpoint=f"{logs['url']}/v1", audience=LOGS_QUERY_AUDIENCE, **ca)
        audit_log = AuditLog(
            await exits.enter_async_context(ingestion),
            await exits.enter_async_context(query),
            logs["rule_id"],
            AUDIT_STREAM,
            logs["workspace_id"],
        )
        # A connection for each call: no test meets one that an instance took with it when it died.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        http = await exits.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Kit(stack, Store(cosmos, DATABASE), Bus(bus), audit_log, http)


async def eventually[T](check: Callable[[], Awaitable[T]], *, within: float = 20.0) -> T:
    """What ``check`` returns once it does not raise AssertionError any more; its last one after ``within`` seconds.

    For what happens in other processes, which don't tell.
    """
    deadline, pause = time.monotonic() + within, 0.03
    while True:
        try:
            return await check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.3)  # to look costs those who are looked at


def once[T](items: Collection[T]) -> T:
    """The only one there is."""
    assert len(items) == 1, items
    return next(iter(items))


async def ended_once(kit: Kit, before: Collection[str] = ()) -> dict[str, Request]:
    """Waits until everything that was ever accepted has ended, and holds it to the promise.

    Returns the requests that were accepted since ``before``.
    """

    async def nothing_is_under_way() -> dict[str, Request]:
        accepted = await kit.requests()
        assert {request.audit["status"] for request in accepted.values() if request.audit} <= {"written"}
        assert all(request.answerable for request in accepted.values())
        queues = await kit.queues()
        for queue in ("requests", "audit"):  # on replies, some may be left for an instance that died
            assert {state: queues[queue][state] for state in UNDER_WAY} == dict.fromkeys(UNDER_WAY, 0)
        assert {each["status"] for each in await kit.orchestrations()} <= {"COMPLETED"}
        return accepted

    accepted = await eventually(nothing_is_under_way)

    for request in accepted.values():
        assert (request.prompt, request.unchecked_answer, request.calls) == (None, None, {}), "raw text stayed"
        assert (request.answer is None) == (request.problem is not None)

    events = await kit.events()
    outcomes = {(event["EventId"], event["Outcome"]) for event in events}
    assert sorted(outcomes) == sorted((request.id, request.outcome) for request in accepted.values())

    cap, ledger = await kit.cap(), await kit.reservations()
    settled = [each for attempts in ledger.values() for each in attempts if each.state == "settled"]
    assert {each.state for attempts in ledger.values() for each in attempts} <= {"settled", "released"}
    assert cap["reserved_micro"] == 0
    assert cap["spent_micro"] == sum(each.actual_micro or 0 for each in settled)
    assert await kit.model_calls() <= len(settled), "a call was not paid for"
    for event in events:
        paid = sum(each.actual_micro or 0 for each in ledger.get(event["EventId"], []))
        assert event["CostMicro"] == paid, "the trail tells another cost than the ledger"
    assert await kit.differences() == []
    return {id_: request for id_, request in accepted.items() if id_ not in before}


async def new_request(kit: Kit, before: Collection[str]) -> str:
    """The id of the one request that was accepted since ``before``, as soon as there is one."""

    async def found() -> str:
        return once((await kit.requests()).keys() - set(before))

    return await eventually(found)


async def counted(kit: Kit, standin: str, operation: str, at_least: int) -> None:
    """Waits until a stand-in was asked for an operation so often."""

    async def enough() -> None:
        assert (await kit.stack.control(standin).counts()).get(operation, 0) >= at_least

    await eventually(enough)


def in_order(answers: Collection[Answer], accepted: Collection[str]) -> bool:
    """Everybody who asked has the answer to their own request."""
    ids = [answer.body.get("request_id") for answer in answers if answer.status == 200 and answer.body["answer"]]
    return len(ids) == len(answers) and sorted(map(str, ids)) == sorted(accepted)
