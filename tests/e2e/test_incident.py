"""An incident, as docs/operations.md has it: stop, tell, look, get help, mend, come back; the trail tells it back."""

import asyncio
from typing import Any

import pytest

from local.readback import query_logs
from services.clock import utc_now, utc_text
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually
from tests.e2e.support import close, open_grant
from tests.e2e.test_dead_letters import listed, redrive, unstarted
from tests.e2e.test_notices import publish, withdraw


async def get(asking: Asking, person: str, path: str) -> Reply:
    return await asking.call("GET", path, token=asking.stack.token(person))


async def answered(asking: Asking, reply: Reply) -> Reply:
    """What comes of a question in the end: this stack's clients wait for a second."""
    return await asking.ended(reply.body["request_id"]) if reply.status == 202 else reply


@pytest.mark.claim("P4", "K2", "T2", "A3")
async def test_when_there_is_an_incident_then_the_runbook_works_in_its_order_and_the_trail_tells_it_back(
    impatient: Asking,
) -> None:
    began = utc_text(utc_now())
    stopped_question, dead = await unstarted(impatient)

    # Something upstream fails. Administrators tell everybody, and whoever is not answered reads why.
    async with impatient.going_wrong("models", {"operation": "chat*", "kind": "status", "status": 400}):
        notice = (await publish(impatient, text="The provider reports errors.", reason="its status page")).body
        failed = await answered(impatient, await impatient.ask("What makes a good offer?"))
        assert failed.is_problem(502, "model-failed")["notices"] == [notice]

    # First the switch, which needs neither the queues nor Log Analytics.
    async with (
        impatient.going_wrong("loganalytics", {"operation": "*", "kind": "status", "status": 503}),
        impatient.no_model_call(),
    ):
        async with impatient.going_wrong("servicebus", {"operation": "send *", "kind": "status", "status": 507}):
            assert (await impatient.switch("platform", stopped=True, reason="wrong answers")).status == 200
        refused = (await impatient.ask("What makes a good offer?")).is_problem(423, "stopped")
        assert (refused["detail"], refused["notices"]) == ("wrong answers", [notice])

        # Then what there is to see, and the vendor's help: by a grant, and to see no more than that.
        health = (await get(impatient, "ivan", "/api/health/ready")).body
        assert health["platform_stopped"]
        assert [each["service"] for each in health["checks"] if not each["answers"]] == ["loganalytics"]
        grant = (await open_grant(impatient, reason="answers are wrong")).body["id"]
        assert (await get(impatient, "victor", "/api/health/ready")).body["platform_stopped"]
        assert (await get(impatient, "victor", "/api/queues")).status == 200
        for path in ("/api/audit", "/api/queues/requests/dead-letters", f"/api/requests/{stopped_question}"):
            (await get(impatient, "victor", path)).is_problem(403, "support-only")

    # It is mended. What was given up meanwhile is brought back, and the platform is let go.
    number = dead["sequence_number"]
    assert number in await listed(impatient, "requests")
    assert (await impatient.switch("platform", stopped=False, reason="the model is back")).status == 200
    assert (await redrive(impatient, "requests", [number])).body["sequence_numbers"] == [number]
    assert (await answered(impatient, await impatient.ask("What makes a good offer?"))).status == 200
    assert (await impatient.ended(stopped_question)).status in (200, 503)  # 503 if the sweep gave it up before
    assert (await withdraw(impatient, notice["id"], reason="over")).status == 200
    assert (await close(impatient, grant)).status == 200
    assert (await get(impatient, "ivan", "/api/health/ready")).body["ready"]

    # All of it is in the trail, in its order, also what happened while Log Analytics was away.
    expected = ["notice.publish", "switch.set", "support.open", "switch.set", "queue.redrive", "notice.withdraw"]
    expected.append("support.close")

    async def told() -> None:
        await impatient.kit.run_timer("sweep")
        kql = f"AuditEvents_CL | where EventTime >= datetime({began}) | summarize arg_max(Revision, *) by EventId"
        events: list[dict[str, Any]] = sorted(
            await query_logs(impatient.stack, kql), key=lambda event: str(event["EventTime"])
        )
        assert [event["EventType"] for event in events if event["EventType"] in expected] == expected
        seen = {(event["EventType"], event["Target"]) for event in events if event["Grant"] == grant}
        assert seen >= {("support.read", "get_health"), ("support.read", "get_queues"), ("support.refuse", "get_trail")}

    await eventually(told)


@pytest.mark.claim("P4", "K2")
async def test_when_the_platform_is_stopped_then_every_tool_of_an_incident_still_works(asking: Asking) -> None:
    async with asking.stopped("platform", "an incident"):
        paths = ("/api/health/ready", "/api/queues", "/api/queues/audit/dead-letters", "/api/support/versions")
        shown = await asyncio.gather(*(get(asking, "ivan", path) for path in (*paths, "/api/support/errors")))
        assert {reply.status for reply in shown} == {200}
        assert (await asking.call("GET", "/api/health", token=None)).status == 200
        notice = (await publish(asking)).body
        assert (await withdraw(asking, notice["id"])).status == 200
        assert (await redrive(asking, "audit", [2**40])).status == 200
        grant = await open_grant(asking)
        assert grant.status == 201
        assert (await get(asking, "victor", "/api/health/ready")).status == 200
        assert (await close(asking, grant.body["id"])).status == 200
