"""A change and its audit event are there together or not at all, whoever dies and whatever is down (claim A3)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from governance.access import ACCESS, team_in
from governance.audit import KEPT_SECONDS, Outbox, items_of
from governance.switches import SWITCH_ID
from local.readback import query_logs
from local.seed import SEED
from local.stack import Stack
from routing.assistants import ASSISTANT, AssistantSettings
from services.documents import Document
from tests.chains import in_a_chain
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import counted, eventually, opened

SETTINGS = {"AUDIT_PENDING_AFTER_SECONDS": "0", "RECONCILE_AFTER_SECONDS": "0"}
"""The timers look at events of any age."""

NOBODYS = "6209f000-0000-4000-8000-0000000000ff"
"""A group that nobody is in."""
HELPER = AssistantSettings.model_validate(json.loads(SEED.read_text())["assistants"][0]["settings"]).model_dump()
HELD_BACK_SECONDS = 30.0
"""An answer, from somebody who will be dead by then."""
SOON = 10.0
"""Seconds in which whoever makes a change hears of it: few, and some more for a busy machine."""
KILLS = 6


@dataclass(frozen=True)
class Subject:
    """A document that is changed again and again, each time for another reason, which is also in its new content."""

    target: str
    """As its events name it."""
    function: str
    """The operation that changes it."""
    person: str
    path: str
    container: Outbox
    partition: str
    id: str
    wish: Callable[[str], dict[str, Any]]
    """What a client sends besides the reason."""
    told: Callable[[Document], dict[str, Any]]
    """What events say of it."""
    first: dict[str, Any] = field(default_factory=dict)
    """What an event would have said of it when the stack started."""


def team(id_: str) -> Subject:
    return Subject(
        target=f"team:{id_}",
        function="put_team",
        person="adam",
        path=f"/api/teams/{id_}",
        container="config",
        partition=ACCESS,
        id=f"team:{id_}",
        wish=lambda reason: {"name": reason, "group": NOBODYS},
        told=lambda document: team_in(document).model_dump(),
    )


TEAM = team("press")
DRAFT = Subject(
    target="assistant:sales-helper",
    function="put_draft",
    person="paula",
    path="/api/assistants/sales-helper/draft",
    container="config",
    partition=ASSISTANT,
    id="sales-helper",
    wish=lambda reason: {"settings": {**HELPER, "description": reason}},
    told=lambda document: {"state": document["state"], "version": document["version"], **document["draft"]},
    first={"state": "published", "version": 1, **HELPER},
)
SWITCH = Subject(
    target="assistant:handbook",
    function="put_switch",
    person="gus",
    path="/api/switches/handbook",
    container="control",
    partition="assistant:handbook",
    id=SWITCH_ID,
    wish=lambda reason: {"stopped": len(reason) % 2 == 0},
    told=lambda document: {"stopped": document["stopped"], "reason": document["reason"]},
)
SUBJECTS = (TEAM, DRAFT, SWITCH)

of_each_kind = pytest.mark.parametrize("what", SUBJECTS, ids=lambda what: what.function)
in_each_container = pytest.mark.parametrize("what", [TEAM, SWITCH], ids=lambda what: what.container)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async with Stack(tmp_path_factory.mktemp("changes"), settings=SETTINGS) as stack, opened(stack) as kit:
        yield Asking(kit)


@pytest_asyncio.fixture(loop_scope="session")
async def office(module_office: Asking) -> AsyncIterator[Asking]:
    """Somebody serves HTTP at the beginning of every test, and nothing is to go wrong."""
    stack = module_office.stack
    if not stack.http:
        await stack.start_instance("http")
    yield module_office
    for standin in stack.standins.values():
        await stack.control(standin).faults()


async def now(office: Asking, what: Subject) -> Document | None:
    return await items_of(office.kit.store, what.container).read(what.id, what.partition)


def told(document: Document | None, what: Subject) -> dict[str, Any]:
    return {} if document is None else what.told(document)


async def change(office: Asking, what: Subject, reason: str) -> Reply | None:
    """By somebody who has just read it. None if nobody answers: then it is not known whether it was changed."""
    document = await now(office, what)
    if not office.stack.http:
        return None
    seen = {"If-None-Match": "*"} if document is None else {"If-Match": document["_etag"]}
    token, body = office.stack.token(what.person), {**what.wish(reason), "reason": reason}
    try:
        return await office.call("PUT", what.path, token=token, headers=seen, json=body)
    except aiohttp.ClientConnectionError:
        return None


async def changed(office: Asking, what: Subject, reason: str) -> Reply:
    reply = await change(office, what, reason)
    assert reply is not None
    assert reply.status == 200, reply.text
    assert reason in told(await now(office, what), what).values()
    return reply


async def outbox(office: Asking, what: Subject) -> list[Document]:
    """The documents that keep its events."""
    query = "SELECT * FROM c WHERE c.type = 'audit' AND c.audit.event.Target = @target"
    found = items_of(office.kit.store, what.container).query(query, {"@target": what.target}, partition=what.partition)
    return [document async for document in found]


async def status(office: Asking, what: Subject, reason: str) -> list[str]:
    """Whether the events of what was done for this reason are pending or written."""
    kept = await outbox(office, what)
    return [document["audit"]["status"] for document in kept if document["audit"]["event"]["Reason"] == reason]


async def swept(office: Asking) -> None:
    """Returns when the sweep has run, and all that it announced is written."""
    await office.kit.run_timer("sweep")

    async def nothing_is_pending() -> None:
        for items in (office.kit.store.config, office.kit.store.control):
            assert [each async for each in items.query("SELECT c.id FROM c WHERE c.audit.status = 'pending'")] == []

    await eventually(nothing_is_pending)


async def history(office: Asking, what: Subject) -> list[str]:
    """Why it was ever changed, in order, as the trail tells it once the sweep has run.

    Fails unless the events are a chain from what it was at first to what it is now, and those in the store are of them.
    """
    await swept(office)
    kql = f"AuditEvents_CL | where Target == '{what.target}' | summarize arg_max(TimeGenerated, *) by EventId"
    rows = [
        {**row, "Before": json.loads(row["Before"]), "After": json.loads(row["After"])}
        for row in await query_logs(office.stack, kql)
    ]
    chain = in_a_chain(rows, what.first)
    document = await now(office, what)
    assert told(document, what) == (chain[-1]["After"] if chain else what.first)
    for kept in await outbox(office, what):
        event = kept["audit"]["event"]
        row = next(row for row in rows if row["EventId"] == event["EventId"])
        assert {name: row[name] for name in ("Before", "After", "Reason", "Actor")}.items() <= event.items()
    assert {row["Actor"] for row in rows} <= {str(office.stack.person(what.person).oid)}
    return [row["Reason"] for row in chain]


# -- somebody dies


async def keep_changing(office: Asking, what: Subject, alive: asyncio.Event, over: asyncio.Event) -> list[str]:
    """One change after the other, each repeated until it was made. Returns their reasons."""
    reasons: list[str] = []
    while not over.is_set():
        reasons.append(f"change {len(reasons) + 1} of {what.target}")
        while reasons[-1] not in told(await now(office, what), what).values():
            await alive.wait()
            reply = await change(office, what, reasons[-1])
            assert reply is None or reply.status == 200, reply.text
    return reasons


@pytest.mark.claim("A3")
async def test_when_the_app_is_killed_again_and_again_then_every_change_is_in_the_trail_once(office: Asking) -> None:
    stack = office.stack
    before = [await history(office, what) for what in SUBJECTS]
    # Written but not announced, and announced but not acknowledged, last longer than they do.
    await stack.control("cosmos").faults([{"operation": "batch *", "kind": "delay", "seconds": 0.05}])
    await stack.control("servicebus").faults([{"operation": "send audit", "kind": "delay", "seconds": 0.05}])
    alive, over = asyncio.Event(), asyncio.Event()
    changing = [asyncio.create_task(keep_changing(office, what, alive, over)) for what in SUBJECTS]
    for kill in range(KILLS):
        alive.set()
        await asyncio.sleep(0.4 + 0.3 * kill)  # wherever that may be
        alive.clear()
        victim = stack.http[0]
        await stack.kill(victim)
        await stack.start_instance("http", in_place_of=victim)
    over.set()
    alive.set()
    for what, earlier, made in zip(SUBJECTS, before, await asyncio.gather(*changing), strict=True):
        assert await history(office, what) == [*earlier, *made]


@pytest.mark.claim("A3")
@in_each_container
@pytest.mark.parametrize(
    ("where", "operation", "made"),
    [
        ("http", "{function}", False),
        ("cosmos", "batch {container}", True),  # it is written, and whoever wrote it doesn't know
        ("servicebus", "send audit", True),
        ("http", "{function}:done", True),
    ],
)
async def test_when_the_app_dies_during_a_change_then_it_was_made_and_told_or_neither(
    office: Asking, what: Subject, where: str, operation: str, made: bool
) -> None:
    before, reason = await history(office, what), f"somebody dies at {operation}"
    victim = office.stack.http[0]
    operation = operation.format(function=what.function, container=what.container)
    if where == "http":
        fault = {"operation": operation, "kind": "drop", "times": 1}
        await office.stack.control(victim).faults([fault])
        assert await change(office, what, reason) is None
        await victim.wait()
    else:
        control = office.stack.control(where)
        count = (await control.counts()).get(operation, 0)
        fault = {"operation": operation, "kind": "delay", "seconds": HELD_BACK_SECONDS, "times": 1}
        async with office.going_wrong(where, fault):
            asked = asyncio.create_task(change(office, what, reason))
            await counted(office.kit, where, operation, count + 1)
            await office.stack.kill(victim)
            assert await asked is None
    assert await history(office, what) == [*before, *([reason] if made else [])]

    await office.stack.start_instance("http")
    await changed(office, what, f"after {reason}")
    assert (await history(office, what))[-1] == f"after {reason}"


@pytest.mark.claim("A3")
@in_each_container
async def test_when_the_queue_takes_nothing_and_the_app_dies_then_the_sweep_of_another_process_tells(
    office: Asking, what: Subject
) -> None:
    before, reason = await history(office, what), "nobody could be told"
    sent = (await office.stack.control("servicebus").counts()).get("send audit", 0)
    async with office.going_wrong("servicebus", {"operation": "send audit", "kind": "status"}):
        asked = asyncio.create_task(change(office, what, reason))
        await counted(office.kit, "servicebus", "send audit", sent + 1)
        await office.stack.kill(office.stack.http[0])
        assert await asked is None
        assert await status(office, what, reason) == ["pending"]
    assert office.stack.http == []
    assert await history(office, what) == [*before, reason]


# -- something is down


@pytest.mark.claim("A3")
@of_each_kind
async def test_when_cosmos_refuses_a_change_then_there_is_neither_change_nor_event(
    office: Asking, what: Subject
) -> None:
    before, document = await history(office, what), await now(office, what)
    async with office.going_wrong("cosmos", {"operation": f"batch {what.container}", "kind": "status"}):
        reply = await change(office, what, "refused")
    assert reply is not None
    reply.is_problem(503, "not-available")
    assert await now(office, what) == document
    assert await status(office, what, "refused") == []
    assert await history(office, what) == before


@pytest.mark.claim("A3")
async def test_when_service_bus_is_down_then_changes_are_made_soon_and_told_when_it_is_back(office: Asking) -> None:
    before = [await history(office, what) for what in SUBJECTS]
    made = ["it is just down", "it is still down"]
    await office.stack.standins["servicebus"].kill()
    try:
        for reason in made:
            async with asyncio.timeout(SOON):
                await asyncio.gather(*(changed(office, what, reason) for what in SUBJECTS))
        for what in SUBJECTS:
            assert [await status(office, what, reason) for reason in made] == [["pending"], ["pending"]]
    finally:
        await office.stack.restart("servicebus")
    for what, earlier in zip(SUBJECTS, before, strict=True):
        assert await history(office, what) == [*earlier, *made]


# -- an answer of Cosmos DB is lost, and the SDK repeats what was done


async def repeated(office: Asking, method: str, path: str, **options: Any) -> Reply:
    """What is answered to a change whose batch is carried out once, and sent twice."""
    cosmos = office.stack.control("cosmos")
    batches = (await cosmos.counts()).get("batch config", 0)
    async with office.going_wrong("cosmos", {"operation": "batch config", "kind": "drop", "times": 1}):
        reply = await office.call(method, path, **options)
    assert (await cosmos.counts())["batch config"] == batches + 2
    assert reply.status in (200, 201), reply.text
    return reply


@pytest.mark.claim("A3")
async def test_when_the_answers_to_a_teams_changes_are_lost_then_each_is_made_once(office: Asking) -> None:
    what = team("unlucky")
    reasons = ["it is made", "it is changed", "it is removed"]
    seen, token = {"If-None-Match": "*"}, office.stack.token("adam")
    for reason in reasons[:2]:
        body = {**what.wish(reason), "reason": reason}
        reply = await repeated(office, "PUT", what.path, token=token, headers=seen, json=body)
        seen = {"If-Match": reply.headers["Etag"]}
    await repeated(office, "POST", f"{what.path}/remove", token=token, headers=seen, json={"reason": reasons[2]})
    assert await now(office, what) is None
    assert await history(office, what) == reasons


@pytest.mark.claim("A3")
async def test_when_the_answers_to_a_publishers_changes_are_lost_then_each_is_made_once(office: Asking) -> None:
    token, settings = office.stack.token("paula"), {**HELPER, "name": "Unlucky"}
    made = await repeated(
        office, "POST", "/api/assistants", token=token, json={"settings": settings, "reason": "there is a need"}
    )
    path, etag = f"/api/assistants/{made.body['id']}", made.headers["Etag"]
    for step, members in (("publish", {}), ("publish", {}), ("restore", {"version": 1}), ("retire", {})):
        body = {"reason": "it is time", **members}
        reply = await repeated(office, "POST", f"{path}/{step}", token=token, headers={"If-Match": etag}, json=body)
        etag = reply.headers["Etag"]
    assert (reply.body["state"], reply.body["version"], reply.body["latest_version"]) == ("retired", 1, 2)
    versions = await office.call("GET", f"{path}/versions", token=token)
    assert [each["version"] for each in versions.body["versions"]] == [2, 1]
    await swept(office)
    kql = f"AuditEvents_CL | where Assistant == '{made.body['id']}' | distinct EventId, EventTime, EventType"
    events = sorted(await query_logs(office.stack, kql), key=lambda event: event["EventTime"])
    assert [event["EventType"].removeprefix("assistant.") for event in events] == [
        *("create", "publish", "publish", "restore", "retire")
    ]


@pytest.mark.claim("A3")
async def test_when_the_answer_to_a_switch_is_lost_then_it_was_set_once(office: Asking) -> None:
    before = await history(office, SWITCH)
    async with office.going_wrong("cosmos", {"operation": "batch control", "kind": "drop", "times": 1}):
        await changed(office, SWITCH, "the answer is lost")
    assert await history(office, SWITCH) == [*before, "the answer is lost"]


# -- afterwards


@pytest.mark.claim("A3")
@in_each_container
async def test_when_an_event_is_written_then_its_document_expires_and_the_change_stays(
    office: Asking, what: Subject
) -> None:
    async with office.going_wrong("loganalytics", {"operation": "upload *", "kind": "status"}):
        await changed(office, what, "it will expire")
        pending = [each for each in await outbox(office, what) if each["audit"]["status"] == "pending"]
        assert [each.get("ttl") for each in pending] == [None], "what is not written must not expire"
    await swept(office)
    kept = await outbox(office, what)
    assert {each["ttl"] for each in kept} == {KEPT_SECONDS}

    items = items_of(office.kit.store, what.container)
    for each in kept:
        await items.patch(each["id"], what.partition, [{"op": "set", "path": "/ttl", "value": 1}])

    async def expired() -> None:
        assert await outbox(office, what) == []

    await eventually(expired)
    assert (await history(office, what))[-1] == "it will expire"


@pytest.mark.claim("A3", "A5")
@in_each_container
async def test_when_log_analytics_lost_a_written_event_then_reconciling_sends_it_again(
    office: Asking, what: Subject
) -> None:
    before, reason = await history(office, what), f"{what.target} gets lost"
    logs = office.stack.control("loganalytics")
    await logs.call("PUT", "/control/delay", json={"seconds": 86_400})  # what is uploaded meanwhile is never seen
    try:
        await changed(office, what, reason)
        await swept(office)
    finally:
        await logs.call("PUT", "/control/delay", json={"seconds": 0})
    assert await status(office, what, reason) == ["written"]
    assert await query_logs(office.stack, f"AuditEvents_CL | where Reason == '{reason}'") == []
    await office.kit.run_timer("reconcile_audit")
    assert await history(office, what) == [*before, reason]
