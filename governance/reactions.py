"""Reactions: whether an answer was useful to the one who asked, for the team that owns the assistant (claims A2, F1).

A reaction is a document of its assistant's partition, under the id of the request, written with its event and with the
message for the queue ``feedback``. Its words are kept as the guardrails left them. Where many react at the same time,
what they say is written, told and put into the trail together: a burst takes a few operations a second.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from governance.audit import AuditEvent
from governance.changes import Conflict, Journal, Outdated, change_event
from governance.request import Request
from governance.telling import tell, telling_document
from services.bus import FEEDBACK
from services.clock import Timestamp, utc_now, utc_text
from services.documents import Document, Items
from services.together import Together

EDITABLE = timedelta(days=7)
KEPT_SECONDS = 400 * 86_400
"""A year and a month, so that a year can be compared with the one before."""
MOST_TOGETHER = 90
"""Reactions in one write, which has at most a hundred operations: theirs, their events' and their messages'."""
MOST_CHARACTERS = 40_000
"""Of all their words, up to twelve bytes each: in the reactions, the events and the messages, within a write's 2 MB."""
MOST_WORDS = 50
"""Texts in a view: the latest."""


class Wrong(StrEnum):
    """What went wrong."""

    INCORRECT = "incorrect"
    INCOMPLETE = "incomplete"
    UNCLEAR = "unclear"
    OFF_TOPIC = "off-topic"
    SOURCES = "sources"
    """It cites the wrong ones, or none."""
    REFUSED = "refused"
    """It was refused, and should not have been."""
    SLOW = "slow"
    OTHER = "other"


class Given(BaseModel):
    """What somebody says of an answer."""

    model_config = ConfigDict(extra="forbid")

    useful: bool
    minutes_saved: int | None = Field(default=None, ge=0, le=2_400)
    wrong: list[Wrong] = Field(default=[], max_length=len(Wrong))
    words: str = Field(default="", max_length=2_000)


class Reaction(Given):
    """A reaction, as it is kept."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str
    """The request's."""
    assistant: str
    assistant_version: int
    team: str
    """Of the one who asked."""
    person: str
    at: Timestamp
    changed_at: Timestamp
    revision: int = 1


class OfDay(BaseModel):
    day: date
    reactions: int = 0
    useful: int = 0
    minutes_saved: int = 0


class Words(BaseModel):
    """What somebody wrote; who, it does not say."""

    at: Timestamp
    useful: bool
    wrong: list[Wrong]
    words: str


class Feedback(BaseModel):
    """What people say of an assistant, over some days."""

    assistant: str
    days: int
    reactions: int
    useful: int
    minutes_saved: int
    wrong: dict[Wrong, int]
    by_day: list[OfDay]
    """The days with reactions, the first of them first: the trend."""
    words: list[Words]
    """The latest."""


class _Made(NamedTuple):
    reaction: Reaction
    event: AuditEvent


async def react(journal: Journal, request: Request, given: Given) -> Reaction:
    """The reaction of the one who asked, first or changed; the same again changes nothing.

    Where many react to the answers of one assistant at the same time, their first reactions are written together.

    Raises :class:`governance.changes.Conflict` when it can't be changed any more, and
    :class:`governance.changes.Outdated` if it changes at the same moment.
    """
    feedback, now = journal.store.feedback, utc_now()
    made = _made(request, given, None, now)
    try:
        await _first.add((journal, request.assistant), made)
    except Outdated:  # there is one: most have none, and are spared the look
        before = await feedback.read(request.id, request.assistant)
        if before is None:
            raise
        was = Reaction.model_validate(before)
        if _said(was) == given:
            return was
        if now - was.at > EDITABLE:
            raise Conflict(f"A reaction can be changed for {EDITABLE.days} days.") from None
        made = _made(request, given, was, now)
        telling = _telling([made.reaction])
        await journal.replace("feedback", before, _document(made.reaction), made.event, [telling])
        await tell(feedback, journal.bus, request.assistant, telling)
    return made.reaction


async def _write(place: tuple[Journal, str], made: Sequence[_Made]) -> list[Exception | None]:
    """First reactions to one assistant's answers: as many at once as fit."""
    outcomes = [await _write_together(place, some) for some in _that_fit(made)]
    return list(chain.from_iterable(outcomes))


def _that_fit(made: Sequence[_Made]) -> Iterator[list[_Made]]:
    some: list[_Made] = []
    characters = 0
    for each in made:
        more = len(each.reaction.words)
        if some and characters + more > MOST_CHARACTERS:
            yield some
            some, characters = [], 0
        some.append(each)
        characters += more
    yield some


async def _write_together(place: tuple[Journal, str], made: Sequence[_Made]) -> list[Exception | None]:
    """All at once, or each alone if there is one for any of them."""
    journal, assistant = place
    reactions = [each.reaction for each in made]
    telling = _telling(reactions)
    try:
        await journal.create_all("feedback", list(map(_document, reactions)), [each.event for each in made], [telling])
    except Outdated as error:
        if len(made) == 1:
            return [error]
        alone = await asyncio.gather(*(_write_together(place, [each]) for each in made))
        return list(chain.from_iterable(alone))
    await tell(journal.store.feedback, journal.bus, assistant, telling)
    return [None] * len(made)


_first = Together[tuple[Journal, str], _Made, None](_write, MOST_TOGETHER)


def _made(request: Request, given: Given, was: Reaction | None, now: datetime) -> _Made:
    """The reaction that takes the place of ``was``, and the event of it."""
    reaction = Reaction(
        **given.model_dump(),
        id=request.id,
        assistant=request.assistant,
        assistant_version=request.assistant_version,
        team=request.team,
        person=request.person.oid,
        at=was.at if was else now,
        changed_at=now,
        revision=was.revision + 1 if was else 1,
    )
    event = change_event(
        "reaction.set",
        actor=reaction.person,
        target=f"request:{request.id}",
        reason="",
        Team=request.team,
        Assistant=request.assistant,
        AssistantVersion=request.assistant_version,
        RequestId=request.id,
        Before=_said(was).model_dump(mode="json") if was else {},
        After=given.model_dump(mode="json"),
    )
    return _Made(reaction, event)


def _said(reaction: Reaction) -> Given:
    return Given.model_validate(reaction.model_dump(include=set(Given.model_fields)))


def _document(reaction: Reaction) -> Document:
    return {**reaction.model_dump(mode="json"), "type": "reaction", "v": 1, "ttl": KEPT_SECONDS}


def _telling(reactions: Sequence[Reaction]) -> Document:
    """What is to be told of them: who said it is not in there, and what they wrote is."""
    messages = []
    for each in reactions:
        told = each.model_dump(mode="json", exclude={"person"})
        body = {"v": 1, "request_id": told.pop("id"), **told}
        messages.append({"queue": FEEDBACK, "id": f"{each.id}:{each.revision}", "body": body})
    return telling_document({"assistant": reactions[0].assistant}, messages)


async def feedback_on(feedback: Items, assistant: str, days: int, now: datetime) -> Feedback:
    """Of the last ``days``, today included."""
    since = now - timedelta(days=days)
    query = "SELECT * FROM c WHERE c.type = 'reaction' AND c.at >= @since"
    found = feedback.query(query, {"@since": utc_text(since)}, partition=assistant)
    reactions = sorted([Reaction.model_validate(each) async for each in found], key=lambda each: each.at)
    by_day: dict[date, OfDay] = {}
    wrong: dict[Wrong, int] = {}
    for each in reactions:
        day = by_day.setdefault(each.at.date(), OfDay(day=each.at.date()))
        day.reactions += 1
        day.useful += each.useful
        day.minutes_saved += each.minutes_saved or 0
        for kind in set(each.wrong):
            wrong[kind] = wrong.get(kind, 0) + 1
    return Feedback(
        assistant=assistant,
        days=days,
        reactions=len(reactions),
        useful=sum(each.useful for each in by_day.values()),
        minutes_saved=sum(each.minutes_saved for each in by_day.values()),
        wrong=dict(sorted(wrong.items())),
        by_day=list(by_day.values()),
        words=[
            Words(at=each.at, useful=each.useful, wrong=each.wrong, words=each.words)
            for each in reversed(reactions)
            if each.words
        ][:MOST_WORDS],
    )
