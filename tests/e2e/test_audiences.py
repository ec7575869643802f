"""Whatever groups people are in and whatever audiences assistants have: what is listed is what can be asked, and of
anything else nobody can tell that it exists, on any route."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

import function_app  # noqa: F401 - importing it declares every operation
from api.operation import OPERATIONS
from governance.access import Binding, Role, role_document
from local.entra.directory import Directory
from local.process import ROOT
from local.stack import Stack
from tests.audiences import EVERYONE, Made, assistants, callers, cards, put_in_place
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import opened

DIRECTORY = Directory.model_validate_json((ROOT / "local" / "directory.json").read_bytes())
GROUPS = {
    group.name: str(group.id)
    for group in DIRECTORY.groups
    if group.name in ("All Employees", "Sales", "Finance", "Sales Publishers", "Governance Board")
}
NAMES = {id_: name for name, id_ in GROUPS.items()}
PUBLISHERS, GOVERNORS = GROUPS["Sales Publishers"], GROUPS["Governance Board"]
"""Both roles are limited to the team Sales."""

ROUTES = {each.name: each.route for each in OPERATIONS.values() if "{assistant_id}" in each.route}
"""Every operation that is about an assistant."""
ROUTES |= dict.fromkeys(("get_switch", "put_switch"), "switches/{assistant_id}")

UNTOLD = {"Date": ""}
"""A header that tells nothing of what was asked for."""


@dataclass(frozen=True)
class Caller:
    """Somebody in these groups, whose token lists them, or says that they are too many to list."""

    groups: frozenset[str]
    overage: bool

    def finds(self, operation: str, made: Made) -> bool:
        """Whether there is such an assistant, for this caller in this operation."""
        match OPERATIONS[operation].roles:
            case ():
                return made.may_be_asked(self.groups)
            case (Role.PUBLISHER,):
                return PUBLISHERS in self.groups and made.draft_team == "sales"
            case (Role.GOVERNOR, Role.IT_OPS, *_):
                return GOVERNORS in self.groups and made.draft_team == "sales"
        pytest.fail(f"who may {operation}?")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """People of a stack of their own, whose assistants may be replaced."""
    async with Stack(tmp_path_factory.mktemp("audiences")) as stack, opened(stack) as kit:
        await kit.store.config.upsert(role_document(Role.GOVERNOR, [Binding(group=GOVERNORS, teams=["sales"])]))
        yield Asking(kit)


async def token_of(asking: Asking, caller: Caller) -> str:
    """Alice's, as if she were in the caller's groups. It lists them, or else the directory has her in them."""
    if not caller.overage:
        return await asking.token(claims={"groups": sorted(caller.groups)})
    names = [NAMES[group] for group in sorted(caller.groups)]
    await asking.stack.control("entra").call("PUT", "/control/people/alice/groups", json=names)
    return await asking.token(claims={"groups": None, "_claim_names": {"groups": "src1"}})


async def get(asking: Asking, path: str, token: str) -> Any:
    reply = await asking.call("GET", path, token=token)
    assert reply.status == 200, reply.text
    return reply.body


async def calls(asking: Asking, assistant_id: str, token: str) -> dict[str, Reply]:
    """What every operation says of an assistant, to a call without a body."""

    async def call(name: str) -> Reply:
        path = f"/api/{ROUTES[name].format(assistant_id=assistant_id)}"
        return await asking.call(OPERATIONS[name].method, path, token=token)

    return dict(zip(ROUTES, await asyncio.gather(*map(call, ROUTES)), strict=True))


def told(reply: Reply) -> tuple[int, dict[str, str], str]:
    return reply.status, dict(reply.headers) | UNTOLD, reply.text


@pytest.mark.claim("I3")
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    made=assistants(list(NAMES), ("sales", "finance"), 4),
    caller=st.builds(Caller, groups=callers(list(NAMES)), overage=st.booleans()),
)
async def test_when_groups_and_audiences_are_any_then_what_is_listed_can_be_asked_and_the_rest_is_404_everywhere(
    asking: Asking, made: list[Made], caller: Caller
) -> None:
    await put_in_place(asking.kit.store.config, made)
    token = await token_of(asking, caller)

    listed = (await get(asking, "/api/assistants", token))["assistants"]
    assert listed == cards(made, caller.groups)
    assert (await get(asking, "/api/me", token))["assistants"] == listed

    nothing = await calls(asking, "no-such-assistant", token)
    for operation, reply in nothing.items():
        if operation in ("get_switch", "put_switch") and GOVERNORS not in caller.groups:
            reply.is_problem(403, "role-missing")
        else:
            reply.is_problem(404, "not-found")
    for each in made:
        replies = await calls(asking, each.id, token)
        for operation, reply in replies.items():
            if caller.finds(operation, each):
                assert reply.status == 200 or reply.is_problem(415, "wrong-content-type")
            else:
                assert told(reply) == told(nothing[operation])
        if each.may_be_asked(caller.groups):
            assert replies["get_assistant"].body in listed


def landscape(*audiences: str | tuple[str, ...]) -> list[Made]:
    """Assistants of Sales with these audiences, one of each in every state."""
    return [
        Made(f"a-{state}-{number}", "Any", state, 2, 1, audience, "sales", EVERYONE, "sales")
        for number, audience in enumerate(audiences)
        for state in ("draft", "published", "retired")
    ]


@pytest.mark.claim("I3", "I4")
@pytest.mark.parametrize("overage", [False, True], ids=["listed", "overage"])
async def test_when_all_there_is_is_really_asked_then_what_is_listed_answers_and_nothing_else(
    asking: Asking, overage: bool
) -> None:
    sales, finance = GROUPS["Sales"], GROUPS["Finance"]
    made = landscape(EVERYONE, (), (sales.upper(),), (finance,), (finance, sales), (PUBLISHERS,))
    await put_in_place(asking.kit.store.config, made)
    token = await token_of(asking, Caller(frozenset({sales, GROUPS["All Employees"]}), overage))
    listed = (await get(asking, "/api/assistants", token))["assistants"]
    assert [each["id"] for each in listed] == ["a-published-0", "a-published-2", "a-published-4"]
    answered = []
    for each in made:
        path = f"/api/assistants/{each.id}/requests"
        reply = await asking.call("POST", path, token=token, json={"prompt": "What makes a good offer?"})
        if reply.status == 200:
            answered.append(reply.body["assistant"])
        else:
            reply.is_problem(404, "not-found")
    assert answered == [{"id": each["id"], "version": 2} for each in listed]
