"""How platform admins change teams and roles over HTTP, and what is to be seen of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import once

NEW = {"If-None-Match": "*"}
NOBODYS = "6209f000-0000-4000-8000-0000000000ff"
"""A group that nobody is in."""


def seen(etag: str | None) -> dict[str, str]:
    """What a change of something with this ETag says; of what there is none of yet, without one."""
    return NEW if etag is None else {"If-Match": etag}


async def put_team(company: Asking, team: str, headers: dict[str, str], *, by: str = "adam", **members: Any) -> Reply:
    """None leaves a member out."""
    usual = {"name": team.title(), "group": NOBODYS, "reason": "a new team"}
    body = {name: value for name, value in {**usual, **members}.items() if value is not None}
    token = company.stack.token(by)
    return await company.call("PUT", f"/api/teams/{team}", token=token, headers=headers, json=body)


async def remove_team(
    company: Asking, team: str, headers: dict[str, str], *, by: str = "adam", reason: str = "it is no more"
) -> Reply:
    path, token = f"/api/teams/{team}/remove", company.stack.token(by)
    return await company.call("POST", path, token=token, headers=headers, json={"reason": reason})


async def teams(company: Asking, *, person: str = "adam") -> dict[str, dict[str, Any]]:
    reply = await company.call("GET", "/api/teams", token=company.stack.token(person))
    return {team["id"]: team for team in reply.body["teams"]}


async def role(company: Asking, name: str) -> dict[str, Any]:
    """The role as it is bound."""
    reply = await company.call("GET", "/api/roles", token=company.stack.token("audrey"))
    return once([each for each in reply.body["roles"] if each["role"] == name])


def binding(company: Asking, group: str, *teams: str) -> dict[str, Any]:
    """Without teams it is not limited."""
    return {"group": company.stack.group(group), "teams": list(teams) or None}


async def put_role(
    company: Asking,
    name: str,
    bindings: list[dict[str, Any]],
    headers: dict[str, str] | None = None,
    *,
    token: str | None = None,
    reason: str = "the board wants it",
) -> Reply:
    """By adam, who has just read it, unless said otherwise."""
    headers = seen((await role(company, name))["etag"]) if headers is None else headers
    body, token = {"bindings": bindings, "reason": reason}, token or company.stack.token("adam")
    return await company.call("PUT", f"/api/roles/{name}", token=token, headers=headers, json=body)


@asynccontextmanager
async def bound(company: Asking, name: str, *bindings: dict[str, Any]) -> AsyncIterator[None]:
    """A role that is bound so meanwhile, and as before after."""
    before = (await role(company, name))["bindings"]
    assert (await put_role(company, name, list(bindings))).status == 200
    try:
        yield
    finally:
        assert (await put_role(company, name, before, reason="the test is over")).status == 200


async def me(company: Asking, person: str, token: str | None = None) -> Any:
    reply = await company.call("GET", "/api/me", token=token or company.stack.token(person))
    assert reply.status == 200
    return reply.body


async def my_roles(company: Asking, person: str, token: str | None = None) -> dict[str, list[str] | None]:
    """What each of somebody's roles is limited to."""
    return {each["role"]: each["teams"] for each in (await me(company, person, token))["roles"]}


async def in_groups(company: Asking, person: str, *groups: str) -> str:
    """A token of somebody who is in these groups and no others."""
    return await company.token(person=person, claims={"groups": [company.stack.group(group) for group in groups]})


@asynccontextmanager
async def nothing_changed(company: Asking) -> AsyncIterator[None]:
    """Fails if a team, a role or a grant is changed meanwhile, or an event is written."""
    before = await company.configured()
    yield
    assert await company.configured() == before


async def kept(company: Asking, reason: str) -> list[dict[str, Any]]:
    """The events in the store of changes that were made for this reason: there as soon as the call is answered."""
    query = "SELECT VALUE c.audit.event FROM c WHERE c.type = 'audit' AND c.audit.event.Reason = @reason"
    events = company.kit.store.config.query(query, {"@reason": reason}, partition="access")
    return [event async for event in events]


async def told(company: Asking, reason: str) -> dict[str, Any]:
    """The one event of the change that was made for this reason, when it is in the trail too."""
    stored = once(await kept(company, reason))
    event = await company.trail(f"Reason == '{reason}'")
    assert event["EventId"] == stored["EventId"]
    before, after = json.loads(event["Before"]), json.loads(event["After"])
    return {**event, "Before": before, "After": after}
