"""Dead letters: messages that a queue gave up, brought back by IT Operations when what was wrong is mended.

That is safe as often as it is done, since whoever handles a message may get it more than once anyway: a request is
started only while it is queued, an event is uploaded only while it is pending, a document's version is indexed once.
"""

from collections.abc import Collection
from typing import NamedTuple

from governance.audit import NOTES
from governance.changes import Journal, change_event
from governance.problems import ProblemError
from services import queues
from services.bus import QUEUES
from services.queues import MOST_COUNTED

MOST_BROUGHT_BACK = 100
"""At once."""


class QueueUnknown(ProblemError):
    """There is no such queue."""

    type = "not-found"
    detail = "There is no such queue."


class Redriven(NamedTuple):
    numbers: list[int]
    """Sequence numbers of the dead letters that were brought back."""
    left: int
    """How many are still there, of the oldest :data:`services.queues.MOST_COUNTED`."""


def known_queue(name: str) -> str:
    """Raises :class:`QueueUnknown`."""
    if name not in QUEUES:
        raise QueueUnknown
    return name


async def redrive(
    journal: Journal, queue: str, numbers: Collection[int] | None, *, actor: str, reason: str
) -> Redriven:
    """Brings these dead letters back, or the oldest, :data:`MOST_BROUGHT_BACK` at once; the trail says so before.

    Where there is none of them nothing is done or said. Raises :class:`services.bus.BusUnavailable`: some may then have
    been brought back, and to ask again is safe.
    """
    found = await queues.dead_letters(journal.bus, queue, limit=MOST_COUNTED)
    chosen = [each for each in found if numbers is None or each.sequence_number in numbers][:MOST_BROUGHT_BACK]
    if not chosen:
        return Redriven([], len(found))
    told = [each.model_dump(include={"sequence_number", "message_id", "reason"}) for each in chosen]
    event = change_event(
        "queue.redrive", actor=actor, target=f"queue:{queue}", reason=reason, After={"dead_letters": told}
    )
    await journal.note("config", NOTES, event)
    brought = await queues.redrive(journal.bus, queue, [each.sequence_number for each in chosen])
    return Redriven(brought, len(found) - len(brought))
