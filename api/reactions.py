"""What people say of the answers that they got, and the view of it that the team has that owns the assistant."""

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from api.own import asked_by, policies_of
from api.words import redacted
from governance.access import Role
from governance.reactions import Feedback, Given, Wrong, feedback_on, react
from routing.assistants import AssistantUnknown
from routing.publishing import find_managed
from services.clock import Timestamp, utc_now

bp = df.Blueprint()

PUBLISHERS = (Role.PUBLISHER,)


class NewReaction(Given):
    """Whether the answer was useful, and what went wrong."""


class ReactionKept(BaseModel):
    """A reaction, its words as the guardrails left them."""

    request_id: str
    useful: bool
    minutes_saved: int | None
    wrong: list[Wrong]
    words: str
    at: Timestamp
    changed_at: Timestamp


class Period(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int = Field(default=30, ge=1, le=366)


@operation(bp, "POST", "requests/{request_id}/reaction", body=NewReaction, answers={200: ReactionKept}, patient=True)
async def set_reaction(call: Call[NewReaction]) -> Reply:
    """Say whether the answer to one's own question was useful; again within seven days changes it."""
    request = await asked_by(call)
    asked = await call.body()
    config = call.services.store.config
    words = await redacted(config, asked.words, await policies_of(config, request)) if asked.words.strip() else ""
    given = Given.model_validate({**asked.model_dump(), "words": words})
    kept = await react(call.journal, request, given)
    return Reply(ReactionKept(request_id=kept.id, **kept.model_dump(include=set(ReactionKept.model_fields))))


@operation(
    bp,
    "GET",
    "assistants/{assistant_id}/feedback",
    query=Period,
    answers={200: Feedback},
    roles=PUBLISHERS,
    outside=AssistantUnknown,
)
async def get_feedback(call: Call[None]) -> Reply:
    """What people say of an assistant, for the publishers of the team that owns it; who said it is not in there."""
    assistant = call.path("assistant_id")
    await find_managed(call.services.store.config, assistant, call.access.scope(*PUBLISHERS))
    days = call.query(Period).days
    return Reply(await feedback_on(call.services.store.feedback, assistant, days, utc_now()))
