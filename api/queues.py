"""The queues: how much waits in each, what each gave up, and IT Operations' way to bring that back."""

import asyncio
from typing import Annotated

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field

from api.operation import Call, Reply, operation
from api.reason import Reason
from api.support import OBSERVERS, require_observer
from governance import dead_letters
from governance.access import Role
from governance.dead_letters import MOST_BROUGHT_BACK, known_queue
from services import queues
from services.bus import QUEUES
from services.queues import DeadLetter, Depth

bp = df.Blueprint()

OPERATORS = (Role.IT_OPS,)


class Queue(Depth):
    name: str


class Queues(BaseModel):
    queues: list[Queue]


class Page(BaseModel):
    """Which dead letters are listed."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0, lt=2**63 - 1)
    """Those behind this sequence number."""
    limit: int = Field(default=100, ge=1, le=500)


class DeadLetters(BaseModel):
    dead_letters: list[DeadLetter]
    """The oldest first."""
    after: int | None
    """Ask for those after it, if it is there."""


class BringBack(Reason):
    sequence_numbers: Annotated[list[int], Field(min_length=1, max_length=MOST_BROUGHT_BACK)] | None = None
    """Which; if it is not said, the oldest hundred."""


class BroughtBack(BaseModel):
    sequence_numbers: list[int]
    left: int
    """How many dead letters are still there, of the oldest thousand."""


@operation(bp, "GET", "queues", answers={200: Queues}, roles=OBSERVERS, support=True)
async def get_queues(call: Call[None]) -> Reply:
    """How much is waiting in each queue, and how much was given up."""
    require_observer(call)
    depths = await asyncio.gather(*(queues.depth(call.services.bus, name) for name in QUEUES))
    return Reply(
        Queues(queues=[Queue(name=name, **depth.model_dump()) for name, depth in zip(QUEUES, depths, strict=True)])
    )


@operation(bp, "GET", "queues/{name}/dead-letters", answers={200: DeadLetters}, query=Page, roles=OPERATORS)
async def list_dead_letters(call: Call[None]) -> Reply:
    """What a queue gave up: ids, when it came and why it was given up; nothing of what else a message holds."""
    call.access.require(*OPERATORS, team=None)
    page, queue = call.query(Page), known_queue(call.path("name"))
    found = await queues.dead_letters(call.services.bus, queue, after=page.after, limit=page.limit)
    last = found[-1].sequence_number if len(found) == page.limit else None
    return Reply(DeadLetters(dead_letters=found, after=last))


@operation(bp, "POST", "queues/{name}/dead-letters", body=BringBack, answers={200: BroughtBack}, roles=OPERATORS)
async def redrive_dead_letters(call: Call[BringBack]) -> Reply:
    """Bring dead letters back to their queue, some or the oldest hundred; to do it again is safe."""
    call.access.require(*OPERATORS, team=None)
    asked, queue = await call.body(), known_queue(call.path("name"))
    numbers, left = await dead_letters.redrive(
        call.journal, queue, asked.sequence_numbers, actor=call.caller.oid, reason=asked.reason
    )
    return Reply(BroughtBack(sequence_numbers=numbers, left=left))
