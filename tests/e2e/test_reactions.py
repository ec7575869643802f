"""What people say of the answers that they got, and who is told of it."""

import asyncio
import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient

from governance.reactions import EDITABLE
from local.readback import query_logs
from services.bus import FEEDBACK
from services.clock import utc_now, utc_text, uuid7
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

OFFER = "What makes a good offer?"
NONE = "01890000-0000-7000-8000-000000000000"
REACTION = {"useful": False, "minutes_saved": 5, "wrong": ["incorrect", "sources"], "words": "It is out of date."}


async def asked(asking: Asking) -> str:
    """An answered request of alice's."""
    reply = await asking.ended((await asking.ask(OFFER)).body["request_id"])
    assert reply.status == 200, reply.text
    return str(reply.body["request_id"])


async def react(asking: Asking, request_id: str, *, person: str = "alice", **members: object) -> Reply:
    path = f"/api/requests/{request_id}/reaction"
    return await asking.call("POST", path, token=asking.stack.token(person), json={**REACTION, **members})


async def feedback(asking: Asking, person: str = "paula") -> Reply:
    return await asking.call("GET", "/api/assistants/sales-helper/feedback", token=asking.stack.token(person))


@pytest.mark.claim("F1", "A2")
async def test_when_somebody_reacts_then_the_owner_team_sees_it_and_the_queue_and_the_trail_have_it(
    asking: Asking,
) -> None:
    before = (await feedback(asking)).body
    request_id = await asked(asking)
    words = "It is out of date: ask jane.doe@contoso.com."
    kept = await react(asking, request_id, words=words)
    assert kept.status == 200, kept.text
    assert kept.body["words"] == "It is out of date: ask <EMAIL_ADDRESS_1>."
    now = (await feedback(asking)).body
    assert now["reactions"] - before["reactions"] == 1
    assert now["minutes_saved"] - before["minutes_saved"] == 5
    assert now["useful"] == before["useful"]
    assert now["wrong"]["sources"] - before["wrong"].get("sources", 0) == 1
    assert now["by_day"][-1]["reactions"] >= 1
    assert now["words"][0]["words"] == kept.body["words"]
    assert str(asking.stack.person("alice").oid) not in str(now), "who said it, the view does not say"
    event = await asking.trail(f"EventType == 'reaction.set' and RequestId == '{request_id}'")
    assert (event["Actor"], event["Assistant"]) == (str(asking.stack.person("alice").oid), "sales-helper")
    assert "contoso" not in str(event)
    told = await taken(asking, request_id)
    assert told["useful"] is False
    assert "person" not in told


async def taken(asking: Asking, request_id: str) -> dict[str, Any]:
    """What the queue says of the request's reaction, to whoever takes it."""
    return (await taken_of(asking, {request_id}))[request_id]


async def taken_of(asking: Asking, requests: Collection[str], words: str = "") -> dict[str, dict[str, Any]]:
    """What the queue says of the reactions to these requests that have such words, by request."""
    connection = asking.stack.standins["servicebus"].ready["connection_string"]
    found: dict[str, dict[str, Any]] = {}
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_queue_receiver(FEEDBACK, max_wait_time=10) as receiver,
        asyncio.timeout(20),
    ):
        async for message in receiver:
            await receiver.complete_message(message)
            body = json.loads(str(message))
            if body["request_id"] in requests and words in body["words"]:
                found[body["request_id"]] = body
            if found.keys() == set(requests):
                return found
    raise AssertionError("the queue has no such reaction")


@pytest.mark.claim("F1")
async def test_when_it_is_said_again_then_nothing_changes_and_when_it_is_changed_then_the_last_word_holds(
    asking: Asking,
) -> None:
    before = (await feedback(asking)).body["reactions"]
    request_id = await asked(asking)
    first = (await react(asking, request_id)).body
    assert (await react(asking, request_id)).body == first
    changed = (await react(asking, request_id, useful=True, wrong=[], words="")).body
    assert (changed["useful"], changed["at"]) == (True, first["at"])
    assert (await feedback(asking)).body["reactions"] == before + 1

    both = f"EventType == 'reaction.set' and RequestId == '{request_id}'"
    event = await asking.trail(f"{both} and tostring(Before) has 'false'")
    assert '"useful":true' in event["After"].replace(" ", "")


@pytest.mark.claim("F1")
async def test_when_many_react_at_once_then_each_is_kept_told_and_in_the_trail_also_beside_one_that_is_changed(
    asking: Asking,
) -> None:
    before = (await feedback(asking)).body["reactions"]
    requests = [await asked(asking) for _ in range(6)]
    await react(asking, requests[3])
    said = {each: f"Remark: it is {'very ' * number}late." for number, each in enumerate(requests)}
    answers = await asyncio.gather(*(react(asking, each, words=words) for each, words in said.items()))
    assert [each.status for each in answers] == [200] * len(requests)
    assert [each.body["words"] for each in answers] == list(said.values())
    assert (await feedback(asking)).body["reactions"] == before + len(requests)
    for each in requests:
        await asking.trail(f"EventType == 'reaction.set' and RequestId == '{each}' and tostring(After) has 'Remark'")
    told = await taken_of(asking, requests, "Remark")
    assert {each: message["words"] for each, message in told.items()} == said


@pytest.mark.claim("F1", "A2")
async def test_when_a_burst_comes_then_it_takes_few_operations_and_log_analytics_has_each_even_after_an_outage(
    impatient: Asking,
) -> None:
    requests = await copies_of(impatient, await asked(impatient), 40)
    cosmos = impatient.stack.control("cosmos")
    await cosmos.reset()
    async with impatient.going_wrong("loganalytics", {"operation": "upload*", "kind": "status", "status": 503}):
        answers = await asyncio.gather(*(react(impatient, each, words="") for each in requests))
        assert {each.status for each in answers} == {200}
    counts = await cosmos.counts()
    assert counts["batch feedback"] <= 5
    assert counts["query config"] <= 5, "what they may do is read for all who wait"

    async def written() -> None:
        await impatient.kit.run_timer("sweep")
        rows = await query_logs(
            impatient.stack, "AuditEvents_CL | where EventType == 'reaction.set' | distinct RequestId"
        )
        assert {str(row["RequestId"]) for row in rows} >= set(requests)

    await eventually(written)


async def copies_of(asking: Asking, request_id: str, how_many: int) -> list[str]:
    """As many requests that have ended: people whose answers it would take long to wait for."""
    requests = asking.kit.store.requests
    found = await requests.read(request_id, request_id)
    assert found is not None
    kept = {name: value for name, value in found.items() if not name.startswith("_") and name != "audit"}
    ids = [uuid7() for _ in range(how_many)]
    await asyncio.gather(*(requests.create({**kept, "id": each}) for each in ids))
    return ids


@pytest.mark.claim("A2", "A5")
async def test_when_log_analytics_refuses_one_of_a_burst_then_the_others_are_there_and_it_is_kept(
    asking: Asking,
) -> None:
    requests = await copies_of(asking, await asked(asking), 5)
    control = asking.stack.control("loganalytics")
    await control.call("PUT", "/control/poison", json=["rotten"])
    try:
        # The first goes alone; the others wait for it, and go together.
        said = ["", "", "a rotten answer", "", ""]
        await asyncio.gather(*(react(asking, each, words=words) for each, words in zip(requests, said, strict=True)))
        for each in requests[:2] + requests[3:]:
            await asking.trail(f"EventType == 'reaction.set' and RequestId == '{each}'")
        told = await asking.trail(f"EventType == 'audit.reject' and RequestId == '{requests[2]}'")
        assert told["Reason"] == "status 400"
    finally:
        await control.call("PUT", "/control/poison", json=[])


@pytest.mark.claim("A3", "A5")
async def test_when_log_analytics_lost_some_of_what_was_written_together_then_reconciling_sends_all_of_it_again(
    impatient: Asking,
) -> None:
    requests = await copies_of(impatient, await asked(impatient), 6)
    logs = impatient.stack.control("loganalytics")
    await logs.call("PUT", "/control/delay", json={"seconds": 86_400})  # what is uploaded meanwhile is never seen
    try:
        await asyncio.gather(*(react(impatient, each, words="") for each in requests))

        async def written() -> None:
            await impatient.kit.run_timer("sweep")
            query = "SELECT VALUE c.id FROM c WHERE c.audit.status = 'pending'"
            assert [each async for each in impatient.kit.store.feedback.query(query)] == []

        await eventually(written)
    finally:
        await logs.call("PUT", "/control/delay", json={"seconds": 0})
    await impatient.kit.run_timer("reconcile_audit")
    await impatient.kit.run_timer("sweep")
    for each in requests:
        await impatient.trail(f"EventType == 'reaction.set' and RequestId == '{each}'")


@pytest.mark.claim("F1")
async def test_when_it_is_not_ones_own_request_then_it_is_as_if_there_were_none(asking: Asking) -> None:
    request_id = await asked(asking)
    theirs, none = [
        await react(asking, each, person="bob") for each in (request_id, "01890000-0000-7000-8000-000000000000")
    ]
    theirs.is_problem(404, "not-found")
    assert theirs.text == none.text
    (await feedback(asking, "alice")).is_problem(404, "not-found")


async def test_when_it_is_older_than_it_may_be_then_it_stays_as_it_is(asking: Asking) -> None:
    request_id = await asked(asking)
    await react(asking, request_id)
    long_ago = utc_text(utc_now() - EDITABLE - timedelta(minutes=1))
    store = asking.kit.store.feedback
    await store.patch(request_id, "sales-helper", [{"op": "set", "path": "/at", "value": long_ago}])
    (await react(asking, request_id, useful=True)).is_problem(409, "conflict")


@pytest.mark.parametrize(
    "wrong", [{"minutes_saved": -1}, {"wrong": ["ugly"]}, {"useful": "so-so"}, {"words": "x" * 2001}, {"more": 1}]
)
async def test_when_it_is_not_what_a_reaction_may_be_then_it_says_so(asking: Asking, wrong: dict[str, Any]) -> None:
    (await react(asking, await asked(asking), **wrong)).is_problem(400, "malformed")


@pytest.mark.claim("F1")
async def test_when_the_queue_takes_nothing_then_the_reaction_is_kept_and_told_later(impatient: Asking) -> None:
    request_id = await asked(impatient)
    async with impatient.going_wrong("servicebus", {"operation": "send feedback", "kind": "status", "status": 507}):
        assert (await react(impatient, request_id)).status == 200

    async def told() -> None:
        await impatient.kit.run_timer("sweep")
        query = "SELECT VALUE c.id FROM c WHERE c.tell = 'pending'"
        assert [each async for each in impatient.kit.store.feedback.query(query)] == []

    await eventually(told)
    assert (await taken(impatient, request_id))["request_id"] == request_id
