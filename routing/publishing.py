"""The life of an assistant, as its publishers see it.

::

    draft --publish--> published --retire--> retired
                         |    ^                |
                         +----+----restore-----+

An assistant has a draft, which can be changed, and versions, which can't: publishing makes version n + 1 of the draft,
restoring puts an earlier version back to use as it was. Both leave the draft alone. Who publishes is in the team that
owns the draft; for anybody else there is no such assistant.
"""

from typing import Literal

from pydantic import BaseModel

from governance.access import Access, Role, Scope
from governance.changes import Conflict, Journal, change_event
from governance.policies import list_policies
from governance.problems import ProblemError
from governance.teams import require_teams
from routing.assistants import ASSISTANT, AssistantSettings, AssistantUnknown, version_id
from services.clock import Timestamp, utc_now, uuid7
from services.documents import Document, Items

type State = Literal["draft", "published", "retired"]


class VersionUnknown(ProblemError):
    """The assistant was never published under this version."""

    type = "not-found"
    detail = "The assistant has no such version."


class Managed(BaseModel):
    """An assistant as its publishers see it."""

    id: str
    state: State
    version: int | None = None
    """The one that is in use, or was until it was retired."""
    latest_version: int = 0
    draft: AssistantSettings
    published: AssistantSettings | None = None


class Version(BaseModel):
    """What was published once, unchanged."""

    assistant: str
    version: int
    settings: AssistantSettings
    published_at: Timestamp
    published_by: str


_LIST = """SELECT * FROM c
    WHERE c.type = 'assistant' AND (@everywhere OR ARRAY_CONTAINS(@teams, c.draft.owner_team))"""
_FIND = f"{_LIST} AND c.id = @id"


async def list_managed(config: Items, scope: Scope) -> list[Managed]:
    """The assistants whose owner team a publisher is in, by name."""
    found = config.query(_LIST, _within(scope), partition=ASSISTANT)
    managed = [Managed.model_validate(document) async for document in found]
    return sorted(managed, key=lambda each: (each.draft.name, each.id))


async def find_managed(config: Items, assistant_id: str, scope: Scope) -> Document:
    """The document of an assistant that a role reaches. Raises :class:`routing.assistants.AssistantUnknown`."""
    parameters = {"@id": assistant_id, **_within(scope)}
    found = [document async for document in config.query(_FIND, parameters, partition=ASSISTANT)]
    if not found:
        raise AssistantUnknown
    return found[0]


def _within(scope: Scope) -> dict[str, object]:
    return {"@everywhere": scope.teams is None, "@teams": sorted(scope.teams or ())}


async def list_versions(config: Items, assistant_id: str) -> list[Version]:
    """All that were ever published, the latest first."""
    query = "SELECT * FROM c WHERE c.type = 'version' AND c.assistant = @id"
    found = config.query(query, {"@id": assistant_id}, partition=ASSISTANT)
    versions = [Version.model_validate(document) async for document in found]
    return sorted(versions, key=lambda version: version.version, reverse=True)


async def create(journal: Journal, access: Access, settings: AssistantSettings, reason: str) -> tuple[Managed, str]:
    """A new draft, and its ETag.

    Raises :class:`governance.access.RoleMissing`, :class:`governance.changes.Conflict`.
    """
    access.require(Role.PUBLISHER, team=settings.owner_team)
    await require_teams(journal.store.config, {settings.owner_team})
    managed = Managed(id=uuid7(), state="draft", draft=settings)
    event = change_event(
        "assistant.create",
        actor=access.caller.oid,
        target=f"assistant:{managed.id}",
        reason=reason,
        Assistant=managed.id,
        Team=settings.owner_team,
        After={"state": managed.state, "version": managed.version, **settings.model_dump()},
    )
    return managed, await journal.create("config", managed_document(managed), event)


async def save_draft(
    journal: Journal, access: Access, before: Document, settings: AssistantSettings, reason: str
) -> tuple[Managed, str]:
    """Raises :class:`governance.access.RoleMissing` if it would go to a team that the publisher is not in, and
    :class:`governance.changes.Conflict`, :class:`governance.changes.Outdated`."""
    access.require(Role.PUBLISHER, team=settings.owner_team)
    await require_teams(journal.store.config, {settings.owner_team})
    was = Managed.model_validate(before)
    now = was.model_copy(update={"draft": settings})
    return await _changed(journal, access, "assistant.edit", before, now, reason, was.draft, settings)


async def publish(journal: Journal, access: Access, before: Document, reason: str) -> tuple[Managed, str]:
    """The draft becomes the next version, in use from now on.

    Raises :class:`governance.changes.Conflict` if it names what is not configured, and
    :class:`governance.changes.Outdated`.
    """
    was = Managed.model_validate(before)
    await _require_configured(journal.store.config, was.draft)
    version = was.latest_version + 1
    now = was.model_copy(
        update={"state": "published", "version": version, "latest_version": version, "published": was.draft}
    )
    kept = Version(
        assistant=was.id,
        version=version,
        settings=was.draft,
        published_at=utc_now(),
        published_by=access.caller.oid,
    )
    return await _changed(
        journal, access, "assistant.publish", before, now, reason, was.published, now.published, kept=kept
    )


async def restore(journal: Journal, access: Access, before: Document, version: int, reason: str) -> tuple[Managed, str]:
    """An earlier version is in use again, under its own number.

    Raises :class:`VersionUnknown`, :class:`governance.changes.Conflict`, :class:`governance.changes.Outdated`.
    """
    was = Managed.model_validate(before)
    document = await journal.store.config.read(version_id(was.id, version), ASSISTANT)
    if document is None:
        raise VersionUnknown
    settings = Version.model_validate(document).settings
    await _require_configured(journal.store.config, settings)
    now = was.model_copy(update={"state": "published", "version": version, "published": settings})
    return await _changed(journal, access, "assistant.restore", before, now, reason, was.published, settings)


async def retire(journal: Journal, access: Access, before: Document, reason: str) -> tuple[Managed, str]:
    """Nobody can ask it any more. Raises :class:`governance.changes.Conflict`, :class:`governance.changes.Outdated`."""
    was = Managed.model_validate(before)
    if was.state != "published":
        raise Conflict("Only an assistant that is published can be retired.")
    now = was.model_copy(update={"state": "retired"})
    return await _changed(journal, access, "assistant.retire", before, now, reason, was.published, None)


async def _changed(
    journal: Journal,
    access: Access,
    event_type: str,
    before: Document,
    now: Managed,
    reason: str,
    old: AssistantSettings | None,
    new: AssistantSettings | None,
    *,
    kept: Version | None = None,
) -> tuple[Managed, str]:
    was = Managed.model_validate(before)
    event = change_event(
        event_type,
        actor=access.caller.oid,
        target=f"assistant:{now.id}",
        reason=reason,
        Assistant=now.id,
        AssistantVersion=now.version,
        Team=now.draft.owner_team,
        Before={"state": was.state, "version": was.version, **(old.model_dump() if old else {})},
        After={"state": now.state, "version": now.version, **(new.model_dump() if new else {})},
    )
    also = [] if kept is None else [version_document(kept)]
    return now, await journal.replace("config", before, managed_document(now), event, also)


async def _require_configured(config: Items, settings: AssistantSettings) -> None:
    """Everything that a published assistant names is there: what is missing would refuse every question."""
    policies = {policy.id for policy, _ in await list_policies(config)}
    missing = [f"policy {each}" for each in settings.policies if each not in policies]
    missing += [] if await config.read(settings.route, "route") else [f"route {settings.route}"]
    missing += [f"collection {each}" for each in settings.collections if await config.read(each, "collection") is None]
    if missing:
        raise Conflict(f"Not configured: {', '.join(missing)}.")


def managed_document(managed: Managed) -> Document:
    return {"kind": ASSISTANT, "type": "assistant", "v": 1, **managed.model_dump(mode="json", exclude_none=True)}


def version_document(version: Version) -> Document:
    kept = version.model_dump(mode="json")
    return {"kind": ASSISTANT, "type": "version", "v": 1, "id": version_id(version.assistant, version.version), **kept}
