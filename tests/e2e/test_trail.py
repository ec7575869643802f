"""Reading the trail over HTTP: everybody their own events, an auditor those of the teams that the role reaches."""

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from azure.servicebus.aio import ServiceBusClient

from governance.access import ACCESS, Binding, Role, role_document
from governance.audit import announce_again, reference_to_request
from local.readback import query_logs
from services.bus import AUDIT_REJECTED
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually, once
from tests.e2e.test_policies import Board

OFFER = "What makes a good offer?"


async def trail(asking: Asking, query: str = "", *, person: str = "audrey", path: str = "audit") -> Reply:
    return await asking.call("GET", f"/api/{path}?{query}", token=asking.stack.token(person))


async def own(asking: Asking, query: str = "", *, person: str = "alice") -> list[Any]:
    reply = await trail(asking, query, person=person, path="me/audit")
    assert reply.status == 200, reply.text
    events: list[Any] = reply.body["events"]
    return events


async def asked(asking: Asking, person: str = "alice", assistant: str = "sales-helper") -> str:
    """The id of a question that was answered, or refused, and whose event is in the trail."""
    reply = await asking.ask(OFFER, person=person, assistant=assistant)
    request_id = str(reply.body["request_id"])
    await asking.audited(request_id)
    return request_id


@asynccontextmanager
async def limited_to_finance(asking: Asking) -> AsyncIterator[None]:
    """The auditors. (Nobody could bind them so and look at it as the auditor that they were.)"""
    config, group = asking.kit.store.config, asking.stack.group("Internal Audit")
    before = await config.read(f"role:{Role.AUDITOR}", ACCESS)
    assert before is not None
    await config.upsert(role_document(Role.AUDITOR, [Binding(group=group, teams=["finance"])]))
    try:
        yield
    finally:
        await config.upsert(before)


@pytest.mark.claim("A1", "A6")
async def test_when_somebody_reads_their_trail_then_it_has_what_they_asked_and_nothing_of_anybody_else(
    asking: Asking,
) -> None:
    hers, his = await asked(asking), await asked(asking, "carol", "ledger")
    mine = await own(asking, "type=request")
    assert {each["actor"] for each in mine} == {str(asking.stack.person("alice").oid)}
    event = next(each for each in mine if each["request_id"] == hers)
    assert (event["prompt"], event["outcome"], event["team"]) == (OFFER, "answered", "sales")
    assert event["answer"]
    assert event["verdicts"]["check_prompt"]["action"] == "allow"
    assert his not in {each["request_id"] for each in mine}
    of_carol = await own(asking, "type=request&outcome=refused", person="carol")
    assert his in {each["request_id"] for each in of_carol}
    assert {each["outcome"] for each in of_carol} == {"refused"}


@pytest.mark.claim("A1", "A6")
async def test_when_a_question_is_longer_than_a_column_then_all_of_it_is_in_the_trail(asking: Asking) -> None:
    prompt = "Größe und Maß: " * 6000
    reply = await asking.ask(prompt)
    assert reply.status == 200, reply.text

    async def there() -> None:
        event = once([each for each in await own(asking) if each["request_id"] == reply.body["request_id"]])
        assert event["parts"] == 2
        assert event["prompt"] == prompt.strip() or event["prompt"] == prompt
        assert event["prompt_characters"] == len(event["prompt"])

    await eventually(there)


@pytest.mark.claim("A6")
async def test_when_an_auditor_of_one_team_reads_the_trail_then_nothing_of_another_team_or_the_platform_is_in_it(
    asking: Asking,
) -> None:
    hers, his = await asked(asking), await asked(asking, "carol", "ledger")
    everything = (await trail(asking, "limit=500")).body["events"]
    assert {hers, his} <= {each["request_id"] for each in everything}
    async with limited_to_finance(asking):
        of_finance = (await trail(asking, "limit=500")).body["events"]
        assert {each["team"] for each in of_finance} == {"finance"}
        assert his in {each["request_id"] for each in of_finance}
        assert (await trail(asking, "team=sales")).body["events"] == []
    (await trail(asking, person="alice")).is_problem(403, "role-missing")
    (await trail(asking, person="gus")).is_problem(403, "role-missing")


@pytest.mark.claim("A6")
async def test_when_conditions_are_given_then_the_events_meet_all_of_them(asking: Asking) -> None:
    request_id = await asked(asking)
    alice = str(asking.stack.person("alice").oid)
    query = f"person={alice}&team=sales&assistant=sales-helper&type=request&outcome=answered&model=scripted&limit=500"
    found = (await trail(asking, query)).body["events"]
    assert request_id in {each["request_id"] for each in found}
    told = {(each["actor"], each["team"], each["assistant"], each["event_type"])
            for each in found}  # fmt: skip
    assert told == {(alice, "sales", "sales-helper", "request")}
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (await trail(asking, f"from={tomorrow}&to={tomorrow}")).body["events"] == []


@pytest.mark.claim("A6")
async def test_when_pages_are_read_one_after_the_other_then_every_event_comes_once_the_latest_first(
    asking: Asking,
) -> None:
    for _ in range(3):
        await asked(asking)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    whole = (await trail(asking, f"to={now}&limit=500&type=request")).body
    assert whole["cursor"] is None
    pages, cursor = list[Any](), ""
    while True:
        page = (await trail(asking, f"to={now}&limit=2&type=request{cursor}")).body
        pages += page["events"]
        if page["cursor"] is None:
            break
        assert len(page["events"]) == 2
        cursor = f"&cursor={page['cursor']}"
    assert pages == whole["events"]
    times = [each["event_time"] for each in pages]
    assert times == sorted(times, reverse=True)
    assert datetime.fromisoformat(whole["complete_until"]) < datetime.now(UTC)


HOSTILE = ["'", "' or 1==1 //", 'x" | union *', "a' | take 9 //", "\\", "$where", "*", "a\nb", "café", "", "x" * 101]


@pytest.mark.claim("A6")
@pytest.mark.parametrize("name", ["person", "team", "assistant", "type", "outcome", "model", "from", "to", "cursor"])
async def test_when_a_condition_is_hostile_then_it_is_refused_or_finds_nothing(asking: Asking, name: str) -> None:
    for value in HOSTILE:
        if value:
            (await trail(asking, f"{name}={quote(value)}")).is_problem(400, "malformed")
    (await trail(asking, "kql=AuditEvents_CL")).is_problem(400, "malformed")
    (await trail(asking, "person=alice", person="alice", path="me/audit")).is_problem(400, "malformed")


@pytest.mark.claim("A3", "A6")
async def test_when_the_trail_is_read_then_that_is_in_it(asking: Asking) -> None:
    await trail(asking, "team=finance&outcome=refused")
    event = await asking.trail("EventType == 'audit.read' and After has 'finance' and After has 'refused'")
    assert (event["Actor"], event["Target"]) == (str(asking.stack.person("audrey").oid), "audit")

    async def noted() -> None:
        assert "audit:own" in {each["target"] for each in await own(asking, "type=audit.read")}

    await eventually(noted)


@pytest.mark.claim("A6")
async def test_when_log_analytics_has_too_many_queries_then_it_is_said(asking: Asking) -> None:
    async with asking.going_wrong("loganalytics", {"operation": "query*", "kind": "status", "status": 429}):
        reply = await trail(asking)
    reply.is_problem(429, "too-many-queries")
    assert reply.headers["Retry-After"] == "10"


@pytest.mark.claim("A4", "A5")
async def test_when_log_analytics_does_not_take_an_event_then_the_others_are_there_and_it_is_kept_whole_and_told_of(
    asking: Asking,
) -> None:
    control = asking.stack.control("loganalytics")
    await control.call("PUT", "/control/poison", json=["a rotten offer"])
    try:
        questions = [f"What makes a good offer number {n}?" for n in range(6)] + ["What makes a rotten offer?"]
        replies = await asyncio.gather(*map(asking.ask, questions))
        assert {reply.status for reply in replies} == {200}
        *sound, rotten = [str(reply.body["request_id"]) for reply in replies]
        for request_id in sound:
            await asking.audited(request_id)
        told = await asking.trail(f"EventType == 'audit.reject' and Target == '{rotten}'")
        assert (told["RequestId"], told["Reason"], told["Team"]) == (rotten, "status 400", "sales")

        async def set_aside() -> None:
            assert ((await asking.kit.request(rotten)).audit or {})["status"] == "rejected"

        await eventually(set_aside)
        connection = asking.stack.standins["servicebus"].ready["connection_string"]
        async with (
            ServiceBusClient.from_connection_string(connection) as bus,
            bus.get_queue_receiver(AUDIT_REJECTED) as receiver,
        ):
            (message,) = await receiver.receive_messages(max_wait_time=5)
            kept = json.loads(str(message))
            await receiver.complete_message(message)
        assert (kept["status"], kept["row"]["EventId"], kept["row"]["Prompt"]) == (400, rotten, questions[-1])
        assert kept["row"]["Answer"]
    finally:
        await control.call("PUT", "/control/poison", json=[])
    # As whoever looks after the queue would, once it is mended.
    await asking.kit.change(rotten, "/audit/status", "pending")
    await announce_again(asking.kit.bus, reference_to_request(rotten))
    event = await asking.trail(f"EventId == '{rotten}'")
    assert event["Prompt"] == questions[-1]


@pytest.mark.claim("A6")
async def test_when_the_trail_is_exported_then_it_is_all_there_as_lines_and_as_a_table(asking: Asking) -> None:
    formula = await asking.ask("=cmd() makes a good offer, or what does?")
    await asking.audited(str(formula.body["request_id"]))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    events = (await trail(asking, f"to={now}&limit=500&type=request")).body["events"]
    lines = await trail(asking, f"to={now}&type=request", path="audit.jsonl")
    assert lines.headers["Content-Type"] == "application/jsonl"
    assert [json.loads(line) for line in lines.text.splitlines()] == events
    assert datetime.fromisoformat(lines.headers["Complete-Until"]) < datetime.now(UTC)
    table = list(csv.DictReader(io.StringIO((await trail(asking, f"to={now}&type=request", path="audit.csv")).text)))
    assert [row["event_id"] for row in table] == [event["event_id"] for event in events]
    assert [json.loads(row["verdicts"]) for row in table] == [event["verdicts"] for event in events]
    assert next(row["prompt"] for row in table if "cmd()" in row["prompt"]).startswith("'="), "no spreadsheet runs it"
    mine = (await trail(asking, "type=request", person="alice", path="me/audit.jsonl")).text.splitlines()
    assert {json.loads(line)["actor"] for line in mine} == {str(asking.stack.person("alice").oid)}
    by_alice = f"Actor == '{asking.stack.person('alice').oid}' and After has 'application/jsonl'"
    assert (await asking.trail(f"EventType == 'audit.read' and {by_alice}"))["Target"] == "audit:own"


@pytest.mark.claim("A6")
async def test_when_log_analytics_is_away_then_an_export_says_so_before_it_begins(asking: Asking) -> None:
    async with asking.going_wrong("loganalytics", {"operation": "query*", "kind": "status", "status": 503}):
        (await trail(asking, path="audit.csv")).is_problem(503, "not-available")


@pytest.mark.claim("A1", "I1", "I5")
async def test_when_somebody_is_not_let_in_then_the_trail_says_who_and_why(asking: Asking) -> None:
    somebody = str(uuid4())
    token = await asking.token(claims={"oid": somebody})
    (await asking.call("GET", "/api/caps", token=token)).is_problem(403, "role-missing")
    event = await asking.trail(f"EventType == 'refusal' and Actor == '{somebody}'")
    assert (event["Target"], event["Reason"], event["Outcome"]) == ("list_caps", "role-missing", "refused")
    assert event["Count"] == 1
    expired = await asking.token(claims={"exp": 1_700_000_000})
    (await asking.call("GET", "/api/me", token=expired)).is_problem(401, "token-refused")

    async def told() -> None:  # at once, or with others that came within the minute
        kql = "AuditEvents_CL | where EventType == 'refusal' and After has 'it has expired'"
        events = await query_logs(asking.stack, kql)
        assert {(event["Reason"], event["Actor"]) for event in events} == {("token-refused", "")}

    await eventually(told)


@pytest.mark.claim("A1", "G2")
@pytest.mark.parametrize("keeps", ["redacted", "hash"])
async def test_when_a_policy_lets_the_trail_keep_less_then_it_does_and_the_answer_is_the_same(
    asking: Asking, keeps: str
) -> None:
    board = Board(asking)
    rules = (await board.read()).body["rules"]
    lenient = {**rules, "trail": keeps, "pii": {**rules["pii"], "EMAIL_ADDRESS": "warn"}}
    assert (await board.save(lenient)).status == 200
    try:
        prompt = f"Is {keeps}@example.com a good customer?"
        reply = await asking.ask(prompt)
        assert f"{keeps}@example.com" in reply.body["answer"], "the policy only warns"
        event = await asking.trail(f"EventId == '{reply.body['request_id']}'")
    finally:
        assert (await board.save(rules)).status == 200
    expected = {"redacted": "Is <EMAIL_ADDRESS_1> a good customer?", "hash": ""}
    assert event["Prompt"] == expected[keeps]
    assert f"{keeps}@example.com" not in str(event)
    assert event["PromptSha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert event["AnswerSha256"] == hashlib.sha256(reply.body["answer"].encode()).hexdigest()
