"""How publishers write, publish, restore and retire assistants.

Somebody who is no publisher of the team that owns an assistant is told that there is none.
"""

import azure.durable_functions as df
from pydantic import BaseModel, Field

from api.body import Malformed
from api.operation import Call, Reply, operation
from api.reason import Reason
from governance.access import Role
from guardrails.policy import PII_CATEGORIES
from routing import publishing
from routing.assistants import AssistantSettings, AssistantUnknown
from routing.publishing import Managed, Version
from services.documents import Document

bp = df.Blueprint()

PUBLISHERS = (Role.PUBLISHER,)


class Draft(Reason):
    settings: AssistantSettings


class Restore(Reason):
    version: int = Field(ge=1)


class Drafts(BaseModel):
    assistants: list[Managed]


class Versions(BaseModel):
    versions: list[Version]


@operation(bp, "GET", "drafts", answers={200: Drafts}, roles=PUBLISHERS)
async def list_drafts(call: Call[None]) -> Reply:
    """The assistants of the caller's publisher teams, whatever their state."""
    scope = call.access.scope(*PUBLISHERS)
    return Reply(Drafts(assistants=await publishing.list_managed(call.services.store.config, scope)))


@operation(bp, "POST", "assistants", body=Draft, answers={201: Managed}, roles=PUBLISHERS)
async def create_assistant(call: Call[Draft]) -> Reply:
    """A new assistant, as a draft."""
    draft = await _body(call)
    managed, etag = await publishing.create(call.journal, call.access, draft.settings, draft.reason)
    return Reply(managed, 201, {"ETag": etag, "Location": f"/api/assistants/{managed.id}/draft"})


@operation(
    bp, "GET", "assistants/{assistant_id}/draft", answers={200: Managed}, roles=PUBLISHERS, outside=AssistantUnknown
)
async def get_draft(call: Call[None]) -> Reply:
    """An assistant as its publishers see it; the ETag is what a change must name."""
    document = await _managed(call)
    return Reply(Managed.model_validate(document), 200, {"ETag": document["_etag"]})


@operation(
    bp,
    "PUT",
    "assistants/{assistant_id}/draft",
    body=Draft,
    answers={200: Managed},
    roles=PUBLISHERS,
    outside=AssistantUnknown,
    tagged=True,
)
async def put_draft(call: Call[Draft]) -> Reply:
    """Change the draft; what is published stays as it is."""
    document = await _managed(call)
    draft = await _body(call)
    call.require_etag(document)
    return _tagged(await publishing.save_draft(call.journal, call.access, document, draft.settings, draft.reason))


@operation(
    bp,
    "POST",
    "assistants/{assistant_id}/publish",
    body=Reason,
    answers={200: Managed},
    roles=PUBLISHERS,
    outside=AssistantUnknown,
    tagged=True,
)
async def publish_assistant(call: Call[Reason]) -> Reply:
    """The draft becomes the next version, in use from now on."""
    document = await _managed(call)
    reason = (await call.body()).reason
    call.require_etag(document)
    return _tagged(await publishing.publish(call.journal, call.access, document, reason))


@operation(
    bp,
    "POST",
    "assistants/{assistant_id}/restore",
    body=Restore,
    answers={200: Managed},
    roles=PUBLISHERS,
    outside=AssistantUnknown,
    tagged=True,
)
async def restore_assistant(call: Call[Restore]) -> Reply:
    """An earlier version is in use again, as it was."""
    document = await _managed(call)
    asked = await call.body()
    call.require_etag(document)
    return _tagged(await publishing.restore(call.journal, call.access, document, asked.version, asked.reason))


@operation(
    bp,
    "POST",
    "assistants/{assistant_id}/retire",
    body=Reason,
    answers={200: Managed},
    roles=PUBLISHERS,
    outside=AssistantUnknown,
    tagged=True,
)
async def retire_assistant(call: Call[Reason]) -> Reply:
    """Nobody can ask the assistant any more; its versions stay."""
    document = await _managed(call)
    reason = (await call.body()).reason
    call.require_etag(document)
    return _tagged(await publishing.retire(call.journal, call.access, document, reason))


@operation(
    bp, "GET", "assistants/{assistant_id}/versions", answers={200: Versions}, roles=PUBLISHERS, outside=AssistantUnknown
)
async def list_versions(call: Call[None]) -> Reply:
    """Every version that was ever published, the latest first."""
    document = await _managed(call)
    return Reply(Versions(versions=await publishing.list_versions(call.services.store.config, document["id"])))


async def _body(call: Call[Draft]) -> Draft:
    draft = await call.body()
    if unknown := sorted(draft.settings.pii.keys() - PII_CATEGORIES):
        raise Malformed(f"settings.pii: no detector for {', '.join(unknown)}")
    return draft


async def _managed[Body: BaseModel | None](call: Call[Body]) -> Document:
    scope = call.access.scope(*PUBLISHERS)
    return await publishing.find_managed(call.services.store.config, call.path("assistant_id"), scope)


def _tagged(changed: tuple[Managed, str]) -> Reply:
    managed, etag = changed
    return Reply(managed, 200, {"ETag": etag})
