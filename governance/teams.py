"""Teams: a display name and the directory group whose members they are. Requests, caps and assistants belong to one."""

from collections.abc import AsyncIterator

from governance.access import ACCESS, Scope, Team, TeamId, team_document, team_in
from governance.changes import Conflict, Journal, Outdated, as_seen, change_event
from services.documents import Items


async def list_teams(config: Items, scope: Scope) -> AsyncIterator[tuple[Team, str]]:
    """The teams that a role reaches, each with its ETag."""
    async for document in config.query("SELECT * FROM c WHERE c.type = 'team'", partition=ACCESS):
        team = team_in(document)
        if scope.covers(team.id):
            yield team, document["_etag"]


async def require_teams(config: Items, teams: set[TeamId]) -> None:
    """Raises :class:`governance.changes.Conflict` unless there are such teams."""
    known = {team.id async for team, _ in list_teams(config, Scope(frozenset(teams)))}
    if missing := sorted(teams - known):
        raise Conflict(f"There is no team {', '.join(missing)}.")


async def set_team(journal: Journal, team: Team, *, etag: str | None, actor: str, reason: str) -> str:
    """Make a team (``etag`` None), or change the one with that ETag. Returns its new ETag.

    Raises :class:`governance.changes.Outdated`.
    """
    document = team_document(team)
    before = await journal.store.config.read(document["id"], ACCESS)
    as_seen(before, etag)
    event = change_event(
        "team.set",
        actor=actor,
        target=document["id"],
        reason=reason,
        Team=team.id,
        Before={} if before is None else team_in(before).model_dump(),
        After=team.model_dump(),
    )
    if before is None:
        return await journal.create("config", document, event)
    return await journal.replace("config", before, document, event)


async def remove_team(journal: Journal, team_id: str, *, etag: str | None, actor: str, reason: str) -> None:
    """Nobody is in it from now on; its ledger and its trail stay. Raises :class:`governance.changes.Outdated`."""
    before = await journal.store.config.read(f"team:{team_id}", ACCESS)
    as_seen(before, etag)
    if before is None:
        raise Outdated
    event = change_event(
        "team.remove",
        actor=actor,
        target=before["id"],
        reason=reason,
        Team=team_id,
        Before=team_in(before).model_dump(),
    )
    await journal.remove("config", before, event)
