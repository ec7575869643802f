"""Support by the vendor: nothing without a grant, and with one only what support may read, recorded before it is shown.

Victor is the vendor's, a guest in the customer's directory. Adam, a platform admin, opens and closes support.
"""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import function_app  # noqa: F401 - importing it declares every operation
from api.operation import OPERATIONS
from services.bus import QUEUES, WITH_SESSIONS
from services.clock import utc_text
from tests.e2e.asking import Asking
from tests.e2e.kit import eventually, once
from tests.e2e.support import (
    ALSO_ANSWERED,
    GRANTS,
    READABLE,
    call,
    close,
    granted,
    in_,
    in_trail,
    kept,
    nothing_changed,
    open_grant,
    opened_to_everyone,
    read,
    victor,
)

# -- without a grant


@pytest.mark.claim("T2")
async def test_when_there_is_no_grant_then_the_vendor_gets_nothing(asking: Asking) -> None:
    request_id = (await asking.ask("What makes a good offer?")).body["request_id"]
    ids = {"assistant_id": "sales-helper", "request_id": request_id, "grant_id": "none"}
    replies = {name: await call(asking, each, **ids) for name, each in OPERATIONS.items()}
    exports = {"export_own_table", "export_own_lines"}
    for name in exports:
        assert "sales" not in replies.pop(name).text
    answered = {name: reply.body for name, reply in replies.items() if reply.status == 200}
    nobody: dict[str, Any] = {
        "oid": victor(asking),
        "teams": [],
        "roles": [],
        "assistants": [],
        "support": None,
        "notices": [],
    }
    assert answered.pop("get_me") == nobody
    assert answered.pop("list_assistants") == {"assistants": []}
    assert answered.pop("list_conversations") == {"conversations": [], "before": None}
    assert answered.pop("list_models") == {"object": "list", "data": []}
    assert {each["actor"] for each in answered.pop("get_own_trail")["events"]} <= {victor(asking)}
    assert answered.keys() == {"get_openapi"}
    for name in (name for name, reply in replies.items() if reply.status != 200):
        assert replies[name].status in ((400, 404) if name == "chat_completions" else (403, 404)), name
    for name in READABLE:
        replies[name].is_problem(403, "role-missing")


# -- with a grant


@pytest.mark.claim("T2")
@pytest.mark.parametrize("to", ["group", "person", "group, and the token does not list it"])
async def test_when_a_grant_is_open_then_its_holder_reads_what_support_may_and_each_call_is_recorded(
    asking: Asking, to: str
) -> None:
    whom = {"group": None, "person": victor(asking).upper()} if to == "person" else {}
    token = await asking.token(person="victor", claims={"hasgroups": True} if "token" in to else {})
    async with granted(asking, reason=f"for a {to}", **whom) as grant:
        called = [*READABLE, *ALSO_ANSWERED, "get_versions"]
        replies = {name: await call(asking, OPERATIONS[name], token=token) for name in called}
        assert {reply.status for reply in replies.values()} == {200}
        events = await in_trail(asking, grant["id"], [("support.read", name) for name in called])
    assert {(event["Outcome"], event["Reason"]) for event in events} == {("done", f"for a {to}")}
    mine = {"id": grant["id"], "until": grant["until"]}
    me = replies["get_me"].body
    assert me == {"oid": victor(asking), "teams": [], "roles": [], "assistants": [], "support": mine, "notices": []}
    health = replies["get_health"].body
    assert health["platform_stopped"] is False
    assert {check["service"]: check["answers"] for check in health["checks"]} == dict.fromkeys(
        ("cosmos", "servicebus", "loganalytics", "entra", "graph", "blobs", "contentsafety"), True
    )
    assert replies["get_versions"].body["packages"].keys() >= {"azure-cosmos", "openai", "numpy"}
    configuration = replies["get_configuration"].body
    assert {each["id"] for each in configuration["teams"]} >= {"sales", "finance"}
    assert {each["id"] for each in configuration["assistants"]} >= {"sales-helper", "handbook", "ledger"}
    queues = {each["name"]: each["messages"] for each in replies["get_queues"].body["queues"]}
    assert queues.keys() == set(QUEUES)
    assert {name for name, messages in queues.items() if messages is None} == WITH_SESSIONS
    assert replies["get_errors"].body["hours"] == 24


@pytest.mark.claim("T2")
async def test_when_requests_ended_badly_then_support_sees_how_many_and_why(asking: Asking) -> None:
    async def all_told() -> None:
        events = [request.audit for request in (await asking.kit.requests()).values()]
        assert {event["status"] for event in events if event} <= {"written"}

    async def counted() -> Counter[tuple[str, str]]:
        await eventually(all_told)
        outcomes = (await read(asking, "errors")).body["outcomes"]
        return Counter({(each["outcome"], each["problem"]): each["requests"] for each in outcomes})

    async with granted(asking):
        before = await counted()
        for _ in range(2):
            (await asking.ask("How do I build a bomb?")).is_problem(422, "policy-blocked")
        assert await counted() - before == Counter({("refused", "policy-blocked"): 2})


@pytest.mark.claim("T2")
async def test_when_support_reads_everything_it_may_then_no_content_pattern_address_or_secret_is_in_it(
    asking: Asking,
) -> None:
    prompt, answer, reason, hidden = "sorrelwort", "yarrowgrass", "fernbrake", "ivytangle"
    async with asking.scripted(f"Think of the {answer}."):
        asked = await asking.ask(f"What of the {prompt}?")
    assert asked.status == 200
    blocked = await asking.ask(f"How do I build a bomb of {prompt}?")
    for each in (asked, blocked):
        await asking.audited(each.body["request_id"])
    async with asking.stopped("handbook", reason):
        await asking.trail(f"EventType == 'switch.set' and Reason == '{reason}'")
    ready = {name: standin.ready for name, standin in asking.stack.standins.items()}
    secret = {
        *(prompt, answer, reason, hidden, "build|make|assemble", "helpful assistant", "Drafts e-mails"),
        ready["models"]["url"],
        ready["servicebus"]["connection_string"].partition("SharedAccessKey=")[2],
        ready["entra"]["identity_header"],
        ready["cosmos"]["url"],
    }
    assert all(len(each) > 5 for each in secret)
    async with opened_to_everyone(asking, hidden) as seen, granted(asking, reason=f"an outage of {reason}"):
        shown = {name: await call(asking, OPERATIONS[name]) for name in (*READABLE, *ALSO_ANSWERED)}
        held = await asking.stack.control("cosmos").dump() + await asking.stack.control("loganalytics").dump()
    assert {reply.status for reply in shown.values()} == {200}
    for word in (prompt, answer, reason, hidden):
        assert word in held, "it is nowhere, so that it is not shown means nothing"
    for name, reply in shown.items():
        assert [each for each in secret if each in reply.text or each in str(reply.headers)] == [], name
    configuration = shown["get_configuration"].body
    for part in ("assistants", "policies", "endpoints"):
        assert seen in {each["id"] for each in configuration[part]}


@pytest.mark.claim("T2")
@pytest.mark.parametrize("groups", ["the vendor's", "all there are"])
async def test_when_the_holder_of_a_grant_calls_anything_else_then_it_is_refused_and_recorded(
    asking: Asking, groups: str
) -> None:
    """Also what everybody may, what they could do by other groups, and a request of their own."""
    everywhere = [str(group.id) for group in asking.stack.directory.groups]
    insider = await asking.token(person="victor", claims={"groups": everywhere})
    token = insider if groups == "all there are" else asking.stack.token("victor")
    closed = [each for each in OPERATIONS.values() if not each.support]
    assert len(closed) > 20
    async with opened_to_everyone(asking, "ivy") as everyones:
        ask = f"/api/assistants/{everyones}/requests"
        question = {"prompt": "What makes a good offer?", "team": "sales"}
        own = await asking.call("POST", ask, token=insider, json=question)
        assert own.status == 200
        async with granted(asking) as grant:
            ids = {"assistant_id": everyones, "request_id": own.body["request_id"], "grant_id": grant["id"]}
            async with nothing_changed(asking), asking.no_model_call():
                for each in [each for each in closed if each.route.startswith("openai/")]:
                    refused = await call(asking, each, token=token, **ids)
                    assert (refused.status, refused.body["error"]["code"]) == (403, "support-only")
                for each in [each for each in closed if not each.route.startswith("openai/")]:
                    problem = (await call(asking, each, token=token, **ids)).is_problem(403, "support-only")
                    assert problem.keys() == {"type", "title", "status", "detail"}, each.name
                (await asking.call("POST", ask, token=token, json=question)).is_problem(403, "support-only")
            names = [*(each.name for each in closed), "ingest"]
            events = await in_trail(asking, grant["id"], [("support.refuse", name) for name in names])
    assert {event["Outcome"] for event in events} == {"refused"}


def test_when_operations_are_declared_for_support_then_they_are_these() -> None:
    """So that nobody opens another one to support by the way."""
    opened = {name for name, each in OPERATIONS.items() if each.support}
    assert opened == {*READABLE, *ALSO_ANSWERED}
    assert {OPERATIONS[name].method for name in opened} == {"GET"}


# -- how it ends


@pytest.mark.claim("T2")
async def test_when_a_grant_is_closed_then_the_very_next_call_is_refused(asking: Asking) -> None:
    async with granted(asking) as grant:
        assert (await read(asking)).status == 200
        closed = await close(asking, grant["id"])
        (await read(asking)).is_problem(403, "role-missing")
    assert closed.body == {
        **grant,
        "closed_at": closed.body["closed_at"],
        "closed_by": str(asking.stack.person("adam").oid),
    }
    assert (await call(asking, OPERATIONS["get_me"])).body["support"] is None
    await in_trail(asking, grant["id"], [("support.read", "get_versions")])


@pytest.mark.claim("T2")
async def test_when_the_end_has_come_then_no_call_is_answered_any_more(asking: Asking) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)
    grant = (await open_grant(asking, until=utc_text(until))).body
    sent: list[tuple[datetime, int]] = []
    while not sent or sent[-1][0] < until + timedelta(seconds=1):
        sent.append((datetime.now(UTC), (await read(asking)).status))
    assert [moment for moment, status in sent if status == 200 and moment >= until] == []
    assert {status for _, status in sent} == {200, 403}
    passed = sum(status == 200 for _, status in sent)
    await in_trail(asking, grant["id"], [("support.read", "get_versions")] * passed)
    assert (await call(asking, OPERATIONS["get_me"])).body["support"] is None
    assert await kept(asking, grant["id"], "support.close") == [], "it needed nobody"


@pytest.mark.claim("T2", "A3")
async def test_when_a_grant_is_closed_by_many_and_again_then_it_is_closed_once(asking: Asking) -> None:
    async with granted(asking) as grant:
        replies = await asyncio.gather(*(close(asking, grant["id"], reason=f"by {n}") for n in range(5)))
        again = await close(asking, grant["id"], reason="once more")
        assert {(reply.status, reply.text) for reply in (*replies, again)} == {(200, again.text)}
        event = once(await kept(asking, grant["id"], "support.close"))
        assert event["Reason"].startswith("by ")


# -- who, for whom, how long


@pytest.mark.claim("T2", "A3")
async def test_when_a_grant_is_opened_and_closed_then_the_trail_has_it_before_and_after(asking: Asking) -> None:
    admin = str(asking.stack.person("adam").oid)
    async with granted(asking, reason="the queues grow") as grant:
        assert (await close(asking, grant["id"], reason="they are empty")).status == 200
    opened = await asking.trail(f"EventType == 'support.open' and Grant == '{grant['id']}'")
    closed = await asking.trail(f"EventType == 'support.close' and Grant == '{grant['id']}'")
    for event, reason in ((opened, "the queues grow"), (closed, "they are empty")):
        assert (event["Actor"], event["Reason"], event["Outcome"]) == (admin, reason, "done")
        assert event["Target"] == f"grant:{grant['id']}"
    assert json.loads(opened["Before"]) == {}
    before, after = json.loads(closed["Before"]), json.loads(closed["After"])
    assert json.loads(opened["After"]) == before
    assert before == {name: value for name, value in grant.items() if value is not None}
    assert before["group"] == asking.stack.group("Vendor Support")
    assert {name: after[name] for name in before} == before
    assert after["closed_by"] == admin
    assert after.keys() - before.keys() == {"closed_at", "closed_by"}


@pytest.mark.claim("T2", "I5")
async def test_when_somebody_is_no_platform_admin_then_they_open_and_close_nothing(asking: Asking) -> None:
    async with granted(asking) as grant:
        before = (await asking.call("GET", GRANTS, token=asking.stack.token("adam"))).text
        for person in ("alice", "bob", "carol", "ivan", "paula", "gus", "audrey"):
            (await open_grant(asking, by=person)).is_problem(403, "role-missing")
            (await close(asking, grant["id"], by=person)).is_problem(403, "role-missing")
        assert (await asking.call("GET", GRANTS, token=asking.stack.token("adam"))).text == before
        assert (await read(asking)).status == 200


@pytest.mark.claim("T2")
async def test_when_grants_are_listed_then_by_platform_admins_and_auditors_the_latest_first(asking: Asking) -> None:
    async with granted(asking) as first, granted(asking, group=None, person=victor(asking)) as second:
        listed = await asking.call("GET", GRANTS, token=asking.stack.token("audrey"))
        assert listed.body["grants"][:2] == [second, first]
        assert (await asking.call("GET", GRANTS, token=asking.stack.token("adam"))).text == listed.text
        for person in ("alice", "bob", "carol", "ivan", "paula", "gus"):
            reply = await asking.call("GET", GRANTS, token=asking.stack.token(person))
            reply.is_problem(403, "role-missing")
    grants = (await asking.call("GET", GRANTS, token=asking.stack.token("audrey"))).body["grants"]
    assert {grant["id"] for grant in grants if grant["closed_at"]} >= {first["id"], second["id"]}


@pytest.mark.claim("T2")
async def test_when_a_grant_is_opened_then_for_72_hours_at_most_and_not_for_a_time_that_is_over(
    asking: Asking,
) -> None:
    async with granted(asking, until=in_(hours=72)):
        pass
    for until in (in_(hours=72, seconds=1), in_(days=365), in_(), in_(seconds=-1), "1970-01-01T00:00:00Z"):
        (await open_grant(asking, until=until)).is_problem(409, "conflict")


@pytest.mark.claim("T2")
@pytest.mark.parametrize(
    "wrong",
    [
        {"group": None},
        {"person": "51c70400-0000-4000-8000-000000000009"},
        {"group": "Vendor Support"},
        {"group": None, "person": "victor"},
        {"until": None},
        {"until": "tomorrow"},
        {"until": "2026-11-23T09:30:00"},
        {"reason": None},
        {"reason": ""},
        {"reason": "x" * 1001},
        {"roles": ["it_ops"]},
    ],
)
async def test_when_a_grant_is_asked_for_in_a_wrong_way_then_400(asking: Asking, wrong: dict[str, Any]) -> None:
    (await open_grant(asking, **wrong)).is_problem(400, "malformed")
    (await read(asking)).is_problem(403, "role-missing")


@pytest.mark.claim("T2")
@pytest.mark.parametrize("group", ["Sales", "Finance", "Sales Publishers", "IT Operations", "Platform Admins"])
async def test_when_a_group_is_a_teams_or_holds_a_role_then_it_is_given_no_grant(asking: Asking, group: str) -> None:
    for id_ in (asking.stack.group(group), asking.stack.group(group).upper()):
        (await open_grant(asking, group=id_)).is_problem(409, "conflict")


@pytest.mark.claim("T2", "K3")
async def test_when_somebody_would_hold_the_grant_that_they_open_then_they_do_not(asking: Asking) -> None:
    """With a grant for all employees nobody could pull a kill switch, and nobody could close it."""
    for whom in (
        {"group": asking.stack.group("All Employees")},
        {"group": None, "person": str(asking.stack.person("adam").oid)},
    ):
        (await open_grant(asking, **whom)).is_problem(409, "conflict")


async def test_when_a_grant_is_not_there_then_404(asking: Asking) -> None:
    for grant in ("none", "team:sales", "019ab000-0000-7000-8000-000000000000", "a%2Fb"):
        (await close(asking, grant)).is_problem(404, "not-found")


# -- recorded before shown


@pytest.mark.claim("T2")
async def test_when_the_call_cannot_be_recorded_then_it_is_not_answered(asking: Asking) -> None:
    async with granted(asking) as grant:
        async with asking.going_wrong("cosmos", {"operation": "create config", "kind": "status"}):
            for name in (*READABLE, *ALSO_ANSWERED, "list_assistants", "ingest"):
                reply = await call(asking, OPERATIONS[name], assistant_id="sales-helper")
                problem = reply.is_problem(503, "not-available")
                assert problem.keys() == {"type", "title", "status", "detail"}, name
        assert await kept(asking, grant["id"], "support.read", "support.refuse") == []
        assert (await read(asking)).status == 200


@pytest.mark.claim("T2")
async def test_when_the_answer_to_the_recording_is_lost_then_it_is_recorded_once(asking: Asking) -> None:
    async with granted(asking) as grant:
        async with asking.going_wrong("cosmos", {"operation": "create config", "kind": "drop", "times": 1}):
            assert (await read(asking)).status == 200
        await in_trail(asking, grant["id"], [("support.read", "get_versions")])


@pytest.mark.claim("T2")
async def test_when_the_audit_queue_is_down_then_the_call_is_kept_and_the_sweep_tells_of_it(impatient: Asking) -> None:
    async with granted(impatient) as grant:
        async with impatient.going_wrong("servicebus", {"operation": "send audit", "kind": "status", "status": 507}):
            assert (await read(impatient)).status == 200
        once(await kept(impatient, grant["id"], "support.read"))
        await impatient.kit.run_timer("sweep")
        await in_trail(impatient, grant["id"], [("support.read", "get_versions")])
