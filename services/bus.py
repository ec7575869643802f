"""Service Bus: sending, the one session receiver that brings this process its replies, and the dead letters.

Senders stay open for the life of the process (opening one costs the SDK about half a second).
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError
from pydantic import BaseModel

from services.clock import Timestamp

log = logging.getLogger(__name__)

REQUESTS = "requests"
AUDIT = "audit"
REPLIES = "replies"
DOCUMENTS = "documents"
FEEDBACK = "feedback"
"""What people say of answers, for whoever takes it: nothing of the product's."""
ESCALATIONS = "escalations"
"""Reports, for IT Operations' own receiver: sessions are assistants."""
ALERTS = "alerts"
"""What the webhook is to be told of an escalation."""
AUDIT_REJECTED = "audit-rejected"
"""Rows that Log Analytics does not take, whole, for a person to look at."""
QUEUES = (REQUESTS, DOCUMENTS, AUDIT, AUDIT_REJECTED, REPLIES, FEEDBACK, ESCALATIONS, ALERTS)
"""All there are."""
WITH_SESSIONS = frozenset({REPLIES, ESCALATIONS})

SEND_TIMEOUT_SECONDS = 20.0
COUNT_TIMEOUT_SECONDS = 10.0
MOST_COUNTED = 1000
REDRIVE_SECONDS = 60.0
NO_MORE_SECONDS = 2.0
"""After so long without a dead letter none is left that may be had: others may be held by somebody else."""
RECEIVED_AT_ONCE = 100
CLOSE_SECONDS = 2.0
SDK_RETRIES = 1
"""Enough for a link that the broker closed while it idled; whoever sends has the rest of the retries."""
REPLY_TTL = timedelta(minutes=5)
_REOPEN_SECONDS = 1.0
_OPEN_SECONDS = 3.0


class BusUnavailable(Exception):
    """Service Bus did not take a message, or did not say."""


def bus_client(connection: str | None, namespace: str | None, credential: AsyncTokenCredential) -> ServiceBusClient:
    """By connection string if there is one, else by identity: the two forms of a Functions connection setting."""
    if connection:
        return ServiceBusClient.from_connection_string(connection, retry_total=SDK_RETRIES)
    assert namespace
    return ServiceBusClient(namespace, credential, retry_total=SDK_RETRIES)


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


class Bus:
    """Sends messages: a small JSON body with ids, never content, but for the rows on ``audit-rejected``."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        """The SDK's senders are not coroutine-safe: one message at a time goes through each."""

    async def send(
        self,
        queue: str,
        body: dict[str, Any],
        *,
        message_id: str,
        session_id: str | None = None,
        correlation_id: str | None = None,
        reply_to_session_id: str | None = None,
        time_to_live: timedelta | None = None,
        properties: dict[str | bytes, Any] | None = None,
    ) -> None:
        """Returns when the broker has the message. Raises :class:`BusUnavailable`."""
        message = ServiceBusMessage(
            json.dumps(body),
            message_id=message_id,
            session_id=session_id,
            correlation_id=correlation_id,
            reply_to_session_id=reply_to_session_id,
            time_to_live=time_to_live,
            content_type="application/json",
            application_properties=properties,
        )
        await self._in_turn(queue, message)

    async def _in_turn(self, queue: str, message: ServiceBusMessage) -> None:
        turn = self._turns.setdefault(queue, asyncio.Lock())
        try:
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS), turn:  # the wait for its turn included
                await self._send(queue, message)
        except (ServiceBusError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailable(f"{queue}: {type(error).__name__}") from None

    async def _send(self, queue: str, message: ServiceBusMessage) -> None:
        try:
            if queue not in self._senders:
                self._senders[queue] = await self._client.get_queue_sender(queue).__aenter__()
            await self._senders[queue].send_messages(message)
        except BaseException:
            await self._forget(queue)
            raise

    async def depth(self, queue: str) -> Depth:
        """Counts by peeking, which takes and locks nothing, and needs no right but to receive.

        Of a queue with sessions only the dead letters, which have none: the SDK peeks through a receiver, and one of a
        queue with sessions holds a session.

        Raises :class:`BusUnavailable`. https://learn.microsoft.com/azure/service-bus-messaging/message-browsing
        """
        parts: list[ServiceBusSubQueue | None] = [ServiceBusSubQueue.DEAD_LETTER]
        if queue not in WITH_SESSIONS:
            parts.append(None)
        dead, *messages = await asyncio.gather(*(self._count(queue, part) for part in parts))
        return Depth(
            messages=min(messages[0], MOST_COUNTED) if messages else None,
            dead_letters=min(dead, MOST_COUNTED),
            at_least=max(dead, *messages, 0) > MOST_COUNTED,
        )

    async def glance(self, queue: str) -> None:
        """Whether Service Bus answers: it is asked what comes first in a queue. Raises :class:`BusUnavailable`."""
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_SECONDS), self._client.get_queue_receiver(queue) as receiver:
                await receiver.peek_messages(1)
        except (ServiceBusError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailable(f"{queue}: {type(error).__name__}") from None

    async def _count(self, queue: str, sub_queue: ServiceBusSubQueue | None) -> int:
        """The number of messages, or one more than are counted."""
        count = 0
        try:
            async with (
                asyncio.timeout(COUNT_TIMEOUT_SECONDS),
                self._client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver,
            ):
                # Service Bus shows as many at once as it likes; a receiver goes on where it was.
                while count <= MOST_COUNTED and (shown := await receiver.peek_messages(MOST_COUNTED + 1 - count)):
                    count += len(shown)
        except (ServiceBusError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailable(f"{queue}: {type(error).__name__}") from None
        return count

    async def dead_letters(self, queue: str, *, after: int = 0, limit: int) -> list[DeadLetter]:
        """The oldest, from behind a sequence number on; nothing is taken or locked. Raises :class:`BusUnavailable`."""
        found: list[DeadLetter] = []
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_SECONDS), self._dead(queue) as receiver:
                # Service Bus shows as many at once as it likes.
                while len(found) < limit and (
                    shown := await receiver.peek_messages(limit - len(found), sequence_number=after + 1)
                ):
                    found += map(_dead_letter, shown)
                    after = found[-1].sequence_number
        except (ServiceBusError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailable(f"{queue}: {type(error).__name__}") from None
        return found

    async def redrive(self, queue: str, numbers: Collection[int]) -> list[int]:
        """Brings dead letters back to the end of their queue, each taken away once the queue has it.

        Should that break off between the two, the dead letter is still there: brought back again it has the same new
        id, so that a queue that knows repeats takes it once within its time, and whoever handles it must not mind
        afterwards. Returns the sequence numbers of those that were brought back: one that is gone, or that somebody
        else holds, is not among them. Raises :class:`BusUnavailable`.
        """
        wanted, brought = set(numbers), list[int]()
        try:
            async with asyncio.timeout(REDRIVE_SECONDS), self._dead(queue) as receiver:
                held: dict[int, ServiceBusReceivedMessage] = {}
                try:
                    while wanted and (
                        received := await receiver.receive_messages(RECEIVED_AT_ONCE, max_wait_time=NO_MORE_SECONDS)
                    ):
                        held |= {message.sequence_number or 0: message for message in received}
                        for number in sorted(wanted & held.keys()):
                            await self._in_turn(queue, _alive_again(held[number]))
                            await receiver.complete_message(held.pop(number))
                            wanted.discard(number)
                            brought.append(number)
                finally:
                    await _let_go(receiver, held.values())
        except (ServiceBusError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailable(f"{queue}: {type(error).__name__}") from None
        return brought

    def _dead(self, queue: str) -> ServiceBusReceiver:
        return self._client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    async def _forget(self, queue: str) -> None:
        """The next send opens a new sender: a closed one never opens again."""
        sender = self._senders.pop(queue, None)
        if sender is not None:
            with contextlib.suppress(ServiceBusError, TimeoutError, OSError, ValueError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await sender.close()


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
    with contextlib.suppress(ServiceBusError, TimeoutError, OSError, ValueError):
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


class Replies:
    """This process's session on ``replies``: hands each reply to whoever waits for its correlation id.

    The session id is a random UUID of the process and changes when the session is lost, so that two processes, or
    one that died and came back, never share a session lock. A reply that is missed is no loss: the request's
    document says the same.
    """

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.session_id = str(uuid.uuid4())

    async def session(self) -> str | None:
        """The session to have replies sent to; the first call opens it. None while there is no open session."""
        if self._task is None:
            self._task = asyncio.create_task(self._receive_for_ever(), name="replies")
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            return None
        return self.session_id

    @contextlib.contextmanager
    def expecting(self, correlation_id: str) -> Iterator[asyncio.Event]:
        """An event that is set by each reply that comes. Enter before the request is sent."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(correlation_id, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(correlation_id, None)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _receive_for_ever(self) -> None:
        while True:
            try:
                async with (
                    self._client.get_queue_receiver(REPLIES, session_id=self.session_id, prefetch_count=50) as receiver,
                    AutoLockRenewer(max_lock_renewal_duration=24 * 3600) as renewer,
                ):
                    renewer.register(receiver, receiver.session)
                    self._ready.set()
                    await self._receive(receiver)
            except Exception as error:
                # Whatever it is: without this loop every request would wait for its poll.
                log.warning("the reply session was lost (%s); a new one is opened", type(error).__name__)
            # Waiters on the lost session find their answer in the request's document.
            self._ready.clear()
            self.session_id = str(uuid.uuid4())
            await asyncio.sleep(_REOPEN_SECONDS)

    async def _receive(self, receiver: ServiceBusReceiver) -> None:
        async for message in receiver:
            for event in self._waiting.get(message.correlation_id or "", ()):
                event.set()
            await receiver.complete_message(message)
