"""A group is taken from somebody in the directory: what it gave them is gone with their next token, or at once where
the token does not list their groups; what was asked or answered before does not carry it on."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

import function_app  # noqa: F401 - importing it declares every operation
from api.operation import OPERATIONS
from local.seed import published
from routing.assistants import ASSISTANT
from tests.e2e.asking import Asking, Reply

OFFER = "What makes a good offer?"
OVERAGE = {"groups": None, "_claim_names": {"groups": "src1"}}
"""Claims of somebody who is in too many groups for a token."""
FAILURES: dict[str, dict[str, Any]] = {
    "an error": {"kind": "status", "status": 503},
    "too many requests": {"kind": "status", "status": 429, "seconds": 1},
    "no right": {"kind": "status", "status": 403},
    "no answer": {"kind": "drop"},
    "late": {"kind": "delay", "seconds": 4.0},
}
"""What may go wrong with Graph; the app waits three seconds for it."""


@asynccontextmanager
async def without(asking: Asking, person: str, *groups: str) -> AsyncIterator[None]:
    """The directory has taken these groups from somebody meanwhile."""
    entra, path = asking.stack.control("entra"), f"/control/people/{person}/groups"
    before = asking.stack.person(person).groups
    await entra.call("PUT", path, json=[each for each in before if each not in groups])
    try:
        yield
    finally:
        await entra.call("PUT", path, json=before)


async def get(asking: Asking, path: str, token: str) -> Reply:
    return await asking.call("GET", path, token=token)


async def ask(asking: Asking, token: str) -> Reply:
    return await asking.call("POST", "/api/assistants/sales-helper/requests", token=token, json={"prompt": OFFER})


async def listed(asking: Asking, token: str) -> list[str]:
    reply = await get(asking, "/api/assistants", token)
    assert reply.status == 200, reply.text
    return [each["id"] for each in reply.body["assistants"]]


async def sales_is_gone(asking: Asking, token: str) -> None:
    """With this token of alice's there is the handbook, and no more."""
    assert await listed(asking, token) == ["handbook"]
    me = (await get(asking, "/api/me", token)).body
    assert ([each["id"] for each in me["assistants"]], me["teams"]) == (["handbook"], [])
    (await get(asking, "/api/assistants/sales-helper", token)).is_problem(404, "not-found")
    async with asking.no_model_call():
        (await ask(asking, token)).is_problem(404, "not-found")


# -- with the next token


@pytest.mark.claim("I4")
async def test_when_a_group_is_taken_from_somebody_then_their_next_token_does_not_open_its_assistants(
    asking: Asking,
) -> None:
    async with without(asking, "alice", "Sales"):
        await sales_is_gone(asking, await asking.token())
    assert await listed(asking, await asking.token()) == ["handbook", "sales-helper"]


@pytest.mark.claim("I4")
async def test_when_somebody_is_in_no_group_any_more_then_their_next_token_opens_nothing(asking: Asking) -> None:
    request_id = (await asking.ask(OFFER)).body["request_id"]
    async with without(asking, "alice", "Sales", "All Employees"):
        token = await asking.token()
        assert await listed(asking, token) == []
        for path in ("/api/assistants/handbook", "/api/assistants/sales-helper", f"/api/requests/{request_id}"):
            (await get(asking, path, token)).is_problem(404, "not-found")


@pytest.mark.claim("I4")
async def test_when_a_group_is_taken_from_somebody_then_what_they_were_told_before_is_not_read_again(
    asking: Asking,
) -> None:
    given = (await ask(asking, await asking.token())).body
    path, never = f"/api/requests/{given['request_id']}", f"/api/requests/{uuid4()}"
    async with without(asking, "alice", "Sales"):
        token = await asking.token()
        gone = await get(asking, path, token)
        gone.is_problem(404, "not-found")
        assert gone.text == (await get(asking, never, token)).text
    again = await get(asking, path, await asking.token())
    assert (again.status, again.body) == (200, given)


@pytest.mark.claim("I4")
async def test_when_a_group_is_taken_while_an_answer_is_made_then_it_does_not_come_to_the_next_token(
    impatient: Asking,
) -> None:
    delay = {"operation": "chat", "kind": "delay", "seconds": 2, "times": 1}
    async with impatient.going_wrong("models", delay):
        accepted = await impatient.ask(OFFER)
        assert accepted.status == 202
        path = f"/api/requests/{accepted.body['request_id']}"
        async with without(impatient, "alice", "Sales"):
            token = await impatient.token()
            (await get(impatient, path, token)).is_problem(404, "not-found")
            # The token from before holds until it expires, and tells when there is an answer.
            assert (await impatient.ended(accepted.body["request_id"])).status == 200
            (await get(impatient, path, token)).is_problem(404, "not-found")
    assert (await get(impatient, path, await impatient.token())).body["answer"]


@pytest.mark.claim("I4", "I5")
@pytest.mark.parametrize(
    ("person", "group", "call", "holds", "lost"),
    [
        ("paula", "Sales Publishers", "GET /api/drafts", 200, 403),
        ("paula", "Sales Publishers", "GET /api/assistants/sales-helper/draft", 200, 404),
        ("paula", "Sales Publishers", "GET /api/assistants/sales-helper/versions", 200, 404),
        ("ivan", "IT Operations", "PUT /api/switches/platform", 400, 403),
        ("ivan", "IT Operations", "GET /api/queues", 200, 403),
        ("gus", "Governance Board", "PUT /api/switches/ledger", 400, 403),
        ("audrey", "Internal Audit", "GET /api/roles", 200, 403),
        ("adam", "Platform Admins", "GET /api/support-grants", 200, 403),
        ("adam", "Platform Admins", "PUT /api/teams/sales", 400, 403),
    ],
)
@pytest.mark.parametrize("claims", [{}, OVERAGE], ids=["listed", "overage"])
async def test_when_the_group_of_a_role_is_taken_from_somebody_then_the_role_is_gone(
    asking: Asking,
    claims: dict[str, Any],
    person: str,
    group: str,
    call: str,
    holds: int,
    lost: int,
) -> None:
    method, path = call.split()

    async def called() -> Reply:
        """With the next token."""
        token = await asking.token(person=person, claims=claims)
        return await asking.call(method, path, token=token, json=None if method == "GET" else {})

    assert (await called()).status == holds
    async with asking.nothing_written(), without(asking, person, group):
        (await called()).is_problem(lost, {403: "role-missing", 404: "not-found"}[lost])
        me = await get(asking, "/api/me", await asking.token(person=person, claims=claims))
        assert me.body["roles"] == []
    assert (await called()).status == holds


# -- at once, where a token does not list the groups


@pytest.mark.claim("I4")
async def test_when_a_token_lists_no_groups_then_a_group_is_gone_and_back_with_graphs_answer(asking: Asking) -> None:
    token = await asking.token(claims=OVERAGE)
    given = (await ask(asking, token)).body
    path = f"/api/requests/{given['request_id']}"
    assert await listed(asking, token) == ["handbook", "sales-helper"]
    async with without(asking, "alice", "Sales"):
        await sales_is_gone(asking, token)
        (await get(asking, path, token)).is_problem(404, "not-found")
    assert await listed(asking, token) == ["handbook", "sales-helper"]
    assert (await get(asking, path, token)).body == given


@pytest.mark.claim("I4")
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_when_graph_does_not_say_the_groups_then_nothing_is_answered_but_that(
    asking: Asking, failure: dict[str, Any]
) -> None:
    token = await asking.token(claims=OVERAGE)
    given = (await ask(asking, token)).body["request_id"]
    async with asking.nothing_written(), asking.going_wrong("entra", {"operation": "checkMemberGroups", **failure}):
        paths = ("/api/assistants", "/api/me", "/api/assistants/sales-helper", f"/api/requests/{given}")
        replies = await asyncio.gather(ask(asking, token), *(get(asking, path, token) for path in paths))
    for reply in replies:
        reply.is_problem(403, "groups-unresolved")
        assert reply.text == replies[0].text
    assert await listed(asking, token) == ["handbook", "sales-helper"]


@pytest.mark.claim("I4", "I5")
async def test_when_graph_does_not_say_the_groups_then_no_operation_is_open_to_anybody(asking: Asking) -> None:
    names = {"assistant_id": "sales-helper", "team_id": "sales", "role": "auditor", "scope": "platform"}
    tokens = [await asking.token(person=person, claims=OVERAGE) for person in ("paula", "gus", "adam")]
    async with (
        asking.nothing_written(),
        asking.going_wrong("entra", {"operation": "checkMemberGroups", "kind": "drop"}),
    ):
        for operation in OPERATIONS.values():
            path = "/api/" + re.sub(r"{(\w+)}", lambda part: names.get(part[1], "any"), operation.route)
            for token in tokens:
                reply = await asking.call(operation.method, path, token=token)
                reply.is_problem(403, "groups-unresolved")


@pytest.mark.claim("I4")
async def test_when_graph_says_some_of_the_groups_and_fails_for_others_then_the_list_is_not_a_part(
    asking: Asking,
) -> None:
    config, token = asking.kit.store.config, await asking.token(claims=OVERAGE)
    helper = await config.read("sales-helper", ASSISTANT)
    assert helper is not None
    # So many groups in use that Graph is asked more than once.
    crowd = published("crowd", 1, {**helper["published"], "audience": [str(uuid4()) for _ in range(60)]})
    await config.batch(ASSISTANT, [("create", (document,)) for document in crowd])
    try:
        for times in (1, 2, 3):
            fault = {"operation": "checkMemberGroups", "kind": "status", "times": times}
            async with asking.going_wrong("entra", fault):
                (await get(asking, "/api/assistants", token)).is_problem(403, "groups-unresolved")
        assert await listed(asking, token) == ["handbook", "sales-helper"]
    finally:
        await config.batch(ASSISTANT, [("delete", (document["id"],)) for document in crowd])
