"""Teams and roles, as platform admins change them over HTTP: what holds at once, what is refused, what the trail says.

Adam is a platform admin, by the group of the setting. Here roles change, so the tests have a stack of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from local.stack import Stack
from tests.e2e.administration import (
    NEW,
    NOBODYS,
    binding,
    bound,
    in_groups,
    kept,
    me,
    my_roles,
    nothing_changed,
    put_role,
    put_team,
    remove_team,
    role,
    seen,
    teams,
    told,
)
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import once, opened

OFFER = "What makes a good offer?"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def company(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """Each test leaves roles as they were, and makes teams of its own."""
    async with Stack(tmp_path_factory.mktemp("company")) as stack, opened(stack) as kit:
        yield Asking(kit)


# -- who am I


@pytest.mark.claim("I5")
async def test_when_somebody_asks_who_they_are_then_they_see_their_teams_roles_and_assistants(company: Asking) -> None:
    sales = [{"id": "sales", "name": "Sales"}]
    expected: dict[str, tuple[list[dict[str, str]], dict[str, list[str] | None], list[str]]] = {
        "alice": (sales, {}, ["handbook", "sales-helper"]),
        "bob": ([], {}, []),
        "carol": ([{"id": "finance", "name": "Finance"}], {}, ["handbook", "ledger"]),
        "ivan": ([], {"it_ops": None}, ["handbook"]),
        "paula": (sales, {"publisher": ["sales"]}, ["handbook", "sales-helper"]),
        "gus": ([], {"governor": None}, ["handbook"]),
        "audrey": ([], {"auditor": None}, ["handbook"]),
        "adam": ([], {"platform_admin": None}, ["handbook"]),
    }
    for person, (teams_, roles, assistants) in expected.items():
        answer = await me(company, person)
        assert answer["oid"] == str(company.stack.person(person).oid)
        assert (answer["teams"], await my_roles(company, person)) == (teams_, roles), person
        assert [each["id"] for each in answer["assistants"]] == assistants, "no role opens an assistant"
        assert answer["support"] is None


# -- teams


@pytest.mark.claim("A3")
async def test_when_a_team_is_made_then_it_is_there_once(company: Asking) -> None:
    made = await put_team(company, "legal", NEW, name="Legal affairs")
    assert made.body == {"id": "legal", "name": "Legal affairs", "group": NOBODYS, "etag": made.headers["Etag"]}
    assert (await teams(company))["legal"] == made.body
    async with nothing_changed(company):
        (await put_team(company, "legal", NEW, name="Another")).is_problem(412, "outdated")


@pytest.mark.claim("A3")
async def test_when_a_team_is_changed_then_only_as_it_was_seen(company: Asking) -> None:
    first = (await put_team(company, "works", NEW)).headers["Etag"]
    changed = await put_team(company, "works", seen(first), name="The works")
    assert changed.status == 200
    assert changed.headers["Etag"] != first
    async with nothing_changed(company):
        (await put_team(company, "works", seen(first), name="Another")).is_problem(412, "outdated")
        (await put_team(company, "works", seen('"none"'))).is_problem(412, "outdated")
        (await put_team(company, "not-there", seen(first))).is_problem(412, "outdated")
        for headers in ({}, {**NEW, "If-Match": first}, {"If-None-Match": first}):
            (await put_team(company, "works", headers)).is_problem(428, "precondition-required")
    assert (await teams(company))["works"] == changed.body
    assert changed.body["name"] == "The works"


@pytest.mark.claim("A3")
async def test_when_a_team_is_removed_then_nobody_is_in_it_any_more(company: Asking) -> None:
    stale = (await put_team(company, "audit", NEW)).headers["Etag"]
    group = company.stack.group("Internal Audit")
    etag = (await put_team(company, "audit", seen(stale), group=group)).headers["Etag"]
    assert "audit" in {team["id"] for team in (await me(company, "audrey"))["teams"]}
    async with nothing_changed(company):
        (await remove_team(company, "audit", seen(stale))).is_problem(412, "outdated")
        (await remove_team(company, "audit", NEW)).is_problem(412, "outdated")
        (await remove_team(company, "audit", {})).is_problem(428, "precondition-required")
        (await remove_team(company, "not-there", seen(etag))).is_problem(412, "outdated")
    assert (await remove_team(company, "audit", seen(etag))).body == {"id": "audit"}
    assert "audit" not in {team["id"] for team in (await me(company, "audrey"))["teams"]}
    assert "audit" not in await teams(company)
    async with nothing_changed(company):
        for headers in (seen(etag), NEW):
            (await remove_team(company, "audit", headers)).is_problem(412, "outdated")
    assert (await put_team(company, "audit", NEW)).status == 200


@pytest.mark.claim("A3", "I5")
async def test_when_a_team_is_made_changed_and_removed_then_each_is_in_the_trail_once(company: Asking) -> None:
    admin = str(company.stack.person("adam").oid)
    board = company.stack.group("Governance Board")
    old = {"id": "press", "name": "Press", "group": NOBODYS}
    new = {"id": "press", "name": "Press office", "group": board}
    etag = (await put_team(company, "press", NEW, reason="we go public")).headers["Etag"]
    changed = await put_team(
        company, "press", seen(etag), name="Press office", group=board, reason="the board talks to the press"
    )
    await remove_team(company, "press", seen(changed.headers["Etag"]), reason="nobody asks")
    for reason, kind, before, after in (
        ("we go public", "team.set", {}, old),
        ("the board talks to the press", "team.set", old, new),
        ("nobody asks", "team.remove", new, {}),
    ):
        event = await told(company, reason)
        assert (event["EventType"], event["Target"], event["Team"]) == (kind, "team:press", "press")
        assert (event["Actor"], event["Outcome"]) == (admin, "done")
        assert (event["Before"], event["After"]) == (before, after)


@pytest.mark.parametrize(
    "id_", ["Legal", "a_b", "-a", "a" * 64, "a%20b", "a%2Fb", "%C3%A4", "a.b", "team:sales", "%00"]
)
async def test_when_an_id_could_not_be_a_teams_then_404(company: Asking, id_: str) -> None:
    async with nothing_changed(company):
        (await put_team(company, id_, NEW)).is_problem(404, "not-found")
        (await remove_team(company, id_, seen('"any"'))).is_problem(404, "not-found")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"name": ""},
        {"name": "x" * 101},
        {"group": None},
        {"group": "Internal Audit"},
        {"group": "6209f000000040008000000000000007"},
        {"reason": None},
        {"reason": ""},
        {"id": "another"},
    ],
)
async def test_when_a_team_is_described_in_a_wrong_way_then_400(company: Asking, wrong: dict[str, Any]) -> None:
    async with nothing_changed(company):
        (await put_team(company, "wrong", NEW, **wrong)).is_problem(400, "malformed")


@pytest.mark.claim("I5")
async def test_when_ids_of_the_directory_come_in_capitals_then_they_are_kept_in_small_letters(company: Asking) -> None:
    group = company.stack.group("Governance Board")
    assert (await put_team(company, "capitals", NEW, group=group.upper())).body["group"] == group
    assert "capitals" in {team["id"] for team in (await me(company, "gus"))["teams"]}
    upper = {"group": company.stack.group("Sales").upper()}
    async with bound(company, "auditor", binding(company, "Internal Audit"), upper):
        assert company.stack.group("Sales") in {each["group"] for each in (await role(company, "auditor"))["bindings"]}
        assert "auditor" in await my_roles(company, "alice")
    assert (await remove_team(company, "capitals", seen((await teams(company))["capitals"]["etag"]))).status == 200


@pytest.mark.claim("I5")
async def test_when_a_team_is_made_then_its_members_are_in_it_at_once_and_ask_on_its_account(company: Asking) -> None:
    (await company.ask(OFFER, person="ivan", assistant="handbook")).is_problem(403, "no-team")
    made = await put_team(company, "it", NEW, name="IT", group=company.stack.group("IT Operations"))
    assert (await me(company, "ivan"))["teams"] == [{"id": "it", "name": "IT"}]
    cap = {"limit_micro": 1_000_000, "currency": "EUR", "reason": "a new team"}
    token = company.stack.token("gus")
    assert (await company.call("PUT", "/api/caps/it", token=token, headers=NEW, json=cap)).status == 200
    answer = await company.ask(OFFER, person="ivan", assistant="handbook")
    assert (answer.status, answer.body["team"]) == (200, "it")
    assert (await remove_team(company, "it", seen(made.headers["Etag"]))).status == 200
    (await company.ask(OFFER, person="ivan", assistant="handbook")).is_problem(403, "no-team")


@pytest.mark.claim("I5")
async def test_when_somebody_is_in_several_teams_then_they_name_one_of_them(company: Asking) -> None:
    token = await in_groups(company, "alice", "All Employees", "Sales", "Finance")
    assert [team["id"] for team in (await me(company, "alice", token))["teams"]] == ["finance", "sales"]

    async def ask(**members: str) -> Reply:
        body = {"prompt": OFFER, **members}
        return await company.call("POST", "/api/assistants/handbook/requests", token=token, json=body)

    async with company.nothing_written():
        problem = (await ask()).is_problem(400, "team-ambiguous")
        assert problem["teams"] == ["finance", "sales"]
        for other in ("no-such-team", "Sales", "", "team:sales"):
            (await ask(team=other)).is_problem(403, "no-team")
    answer = await ask(team="sales")
    assert (answer.status, answer.body["team"]) == (200, "sales")
    (await ask(team="finance")).is_problem(402, "team-cap-reached")
    event = await company.audited((await ask(team="finance")).body["request_id"])
    assert event["Team"] == "finance"


async def test_when_somebody_names_a_team_that_they_are_not_in_then_403(company: Asking) -> None:
    async with company.nothing_written():
        for team in ("finance", "no-such-team"):
            body = {"prompt": OFFER, "team": team}
            path, token = "/api/assistants/sales-helper/requests", company.stack.token("alice")
            (await company.call("POST", path, token=token, json=body)).is_problem(403, "no-team")


# -- roles


@pytest.mark.claim("I5", "A3")
async def test_when_a_role_is_bound_then_its_holders_have_it_at_once_as_far_as_it_reaches(company: Asking) -> None:
    """The auditor of a team sees that team, and nothing of the platform."""
    listed = ("/api/teams", "/api/roles", "/api/support-grants")
    token = company.stack.token("alice")
    for path in listed:
        (await company.call("GET", path, token=token)).is_problem(403, "role-missing")
    async with bound(company, "auditor", binding(company, "Internal Audit"), binding(company, "Sales", "sales")):
        assert await my_roles(company, "alice") == {"auditor": ["sales"]}
        assert (await teams(company, person="alice")).keys() == {"sales"}
        for path in listed[1:]:
            (await company.call("GET", path, token=token)).is_problem(403, "role-missing")
        assert (await teams(company, person="audrey")).keys() >= {"sales", "finance"}
    assert await my_roles(company, "alice") == {}


@pytest.mark.claim("I5")
async def test_when_somebody_holds_a_role_by_several_groups_then_it_reaches_what_they_reach_together(
    company: Asking,
) -> None:
    sales, finance = binding(company, "Sales", "sales"), binding(company, "Finance", "finance")
    token = await in_groups(company, "alice", "Sales", "Finance")
    async with bound(company, "governor", sales, finance):
        assert await my_roles(company, "alice") == {"governor": ["sales"]}
        assert await my_roles(company, "alice", token) == {"governor": ["finance", "sales"]}
    async with bound(company, "governor", sales, binding(company, "Finance")):
        assert await my_roles(company, "alice", token) == {"governor": None}
    async with bound(company, "governor", {**sales, "teams": []}):
        assert await my_roles(company, "alice") == {}, "limited to no team it is none"


@pytest.mark.claim("I5", "A3")
async def test_when_a_role_is_bound_then_only_as_it_was_seen(company: Asking) -> None:
    before = await role(company, "publisher")
    bindings, stale = before["bindings"], seen(before["etag"])
    changed = await put_role(company, "publisher", bindings, stale)
    assert changed.body == {"role": "publisher", "bindings": bindings, "etag": changed.headers["Etag"]}
    async with nothing_changed(company):
        for headers in (stale, NEW):
            (await put_role(company, "publisher", [], headers)).is_problem(412, "outdated")
        (await put_role(company, "publisher", [], {})).is_problem(428, "precondition-required")
    assert await role(company, "publisher") == changed.body


@pytest.mark.claim("A3")
async def test_when_a_role_is_bound_then_it_is_in_the_trail_once_with_what_it_was_before(company: Asking) -> None:
    before = (await role(company, "publisher"))["bindings"]
    after = [*before, binding(company, "Finance", "finance", "sales")]
    assert (await put_role(company, "publisher", after, reason="Finance writes too")).status == 200
    assert (await put_role(company, "publisher", before, reason="Finance does not write")).status == 200
    for reason, old, new in (("Finance writes too", before, after), ("Finance does not write", after, before)):
        event = await told(company, reason)
        assert (event["EventType"], event["Target"], event["Outcome"]) == ("role.set", "role:publisher", "done")
        assert event["Actor"] == str(company.stack.person("adam").oid)
        assert (event["Before"], event["After"]) == ({"bindings": old}, {"bindings": new})


async def test_when_there_is_no_such_role_or_team_then_404_or_409(company: Asking) -> None:
    async with nothing_changed(company):
        for name in ("king", "Governor", "support", "role:governor", "governor%20"):
            (await put_role(company, name, [], NEW)).is_problem(404, "not-found")
        for unheard in (["no-such-team"], ["sales", "no-such-team"]):
            bindings = [binding(company, "Governance Board", *unheard)]
            problem = (await put_role(company, "governor", bindings)).is_problem(409, "conflict")
            assert "no-such-team" in problem["detail"]


@pytest.mark.parametrize(
    "bindings",
    [
        None,
        {},
        ["Sales"],
        [{"teams": ["sales"]}],
        [{"group": "Sales"}],
        [{"group": "6209f000-0000-4000-8000-000000000002", "teams": "sales"}],
        [{"group": "6209f000-0000-4000-8000-000000000002", "teams": ["Sales"]}],
        [{"group": "6209f000-0000-4000-8000-000000000002"}] * 101,
    ],
)
async def test_when_a_role_is_bound_in_a_wrong_way_then_400(company: Asking, bindings: Any) -> None:
    async with nothing_changed(company):
        (await put_role(company, "governor", bindings)).is_problem(400, "malformed")


@pytest.mark.claim("I5")
async def test_when_a_governor_is_limited_to_a_team_then_they_stop_its_assistants_and_nothing_else(
    company: Asking,
) -> None:
    async with bound(company, "governor", binding(company, "Governance Board", "sales")):
        for stopped in (True, False):
            mine = await company.switch("sales-helper", stopped=stopped, reason="a drill", person="gus")
            assert mine.status == 200
            platform = await company.switch("platform", stopped=stopped, reason="a drill", person="gus")
            platform.is_problem(403, "role-missing")
            others = [
                await company.switch(each, stopped=stopped, reason="a drill", person="gus")
                for each in ("ledger", "handbook", "no-such-assistant")
            ]
            others[0].is_problem(404, "not-found")
            assert {other.text for other in others} == {others[0].text}
    async with company.stopped("platform", "a drill"):
        assert (await company.switch("platform", stopped=True, reason="a drill", person="gus")).status == 200


@pytest.mark.claim("I5")
async def test_when_a_binding_is_removed_then_the_role_is_gone_at_the_next_call(company: Asking) -> None:
    assert (await company.switch("platform", stopped=False, reason="a drill", person="ivan")).status == 200
    async with bound(company, "it_ops"):
        reply = await company.switch("platform", stopped=True, reason="a drill", person="ivan")
        reply.is_problem(403, "role-missing")
        assert await my_roles(company, "ivan") == {}
    assert await my_roles(company, "ivan") == {"it_ops": None}


@pytest.mark.claim("I5")
async def test_when_somebody_leaves_the_group_in_the_directory_then_their_next_token_has_no_role(
    company: Asking,
) -> None:
    entra = company.stack.control("entra")
    groups = company.stack.person("gus").groups
    await entra.call("PUT", "/control/people/gus/groups", json=["All Employees"])
    try:
        assert await my_roles(company, "gus", await company.token(person="gus")) == {}
    finally:
        await entra.call("PUT", "/control/people/gus/groups", json=groups)
    assert await my_roles(company, "gus", await company.token(person="gus")) == {"governor": None}


@pytest.mark.claim("I5")
async def test_when_somebody_is_no_platform_admin_then_they_change_neither_teams_nor_roles(company: Asking) -> None:
    etag = (await teams(company))["sales"]["etag"]
    async with nothing_changed(company):
        for person in ("alice", "bob", "ivan", "paula", "gus", "audrey", "victor"):
            replies = [
                await put_team(company, "sales", seen(etag), by=person),
                await put_team(company, "mine", NEW, by=person),
                await remove_team(company, "sales", seen(etag), by=person),
                await put_role(company, "governor", [], token=company.stack.token(person)),
            ]
            for reply in replies:
                reply.is_problem(403, "role-missing")


@pytest.mark.claim("I5", "A3")
async def test_when_two_change_the_same_role_at_once_then_one_does_and_the_other_is_told(company: Asking) -> None:
    original = (await role(company, "governor"))["bindings"]
    for attempt in range(5):
        headers = seen((await role(company, "governor"))["etag"])
        wishes = [[binding(company, "Governance Board", team)] for team in ("sales", "finance")]
        replies = await asyncio.gather(
            *(
                put_role(company, "governor", wish, headers, reason=f"wish {n} of {attempt}")
                for n, wish in enumerate(wishes)
            )
        )
        assert sorted(reply.status for reply in replies) == [200, 412]
        won = [reply.status for reply in replies].index(200)
        assert await role(company, "governor") == replies[won].body
        assert replies[won].body["bindings"] == wishes[won]
        assert (await told(company, f"wish {won} of {attempt}"))["After"] == {"bindings": wishes[won]}
        assert await kept(company, f"wish {1 - won} of {attempt}") == []
    assert (await put_role(company, "governor", original)).status == 200


@pytest.mark.claim("A3")
async def test_when_two_make_the_same_team_at_once_then_there_is_one(company: Asking) -> None:
    replies = await asyncio.gather(*(put_team(company, "twins", NEW, name=f"Twin {n}") for n in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 412, 412, 412]
    made = once([reply for reply in replies if reply.status == 200])
    assert (await teams(company))["twins"] == made.body


# -- platform admins


@pytest.mark.claim("I5")
async def test_when_a_platform_admin_would_lose_the_role_or_limit_it_then_409(company: Asking) -> None:
    admins, board = binding(company, "Platform Admins"), binding(company, "Governance Board")
    async with nothing_changed(company):
        for bindings in (
            [],
            [board],
            [{**board, "teams": ["sales"]}],
            [{**admins, "teams": ["sales"]}],
            [{**admins, "teams": []}],
            [admins, {**board, "teams": ["sales"]}],
        ):
            (await put_role(company, "platform_admin", bindings)).is_problem(409, "conflict")
    assert await my_roles(company, "adam") == {"platform_admin": None}


@pytest.mark.claim("I5", "A3")
async def test_when_platform_admin_is_bound_then_the_group_of_the_setting_counts_no_more(company: Asking) -> None:
    admins, board = binding(company, "Platform Admins"), binding(company, "Governance Board")
    before = await role(company, "platform_admin")
    assert before == {"role": "platform_admin", "bindings": [admins], "etag": None}
    both = await in_groups(company, "adam", "Platform Admins", "Governance Board")
    reply = await put_role(company, "platform_admin", [board], token=both, reason="the board takes over")
    assert (reply.status, reply.body["bindings"]) == (200, [board])
    event = await told(company, "the board takes over")
    assert (event["Before"], event["After"]) == ({"bindings": [admins]}, {"bindings": [board]})
    assert await my_roles(company, "adam") == {}
    assert await my_roles(company, "gus") == {"governor": None, "platform_admin": None}
    async with nothing_changed(company):
        (await put_team(company, "mine", NEW)).is_problem(403, "role-missing")
        (await put_role(company, "platform_admin", [admins], NEW)).is_problem(403, "role-missing")
        (await put_role(company, "platform_admin", [board], NEW, token=both)).is_problem(412, "outdated")
        gus = company.stack.token("gus")
        (await put_role(company, "platform_admin", [admins], token=gus)).is_problem(409, "conflict")
    shared = await put_role(company, "platform_admin", [admins, board], token=gus)
    assert shared.status == 200
    assert (await put_role(company, "platform_admin", [admins])).status == 200, "another admin can take it away"
    assert await my_roles(company, "gus") == {"governor": None}
    assert await my_roles(company, "adam") == {"platform_admin": None}
