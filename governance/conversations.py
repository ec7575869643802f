"""Conversations: what somebody asked an assistant before, and what it answered, as the guardrails left it.

A conversation and its turns are documents of their owner's partition, and nobody else's. One question is asked in it at
a time: ``asking`` names the latest, so that whoever goes on after it can tell whether it has ended, and keeps its turn
if nobody has yet. Each turn expires by the policy that it was checked by; the conversation with its last turn.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from governance import requests
from governance.changes import Conflict
from governance.problems import ProblemError
from governance.request import Request, Turn
from services.clock import Timestamp, utc_now, utc_text
from services.documents import BatchRefused, ConditionFailed, ItemExists, ItemMissing, Items, Store, put

NEW = "new"
"""Asks for a conversation to be begun."""
UNANSWERED_SECONDS = 7 * 86_400
"""How long a conversation is kept in which nothing was answered yet."""
TITLE_CHARACTERS = 80
MOST_TURNS = 50
MOST_CHARACTERS = 60_000
"""Of a conversation, so much goes with its next question, the latest: it is all checked again by today's policy."""
BATCH = 90
"""Documents in one transactional batch, of the hundred that it may have."""


class ConversationUnknown(ProblemError):
    """There is no such conversation, or it is another person's, or with an assistant that is not theirs to ask."""

    type = "not-found"
    detail = "There is no such conversation."


class Conversation(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    """That of its first request."""
    assistant: str
    team: str
    """Whose question began it."""
    title: str = ""
    """How its first question begins, as the guardrails left it."""
    created_at: Timestamp
    updated_at: Timestamp
    turns: int = 0
    asking: str
    """The latest request."""
    placeholders: dict[str, str] = {}
    """As in a request: the same person keeps a placeholder from turn to turn."""
    etag: str = Field(validation_alias="_etag", exclude=True)


class Said(BaseModel):
    """A question and its answer."""

    model_config = ConfigDict(hide_input_in_errors=True)

    request_id: str
    at: Timestamp
    question: str
    answer: str


async def begin(conversations: Items, request: Request) -> None:
    """A conversation with this request as its first. Does nothing the second time."""
    now = utc_text(utc_now())
    document = {
        "user": request.person.oid,
        "id": request.id,
        "type": "conversation",
        "v": 1,
        "assistant": request.assistant,
        "team": request.team,
        "title": "",
        "created_at": now,
        "updated_at": now,
        "turns": 0,
        "asking": request.id,
        "placeholders": {},
        "ttl": UNANSWERED_SECONDS,
    }
    with suppress(ItemExists):
        await conversations.create(document)


async def find(conversations: Items, owner: str, conversation_id: str) -> Conversation:
    """Raises :class:`ConversationUnknown`."""
    document = await conversations.read(conversation_id, owner)
    if document is None or document["type"] != "conversation":
        raise ConversationUnknown
    return Conversation.model_validate(document)


async def go_on(store: Store, conversation: Conversation, request: Request) -> Request:
    """The request with what was said before it, as the conversation's latest.

    Raises :class:`governance.changes.Conflict` while another question of the conversation has no answer yet,
    :class:`ConversationUnknown` if it is deleted meanwhile.
    """
    earlier = await requests.load(store.requests, conversation.asking)
    if earlier is not None and earlier.id != request.id:
        if not earlier.answerable:
            raise Conflict("The conversation's last question has no answer yet.")
        await keep_turn(store, earlier)
    try:
        now = await store.conversations.patch(
            conversation.id,
            request.person.oid,
            [put("/asking", request.id)],
            where=f"from c where c.asking = '{conversation.asking}'",
        )
    except ConditionFailed:
        raise Conflict("Another question is being asked in the conversation.") from None
    except ItemMissing:
        raise ConversationUnknown from None
    turns = [turn async for turn in _latest(store.conversations, request.person.oid, conversation.id)]
    return request.model_copy(update={"turns": turns[::-1], "placeholders": now["placeholders"]})


async def _latest(conversations: Items, owner: str, conversation_id: str) -> AsyncIterator[Turn]:
    """The latest turns, the last first: whole ones, as many as may go with a question."""
    room = MOST_CHARACTERS
    for said in await said_in(conversations, owner, conversation_id, limit=MOST_TURNS):
        room -= len(said.question) + len(said.answer)
        if room < 0:
            return
        yield Turn(role="assistant", content=said.answer)
        yield Turn(role="user", content=said.question)


async def said_in(
    conversations: Items, owner: str, conversation_id: str, *, limit: int, before: str | None = None
) -> list[Said]:
    """What was said, the last first; ``before``: only what was asked before that request."""
    query = f"""SELECT TOP {limit} * FROM c WHERE c.type = 'turn' AND c.conversation = @conversation
        AND c.request_id < @before ORDER BY c.request_id DESC"""  # noqa: S608 - a number; the values are parameters
    parameters = {"@conversation": conversation_id, "@before": before or "~"}
    return [Said.model_validate(each) async for each in conversations.query(query, parameters, partition=owner)]


async def keep_turn(store: Store, request: Request) -> None:
    """A question that was answered becomes a turn of its conversation, if that is still there and the answer may leave.

    Does nothing the second time.
    """
    if request.conversation is None or request.answer is None or request.checked_prompt is None:
        return
    ttl = round(timedelta(days=request.turn_days).total_seconds())
    turn = {
        "user": request.person.oid,
        "id": _turn_id(request.id),
        "type": "turn",
        "v": 1,
        "conversation": request.conversation,
        "request_id": request.id,
        "at": utc_text(request.created_at),
        "question": request.checked_prompt,
        "answer": request.answer,
        "ttl": ttl,
    }
    changes: list[dict[str, Any]] = [
        {"op": "incr", "path": "/turns", "value": 1},
        put("/updated_at", utc_text(utc_now())),
        put("/placeholders", request.placeholders),
        put("/ttl", ttl),
    ]
    if request.id == request.conversation:
        changes.append(put("/title", request.checked_prompt[:TITLE_CHARACTERS]))
    try:
        await store.conversations.batch(
            request.person.oid, [("create", (turn,)), ("patch", (request.conversation, changes))]
        )
    except BatchRefused as refused:
        if refused.status not in (404, 409):  # it is deleted; the turn is kept already
            raise
        return
    now = await requests.load(store.requests, request.id)
    if now is not None and now.state == "withheld":  # since it was loaded, by somebody who found no turn to drop
        await drop_turn(store.conversations, request)


async def drop_turn(conversations: Items, request: Request) -> None:
    """The answer is withheld, so it was never said. Does nothing the second time."""
    if request.conversation is None:
        return
    less = {"op": "incr", "path": "/turns", "value": -1}
    try:
        await conversations.batch(
            request.person.oid, [("delete", (_turn_id(request.id),)), ("patch", (request.conversation, [less]))]
        )
    except BatchRefused as refused:
        if refused.status != 404:
            raise


async def list_of(
    conversations: Items, owner: str, assistants: Collection[str], *, limit: int, before: str | None = None
) -> list[Conversation]:
    """Somebody's conversations with these assistants in which something was answered, the latest first; ``before``:
    not gone on with since that time."""
    query = f"""SELECT TOP {limit} * FROM c WHERE c.type = 'conversation' AND c.turns > 0
        AND ARRAY_CONTAINS(@assistants, c.assistant) AND c.updated_at < @before ORDER BY c.updated_at DESC"""  # noqa: S608 - a number; the values are parameters
    parameters = {"@assistants": sorted(assistants), "@before": before or "~"}
    return [Conversation.model_validate(each) async for each in conversations.query(query, parameters, partition=owner)]


async def delete(conversations: Items, owner: str, conversation: Conversation) -> int:
    """The conversation and its turns are gone; how many turns there were. An answer that is still made is not kept.

    If it fails half-way the conversation is still there, to be deleted again.
    """
    deleted = await _delete_turns(conversations, owner, conversation.id)
    with suppress(BatchRefused):  # by somebody else
        await conversations.batch(owner, [("delete", (conversation.id,))])
    return deleted + await _delete_turns(conversations, owner, conversation.id)  # one that came meanwhile


async def _delete_turns(conversations: Items, owner: str, conversation_id: str) -> int:
    query = f"""SELECT TOP {BATCH} VALUE c.id FROM c
        WHERE c.type = 'turn' AND c.conversation = @conversation"""  # noqa: S608 - a number; the value is a parameter
    parameters = {"@conversation": conversation_id}
    deleted = 0
    while ids := [str(each) async for each in conversations.query(query, parameters, partition=owner)]:
        try:
            await conversations.batch(owner, [("delete", (each,)) for each in ids])
        except BatchRefused as refused:
            if refused.status != 404:  # another call deletes them, too
                raise
        else:
            deleted += len(ids)
    return deleted


def _turn_id(request_id: str) -> str:
    return f"{request_id}:turn"
