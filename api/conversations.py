"""The caller's own conversations: list them, read one, delete one (claim T4)."""

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from governance import conversations
from governance.audit import NOTES
from governance.changes import change_event
from governance.conversations import Conversation, ConversationUnknown
from governance.switches import require_running
from routing.assistants import AssistantUnknown, find_assistant, list_assistants
from services.clock import Timestamp, utc_text

bp = df.Blueprint()


class Summary(BaseModel):
    id: str
    assistant: str
    title: str
    """How its first question begins, as the guardrails left it."""
    created_at: Timestamp
    updated_at: Timestamp
    turns: int
    """Questions with their answers, those that have expired included."""


class Summaries(BaseModel):
    conversations: list[Summary]
    before: str | None
    """Says where the next page begins; none on the last."""


class Said(BaseModel):
    request_id: str
    at: Timestamp
    question: str
    """As the guardrails left it."""
    answer: str


class Whole(Summary):
    said: list[Said]
    """In the order in which it was said."""
    before: str | None
    """Says where what was said earlier is; none if this is all."""


class Deleted(BaseModel):
    id: str
    turns: int
    """How many were deleted."""


class Listing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    assistant: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    before: str | None = Field(default=None, min_length=1, max_length=100)


class Reading(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    before: str | None = Field(default=None, min_length=1, max_length=100)


@operation(bp, "GET", "conversations", query=Listing, answers={200: Summaries})
async def list_conversations(call: Call[None]) -> Reply:
    """The caller's conversations with the assistants that are theirs to ask, the latest first."""
    asked = call.query(Listing)
    assistants = {each.id for each in await list_assistants(call.services.store.config, call.caller.groups)}
    if asked.assistant is not None:
        assistants &= {asked.assistant}
    found = await conversations.list_of(
        call.services.store.conversations, call.caller.oid, assistants, limit=asked.limit, before=asked.before
    )
    before = utc_text(found[-1].updated_at) if len(found) == asked.limit else None
    return Reply(Summaries(conversations=[_summary(each) for each in found], before=before))


@operation(bp, "GET", "conversations/{conversation_id}", query=Reading, answers={200: Whole})
async def get_conversation(call: Call[None]) -> Reply:
    """What was said in a conversation of the caller's own, as the guardrails left it; nothing while a switch is on."""
    asked = call.query(Reading)
    store, owner = call.services.store, call.caller.oid
    conversation = await conversations.find(store.conversations, owner, call.path("conversation_id"))
    try:
        await find_assistant(store.config, conversation.assistant, call.caller.groups)
    except AssistantUnknown:
        raise ConversationUnknown from None
    said = await conversations.said_in(
        store.conversations, owner, conversation.id, limit=asked.limit, before=asked.before
    )
    await require_running(store.control, conversation.assistant)
    return Reply(
        Whole(
            **_summary(conversation).model_dump(),
            said=[Said.model_validate(each.model_dump()) for each in reversed(said)],
            before=said[-1].request_id if len(said) == asked.limit else None,
        )
    )


@operation(bp, "DELETE", "conversations/{conversation_id}", answers={200: Deleted})
async def delete_conversation(call: Call[None]) -> Reply:
    """Delete a conversation of the caller's own, whatever became of its assistant. The audit trail keeps its record."""
    store, owner = call.services.store, call.caller.oid
    conversation = await conversations.find(store.conversations, owner, call.path("conversation_id"))
    event = change_event(
        "conversation.delete",
        actor=owner,
        target=f"conversation:{conversation.id}",
        reason="",
        Team=conversation.team,
        Assistant=conversation.assistant,
        Conversation=conversation.id,
    )
    await call.journal.note("config", NOTES, event)
    return Reply(
        Deleted(id=conversation.id, turns=await conversations.delete(store.conversations, owner, conversation))
    )


def _summary(conversation: Conversation) -> Summary:
    return Summary.model_validate(conversation.model_dump(include=set(Summary.model_fields)))
