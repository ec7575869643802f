"""What is in the queues: how much waits, what was given up, and how that is brought back."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Iterable

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusReceiver
from pydantic import BaseModel

from services.bus import CLOSE_SECONDS, GONE_WRONG, WITH_SESSIONS, Bus, within
from services.clock import Timestamp

COUNT_TIMEOUT_SECONDS = 10.0
MOST_COUNTED = 1000
REDRIVE_SECONDS = 60.0
NO_MORE_SECONDS = 2.0
"""After so long without a dead letter none is left that may be had: others may be held by somebody else."""
RECEIVED_AT_ONCE = 100


class Depth(BaseModel):
    """How many messages a queue has."""

    messages: int | None
    """Waiting, scheduled or being worked on; null for a queue with sessions, which can't be counted."""
    dead_letters: int
    at_least: bool
    """There are more than are counted, which is :data:`MOST_COUNTED` of each."""


class DeadLetter(BaseModel):
    """A message that its queue gave up: what it is about, and never what else is in it."""

    sequence_number: int
    """By which it is known in its queue."""
    message_id: str
    session_id: str | None
    about: dict[str, str]
    """The ids that it carries: a request's, a document's, where an event is kept."""
    enqueued_at: Timestamp
    deliveries: int
    reason: str
    """Service Bus's, such as `MaxDeliveryCountExceeded`, or of whoever put it there."""


IDS = (
    "request_id", "request", "container", "partition", "id", "collection", "document", "version", "escalation", "alert",
)  # fmt: skip
"""What the members of a message's body are called that are ids and nothing else."""
SHOWN_CHARACTERS = 200
"""Of an id or a reason."""


async def depth(bus: Bus, queue: str) -> Depth:
    """Counts by peeking, which takes and locks nothing, and needs no right but to receive.

    Of a queue with sessions only the dead letters, which have none: the SDK peeks through a receiver, and one of a
    queue with sessions holds a session.

    Raises :class:`services.bus.BusUnavailable`. https://learn.microsoft.com/azure/service-bus-messaging/message-browsing
    """
    parts: list[ServiceBusSubQueue | None] = [ServiceBusSubQueue.DEAD_LETTER]
    if queue not in WITH_SESSIONS:
        parts.append(None)
    dead, *messages = await asyncio.gather(*(_count(bus, queue, part) for part in parts))
    return Depth(
        messages=min(messages[0], MOST_COUNTED) if messages else None,
        dead_letters=min(dead, MOST_COUNTED),
        at_least=max(dead, *messages, 0) > MOST_COUNTED,
    )


async def glance(bus: Bus, queue: str) -> None:
    """Whether Service Bus answers: it is asked what comes first in a queue.

    Raises :class:`services.bus.BusUnavailable`.
    """
    async with within(COUNT_TIMEOUT_SECONDS, queue), bus.client.get_queue_receiver(queue) as receiver:
        await receiver.peek_messages(1)


async def _count(bus: Bus, queue: str, sub_queue: ServiceBusSubQueue | None) -> int:
    """The number of messages, or one more than are counted."""
    count = 0
    async with (
        within(COUNT_TIMEOUT_SECONDS, queue),
        bus.client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver,
    ):
        # Service Bus shows as many at once as it likes; a receiver goes on where it was.
        while count <= MOST_COUNTED and (shown := await receiver.peek_messages(MOST_COUNTED + 1 - count)):
            count += len(shown)
    return count


async def dead_letters(bus: Bus, queue: str, *, after: int = 0, limit: int) -> list[DeadLetter]:
    """The oldest, from behind a sequence number on; nothing is taken or locked.

    Raises :class:`services.bus.BusUnavailable`.
    """
    found: list[DeadLetter] = []
    async with within(COUNT_TIMEOUT_SECONDS, queue), _dead(bus, queue) as receiver:
        # Service Bus shows as many at once as it likes.
        while len(found) < limit and (
            shown := await receiver.peek_messages(limit - len(found), sequence_number=after + 1)
        ):
            found += map(_dead_letter, shown)
            after = found[-1].sequence_number
    return found


async def redrive(bus: Bus, queue: str, numbers: Collection[int]) -> list[int]:
    """Brings dead letters back to the end of their queue, each taken away once the queue has it.

    Should that break off between the two, the dead letter is still there: brought back again it has the same new
    id, so that a queue that knows repeats takes it once within its time, and whoever handles it must not mind
    afterwards. Returns the sequence numbers of those that were brought back: one that is gone, or that somebody
    else holds, is not among them. Raises :class:`services.bus.BusUnavailable`.
    """
    wanted, brought = set(numbers), list[int]()
    async with within(REDRIVE_SECONDS, queue), _dead(bus, queue) as receiver:
        held: dict[int, ServiceBusReceivedMessage] = {}
        try:
            while wanted and (
                received := await receiver.receive_messages(RECEIVED_AT_ONCE, max_wait_time=NO_MORE_SECONDS)
            ):
                held |= {message.sequence_number or 0: message for message in received}
                for number in sorted(wanted & held.keys()):
                    await bus.put(queue, _alive_again(held[number]))
                    await receiver.complete_message(held.pop(number))
                    wanted.discard(number)
                    brought.append(number)
        finally:
            await _let_go(receiver, held.values())
    return brought


def _dead(bus: Bus, queue: str) -> ServiceBusReceiver:
    return bus.client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)


def _dead_letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    assert message.sequence_number is not None, "Service Bus numbers every message"
    assert message.enqueued_time_utc is not None
    return DeadLetter(
        sequence_number=message.sequence_number,
        message_id=str(message.message_id or "")[:SHOWN_CHARACTERS],
        session_id=message.session_id,
        about=_ids_in(message),
        enqueued_at=message.enqueued_time_utc,
        deliveries=message.delivery_count or 0,
        reason=(message.dead_letter_reason or "")[:SHOWN_CHARACTERS],
    )


async def _let_go(receiver: ServiceBusReceiver, messages: Iterable[ServiceBusReceivedMessage]) -> None:
    """So that the next who asks need not wait for their locks to end. Where that fails they do."""
    with contextlib.suppress(*GONE_WRONG):
        async with asyncio.timeout(CLOSE_SECONDS):
            for message in messages:
                await receiver.abandon_message(message)


def _ids_in(message: ServiceBusReceivedMessage) -> dict[str, str]:
    try:
        body = json.loads(_bytes_of(message))
    except (ValueError, TypeError):
        return {}
    if not isinstance(body, dict):
        return {}
    return {name: body[name][:SHOWN_CHARACTERS] for name in IDS if isinstance(body.get(name), str)}


def _bytes_of(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


def _alive_again(message: ServiceBusReceivedMessage) -> ServiceBusMessage:
    """The message, to be sent once more: in its session, under an id that is the same however often it is sent.

    Under its first id a queue that detects repeats would take it for one, and drop it. Its life begins anew.
    """
    said = dict(message.application_properties or {})
    for name in ("DeadLetterReason", "DeadLetterErrorDescription"):
        said.pop(name, None)
        said.pop(name.encode(), None)
    first_id = str(message.message_id or "").partition("~")[0]
    return ServiceBusMessage(
        _bytes_of(message),
        message_id=f"{first_id[:100]}~{message.sequence_number}",
        session_id=message.session_id,
        correlation_id=message.correlation_id,
        reply_to_session_id=message.reply_to_session_id,
        content_type=message.content_type,
        application_properties=said,
    )
