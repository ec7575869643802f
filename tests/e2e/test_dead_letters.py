"""Dead letters: IT Operations see what a queue gave up, and bring it back when what was wrong is mended.

Whoever handles a message may get it more than once: what has happened already does not happen again.
"""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from local.readback import query_logs
from services.bus import AUDIT, QUEUES, REQUESTS
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually, new_request, once

PROMPT = "What makes a good offer?"


def path(queue: str) -> str:
    return f"/api/queues/{queue}/dead-letters"


async def listed(asking: Asking, queue: str, query: str = "") -> dict[int, dict[str, Any]]:
    """By sequence number, what IT Operations are shown of a queue's dead letters."""
    reply = await asking.call("GET", path(queue) + query, token=asking.stack.token("ivan"))
    assert reply.status == 200, reply.text
    return {each["sequence_number"]: each for each in reply.body["dead_letters"]}


async def redrive(asking: Asking, queue: str, numbers: list[int] | None = None, *, reason: str = "mended") -> Reply:
    body = {"reason": reason, **({} if numbers is None else {"sequence_numbers": numbers})}
    return await asking.call("POST", path(queue), token=asking.stack.token("ivan"), json=body)


@asynccontextmanager
async def failing(asking: Asking, function: str) -> AsyncIterator[None]:
    """Every call of a queue's function fails meanwhile, so that its messages are given up."""
    controls = [asking.stack.control(instance) for instance in asking.stack.instances("queues")]
    for control in controls:
        await control.faults([{"operation": function, "kind": "status"}])
    try:
        yield
    finally:
        for control in controls:
            await control.faults()


async def given_up(asking: Asking, queue: str, before: dict[int, Any], *, at_least: int = 1) -> dict[int, Any]:
    """The dead letters that are new, when there are so many."""

    async def there() -> dict[int, Any]:
        new = {number: each for number, each in (await listed(asking, queue)).items() if number not in before}
        assert len(new) >= at_least
        return new

    return await eventually(there)


async def unstarted(asking: Asking) -> tuple[str, dict[str, Any]]:
    """A request whose message was given up, and its dead letter."""
    before, known = await listed(asking, REQUESTS), await asking.kit.requests()
    async with failing(asking, "start"):
        asked = await asking.call(
            "POST",
            "/api/assistants/sales-helper/requests",
            token=asking.stack.token("alice"),
            json={"prompt": PROMPT},
            headers={"Prefer": "respond-async"},
        )
        assert asked.status == 202
        dead = once((await given_up(asking, REQUESTS, before)).values())
    request_id = await new_request(asking.kit, known)
    assert request_id == asked.body["request_id"]
    return request_id, dead


async def rows(asking: Asking, event_id: str) -> list[dict[str, Any]]:
    return await query_logs(asking.stack, f"AuditEvents_CL | where EventId == '{event_id}'")


async def nothing_waits(asking: Asking, queue: str) -> None:
    async def none() -> None:
        counts = (await asking.kit.queues())[queue]
        assert (counts["active"], counts["locked"]) == (0, 0)

    await eventually(none)


# -- requests


@pytest.mark.claim("A5")
async def test_when_a_question_was_given_up_and_is_brought_back_then_it_is_answered_once(asking: Asking) -> None:
    calls = await asking.kit.model_calls()
    request_id, dead = await unstarted(asking)
    assert (dead["message_id"], dead["about"]) == (request_id, {"request_id": request_id})
    assert (dead["reason"], dead["deliveries"]) == ("MaxDeliveryCountExceeded", 10)
    assert (await asking.status(request_id)).status == 202
    number = dead["sequence_number"]

    brought = await redrive(asking, REQUESTS, [number])

    assert (brought.status, brought.body["sequence_numbers"]) == (200, [number])
    answer = await asking.ended(request_id)
    assert (answer.status, bool(answer.body["answer"])) == (200, True)
    assert (await redrive(asking, REQUESTS, [number])).body["sequence_numbers"] == [], "there is none of it any more"
    assert number not in await listed(asking, REQUESTS)
    await nothing_waits(asking, REQUESTS)
    assert await asking.kit.model_calls() == calls + 1
    assert (await asking.audited(request_id))["Outcome"] == "answered"
    assert len(await rows(asking, request_id)) == 1


@pytest.mark.claim("A5", "C1")
async def test_when_the_question_was_answered_meanwhile_then_bringing_it_back_does_nothing(asking: Asking) -> None:
    request_id, dead = await unstarted(asking)
    await asking.kit.orchestrate(request_id)
    answer = (await asking.ended(request_id)).body
    await asking.audited(request_id)
    async with asking.no_model_call():
        brought = await redrive(asking, REQUESTS, [dead["sequence_number"]])
        assert brought.body["sequence_numbers"] == [dead["sequence_number"]]
        await nothing_waits(asking, REQUESTS)
        assert dead["sequence_number"] not in await listed(asking, REQUESTS)
    assert (await asking.status(request_id)).body == answer
    assert len(await rows(asking, request_id)) == 1
    assert len(await asking.kit.attempts(request_id)) == 1


# -- audit events


@pytest.mark.claim("A5")
async def test_when_an_event_was_given_up_and_is_brought_back_then_it_is_in_the_trail_once(asking: Asking) -> None:
    before = await listed(asking, AUDIT)
    async with failing(asking, "write_audit"):
        request_id = (await asking.ask(PROMPT)).body["request_id"]
        new = await given_up(asking, AUDIT, before)
    dead = once([each for each in new.values() if each["about"]["id"] == request_id])
    assert dead["about"] == {"container": "requests", "partition": request_id, "id": request_id}
    assert await rows(asking, request_id) == []

    assert (await redrive(asking, AUDIT, list(new))).body["sequence_numbers"] == sorted(new)

    assert (await asking.audited(request_id))["Outcome"] == "answered"
    assert len(await rows(asking, request_id)) == 1


@pytest.mark.claim("A5")
async def test_when_the_sweep_was_faster_then_bringing_an_event_back_adds_no_row(impatient: Asking) -> None:
    before = await listed(impatient, AUDIT)
    async with failing(impatient, "write_audit"):
        asked = await impatient.ask(PROMPT)
        request_id = asked.body["request_id"]
        await impatient.ended(request_id)
        new = await given_up(impatient, AUDIT, before)

    async def written() -> None:
        await impatient.kit.run_timer("sweep")
        assert len(await rows(impatient, request_id)) == 1

    await eventually(written)
    await impatient.audited(request_id)
    assert (await redrive(impatient, AUDIT, list(new))).body["sequence_numbers"] == sorted(new)
    await nothing_waits(impatient, AUDIT)
    assert len(await rows(impatient, request_id)) == 1


# -- what IT Operations are shown, and what the trail says


@pytest.mark.claim("A3")
async def test_when_dead_letters_are_brought_back_then_the_trail_says_which_by_whom_and_why(asking: Asking) -> None:
    request_id, dead = await unstarted(asking)
    reason = f"Durable is up again {secrets.token_hex(4)}"
    number = dead["sequence_number"]
    assert (await redrive(asking, REQUESTS, [number], reason=reason)).status == 200
    event = await asking.trail(f"EventType == 'queue.redrive' and Reason == '{reason}'")
    assert (event["Actor"], event["Target"]) == (str(asking.stack.person("ivan").oid), "queue:requests")
    told = {"sequence_number": number, "message_id": request_id, "reason": "MaxDeliveryCountExceeded"}
    assert json.loads(event["After"]) == {"dead_letters": [told]}
    await asking.ended(request_id)


@pytest.mark.claim("A3")
async def test_when_it_cannot_be_recorded_then_nothing_is_brought_back(asking: Asking) -> None:
    request_id, dead = await unstarted(asking)
    number = dead["sequence_number"]
    async with asking.going_wrong("cosmos", {"operation": "create config", "kind": "status"}):
        (await redrive(asking, REQUESTS, [number])).is_problem(503, "not-available")
    assert number in await listed(asking, REQUESTS)
    assert (await redrive(asking, REQUESTS)).body["sequence_numbers"] == [number], "all there are"
    await asking.ended(request_id)


async def test_when_queues_are_counted_then_every_one_with_its_dead_letters(asking: Asking) -> None:
    request_id, dead = await unstarted(asking)
    reply = await asking.call("GET", "/api/queues", token=asking.stack.token("ivan"))
    counted = {each["name"]: each["dead_letters"] for each in reply.body["queues"]}
    assert counted.keys() == set(QUEUES)
    assert counted["requests"] == len(await listed(asking, REQUESTS)) > 0
    shown = json.dumps(await listed(asking, REQUESTS))
    assert PROMPT not in shown
    assert (await redrive(asking, REQUESTS, [dead["sequence_number"]])).status == 200
    await asking.ended(request_id)


async def test_when_dead_letters_are_listed_by_pages_then_a_page_says_where_the_next_begins(asking: Asking) -> None:
    dead = [(await unstarted(asking)) for _ in range(2)]
    token = asking.stack.token("ivan")
    first = (await asking.call("GET", path(REQUESTS) + "?limit=1", token=token)).body
    assert first["after"] == first["dead_letters"][0]["sequence_number"]
    rest = (await asking.call("GET", f"{path(REQUESTS)}?after={first['after']}", token=token)).body
    assert rest["after"] is None
    assert {request_id for request_id, _ in dead} <= {
        each["message_id"] for each in first["dead_letters"] + rest["dead_letters"]
    }
    assert (await redrive(asking, REQUESTS)).status == 200
    for request_id, _ in dead:
        await asking.ended(request_id)


@pytest.mark.claim("I5")
async def test_when_somebody_is_not_of_it_operations_then_they_see_and_bring_back_nothing(asking: Asking) -> None:
    for person in ("alice", "adam", "gus", "audrey", "paula", "victor"):
        token = asking.stack.token(person)
        (await asking.call("GET", path(AUDIT), token=token)).is_problem(403, "role-missing")
        reply = await asking.call("POST", path(AUDIT), token=token, json={"reason": "why not"})
        reply.is_problem(403, "role-missing")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reason": "mended", "sequence_numbers": []},
        {"reason": "mended", "sequence_numbers": [1] * 101},
        {"reason": "mended", "sequence_numbers": ["first"]},
        {"reason": "mended", "queue": "audit"},
    ],
    ids=["no reason", "none", "too many", "no number", "unknown"],
)
async def test_when_dead_letters_are_brought_back_in_a_wrong_way_then_400(asking: Asking, wrong: Any) -> None:
    token = asking.stack.token("ivan")
    (await asking.call("POST", path(AUDIT), token=token, json=wrong)).is_problem(400, "malformed")


async def test_when_a_page_cannot_be_then_400_and_there_is_no_other_queue(asking: Asking) -> None:
    token = asking.stack.token("ivan")
    for query in ("?limit=0", "?limit=501", "?after=-1", f"?after={2**63}", "?before=1"):
        (await asking.call("GET", path(AUDIT) + query, token=token)).is_problem(400, "malformed")
    for name in ("none", "Audit", "audit%2F$deadletterqueue"):
        (await asking.call("GET", path(name), token=token)).is_problem(404, "not-found")
        (await redrive(asking, name)).is_problem(404, "not-found")
