"""What the caller's groups come to: scopes, roles, teams, and support grants to the microsecond."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from governance.access import (
    EVERYWHERE,
    MOST_GROUPS,
    NOWHERE,
    Access,
    Binding,
    Grant,
    GroupId,
    NoTeam,
    Role,
    RoleMissing,
    Scope,
    Team,
    TeamAmbiguous,
    TeamId,
    access_of,
    access_of_each,
    bindings_in,
    grant_document,
    grant_in,
    role_document,
    team_document,
    team_in,
)
from governance.identity import Caller
from services.clock import utc_text
from services.documents import Items

NOW = datetime(2026, 11, 23, 9, 30, 0, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PERSON = "51c70400-0000-4000-8000-000000000009"
GUESTS, SALES, FINANCE, ADMINS, OTHERS = (f"6209f000-0000-4000-8000-00000000000{n}" for n in range(5))

TEAMS = st.frozensets(st.sampled_from(["sales", "finance", "legal", "it"]))
SCOPES = st.one_of(st.just(EVERYWHERE), TEAMS.map(Scope))
ASKED = st.sampled_from(["sales", "finance", "legal", "it", "unheard-of", None])
GROUPS = st.frozensets(st.sampled_from([GUESTS, SALES, FINANCE, ADMINS]))
BINDINGS = st.lists(
    st.builds(
        Binding,
        group=st.sampled_from([GUESTS, SALES, FINANCE, ADMINS]),
        teams=st.none() | st.lists(st.sampled_from(["sales", "finance", "legal"]), max_size=3),
    ),
    max_size=4,
)


def caller(*groups: str) -> Caller:
    return Caller(oid=PERSON, tenant_id="7e4a4700-0000-4000-8000-000000000001", groups=frozenset(groups))


def grant(**members: Any) -> Grant:
    known = {"id": "g", "reason": "an outage", "opened_by": "adam", "opened_at": NOW, "until": NOW + timedelta(hours=1)}
    return Grant.model_validate({**known, **members})


def team(id_: str, group: str = SALES) -> Team:
    return Team(id=id_, name=id_.title(), group=group)


def access(*teams: Team, roles: dict[Role, Scope] | None = None) -> Access:
    return Access(caller=caller(), teams=list(teams), roles=roles or {}, grant=None, notices=[])


class Partition:
    """A partition that answers every query with all that is in it."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self._documents = documents

    async def query(self, query: str, parameters: dict[str, Any], *, partition: str) -> AsyncIterator[dict[str, Any]]:
        assert partition == "access"
        assert all(name in query for name in parameters)
        for document in self._documents:
            yield document


async def read(by: Caller, *documents: dict[str, Any], now: datetime = NOW) -> Access:
    """What :func:`access_of` makes of these documents."""
    return await access_of(cast(Items, Partition(*documents)), by, ADMINS, now)


@pytest.mark.claim("I3", "I5")
@given(
    st.lists(GROUPS, min_size=1, max_size=5), BINDINGS, st.lists(st.sampled_from([GUESTS, SALES, FINANCE]), max_size=3)
)
async def test_when_several_are_read_together_then_each_may_what_they_may_alone(
    groups: list[frozenset[str]], bindings: list[Binding], teams: list[str]
) -> None:
    documents = [
        role_document(Role.GOVERNOR, bindings),
        grant_document(grant(group=GUESTS)),
        *(team_document(team(f"team-{number}", group)) for number, group in enumerate(teams)),
    ]
    callers = [caller(*each) for each in groups]
    partition = cast(Items, Partition(*documents))
    together = await access_of_each(partition, callers, ADMINS, NOW)
    assert together == [await access_of(partition, each, ADMINS, NOW) for each in callers]
    for each in together:
        assert {team.group for team in each.teams} == set(teams) & each.caller.groups


async def test_when_they_are_in_more_groups_than_a_query_can_name_then_it_is_more_than_one() -> None:
    asked: list[int] = []

    class Counting(Partition):
        def query(self, query: str, parameters: dict[str, Any], *, partition: str) -> AsyncIterator[dict[str, Any]]:
            asked.append(len(parameters["@groups"]))
            return super().query(query, parameters, partition=partition)

    callers = [caller(*(str(UUID(int=200 * person + group)) for group in range(200))) for person in range(25)]
    documents = [team_document(team(f"team-{number}", max(each.groups))) for number, each in enumerate(callers)]
    found = await access_of_each(cast(Items, Counting(*documents)), callers, ADMINS, NOW)
    assert [access.caller for access in found] == callers
    assert [[each.id for each in access.teams] for access in found] == [[f"team-{number}"] for number in range(25)]
    assert len(asked) > 1
    assert max(asked) <= MOST_GROUPS


# -- scopes


@given(SCOPES, SCOPES, ASKED)
def test_when_scopes_are_joined_then_they_cover_what_one_of_them_covers(a: Scope, b: Scope, asked: str | None) -> None:
    assert (a | b).covers(asked) == (a.covers(asked) or b.covers(asked))
    assert a | b == b | a
    assert a | NOWHERE == a
    assert a | a == a


@given(SCOPES)
def test_when_a_scope_is_limited_to_teams_then_it_never_covers_the_platform(scope: Scope) -> None:
    assert scope.covers(None) == (scope == EVERYWHERE)
    assert not NOWHERE.covers(None)


@given(st.dictionaries(st.sampled_from(Role), SCOPES), st.lists(st.sampled_from(Role)), ASKED)
def test_when_one_of_several_roles_is_required_then_they_count_together_and_no_other_does(
    held: dict[Role, Scope], named: list[Role], asked: str | None
) -> None:
    has = access(roles=held)
    enough = any(held[role].covers(asked) for role in named if role in held)
    assert has.scope(*named).covers(asked) == enough
    if enough:
        has.require(*named, team=asked)
    else:
        with pytest.raises(RoleMissing):
            has.require(*named, team=asked)


# -- roles


@given(GROUPS, BINDINGS)
async def test_when_a_role_is_bound_then_it_reaches_what_the_bindings_of_the_callers_groups_say(
    groups: frozenset[str], bindings: list[Binding]
) -> None:
    found = await read(caller(*groups), role_document(Role.GOVERNOR, bindings))
    mine = [binding.teams for binding in bindings if binding.group in groups]
    reached = reduce(
        Scope.__or__, (EVERYWHERE if teams is None else Scope(frozenset(teams)) for teams in mine), NOWHERE
    )
    assert found.scope(Role.GOVERNOR) == reached
    assert (Role.GOVERNOR in found.roles) == (reached != NOWHERE), "a role that reaches nothing is none"
    assert found.scope(Role.AUDITOR) == NOWHERE


@pytest.mark.claim("I5")
async def test_when_nobody_has_bound_platform_admin_then_the_first_group_holds_it_and_not_after() -> None:
    assert (await read(caller(ADMINS))).roles == {Role.PLATFORM_ADMIN: EVERYWHERE}
    assert (await read(caller(OTHERS))).roles == {}
    bound = role_document(Role.PLATFORM_ADMIN, [Binding(group=OTHERS)])
    assert (await read(caller(ADMINS), bound)).roles == {}
    assert (await read(caller(OTHERS), bound)).roles == {Role.PLATFORM_ADMIN: EVERYWHERE}
    unbound = role_document(Role.PLATFORM_ADMIN, [])
    assert (await read(caller(ADMINS, OTHERS), unbound)).roles == {}


# -- teams


@given(TEAMS, ASKED)
def test_when_a_team_is_named_or_not_then_it_is_one_of_the_callers_or_they_are_told(
    mine: frozenset[str], named: str | None
) -> None:
    has = access(*(team(each) for each in mine))
    if named in mine:
        assert has.team_for(named).id == named
    elif named is not None or not mine:
        with pytest.raises(NoTeam):
            has.team_for(named)
    elif len(mine) == 1:
        assert {has.team_for(None).id} == mine
    else:
        with pytest.raises(TeamAmbiguous) as ambiguous:
            has.team_for(None)
        assert ambiguous.value.problem().extra == {"teams": sorted(mine)}


# -- support grants


@pytest.mark.claim("T2")
@given(st.integers(-(10**12), 10**12))
def test_when_the_time_is_not_before_the_end_then_a_grant_is_not_open(microseconds: int) -> None:
    until = NOW + timedelta(microseconds=microseconds)
    assert grant(until=until).is_open(NOW) == (microseconds > 0)


@pytest.mark.claim("T2")
async def test_when_a_grant_ends_then_its_holder_has_it_a_microsecond_before_and_not_at_the_end() -> None:
    document = grant_document(grant(group=GUESTS, until=NOW))
    assert (await read(caller(GUESTS), document, now=NOW - TICK)).grant == grant_in(document)
    assert (await read(caller(GUESTS), document, now=NOW)).grant is None
    assert (await read(caller(GUESTS), document, now=NOW + TICK)).grant is None


@pytest.mark.claim("T2")
def test_when_the_end_is_given_in_another_zone_then_it_is_the_same_moment() -> None:
    there = grant(until=NOW.astimezone(timezone(timedelta(hours=-9, minutes=-30))))
    assert there.is_open(NOW - TICK)
    assert not there.is_open(NOW)
    assert grant_document(there)["until"] == utc_text(NOW), "as the store compares it"


@pytest.mark.claim("T2")
async def test_when_a_grant_was_closed_then_it_is_not_open_whatever_its_end() -> None:
    closed = grant(group=GUESTS, closed_at=NOW - TICK, closed_by="adam")
    assert not closed.is_open(NOW - timedelta(days=1))
    assert (await read(caller(GUESTS), grant_document(closed))).grant is None


@pytest.mark.claim("T2")
async def test_when_a_grant_is_for_a_group_or_a_person_then_it_is_nobody_elses() -> None:
    for_guests, for_person = grant(group=GUESTS), grant(person=PERSON)
    assert for_guests.is_for(caller(GUESTS, SALES))
    assert not for_guests.is_for(caller(SALES))
    assert for_person.is_for(caller())
    assert not for_person.is_for(caller(GUESTS).model_copy(update={"oid": OTHERS}))
    assert not grant(person=GUESTS).is_for(caller(GUESTS)), "a group is no person"
    assert not grant(group=PERSON).is_for(caller(GUESTS)), "a person is no group"
    assert (await read(caller(SALES), grant_document(for_guests))).grant is None


@pytest.mark.claim("T2")
async def test_when_one_of_two_grants_is_over_then_the_other_still_counts() -> None:
    over, still_open = grant(id="a", group=GUESTS, until=NOW), grant(id="b", person=PERSON)
    for documents in ([over, still_open], [still_open, over]):
        found = (await read(caller(GUESTS), *map(grant_document, documents))).grant
        assert found is not None
        assert found.id == "b"


# -- ids, and the documents


def test_when_an_id_of_the_directory_is_in_capitals_then_it_is_taken_in_small_letters() -> None:
    assert Binding(group=SALES.upper()).group == SALES
    assert Team(id="sales", name="Sales", group=SALES.upper()).group == SALES
    assert grant(group=GUESTS.upper(), person=PERSON.upper()).is_for(caller(GUESTS))


@pytest.mark.parametrize(
    "id_", ["", "Sales", SALES + " ", SALES[:-1], SALES.replace("-", ""), f"{{{SALES}}}", "g" * 36]
)
def test_when_an_id_could_not_be_one_of_the_directory_then_it_is_refused(id_: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](GroupId).validate_python(id_)


@pytest.mark.parametrize("id_", ["", "-", "-sales", "Sales", "sales team", "sälés", "sales/a", "a" * 64, "sales\n"])
def test_when_an_id_could_not_be_a_teams_then_it_is_refused(id_: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](TeamId).validate_python(id_)


@given(BINDINGS)
def test_when_something_is_kept_then_it_is_read_as_it_was(bindings: list[Binding]) -> None:
    assert bindings_in(role_document(Role.AUDITOR, bindings)) == bindings
    assert team_in(team_document(team("sales"))) == team("sales")
    for each in (grant(group=GUESTS), grant(person=PERSON, closed_at=NOW, closed_by="adam")):
        assert grant_in(grant_document(each)) == each
