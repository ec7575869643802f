"""Service Bus: which queues there are, and sending to them.

Senders stay open for the life of the process (opening one costs the SDK about half a second).
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Required, TypedDict, Unpack

from azure.core.credentials_async import AsyncTokenCredential
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

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
CLOSE_SECONDS = 2.0
SDK_RETRIES = 1
"""Enough for a link that the broker closed while it idled; whoever sends has the rest of the retries."""


class BusUnavailable(Exception):
    """Service Bus did not take a message, or did not say."""


def bus_client(connection: str | None, namespace: str | None, credential: AsyncTokenCredential) -> ServiceBusClient:
    """By connection string if there is one, else by identity: the two forms of a Functions connection setting."""
    if connection:
        return ServiceBusClient.from_connection_string(connection, retry_total=SDK_RETRIES)
    assert namespace
    return ServiceBusClient(namespace, credential, retry_total=SDK_RETRIES)


GONE_WRONG = (ServiceBusError, TimeoutError, OSError, ValueError)
"""All that the SDK raises where Service Bus is away, says no or says nothing."""


@contextlib.asynccontextmanager
async def within(seconds: float, queue: str) -> AsyncIterator[None]:
    """Raises :class:`BusUnavailable` for whatever goes wrong inside, and when the time is up."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except GONE_WRONG as error:
        raise BusUnavailable(f"{queue}: {type(error).__name__}") from None


class Properties(TypedDict, total=False):
    """What a message has beside its body."""

    message_id: Required[str]
    session_id: str | None
    correlation_id: str
    reply_to_session_id: str | None
    time_to_live: timedelta
    application_properties: dict[str | bytes, Any] | None


def message_of(body: dict[str, Any], **properties: Unpack[Properties]) -> ServiceBusMessage:
    """The body as JSON."""
    return ServiceBusMessage(json.dumps(body), content_type="application/json", **properties)


class Bus:
    """Sends messages: a small JSON body with ids, never content, but for the rows on ``audit-rejected``."""

    def __init__(self, client: ServiceBusClient) -> None:
        self.client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        """The SDK's senders are not coroutine-safe: one message at a time goes through each."""

    async def send(self, queue: str, body: dict[str, Any], **properties: Unpack[Properties]) -> None:
        """Returns when the broker has the message. Raises :class:`BusUnavailable`."""
        await self.put(queue, message_of(body, **properties))

    async def put(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Messages that are whole already, all of them or none. Returns and raises as :meth:`send`.

        Together they must be within the size of one (1 MB); on a queue with sessions they are of the same one.
        """
        turn = self._turns.setdefault(queue, asyncio.Lock())
        async with within(SEND_TIMEOUT_SECONDS, queue), turn:  # the wait for its turn included
            await self._send(queue, messages)

    async def _send(self, queue: str, messages: Sequence[ServiceBusMessage]) -> None:
        try:
            if queue not in self._senders:
                self._senders[queue] = await self.client.get_queue_sender(queue).__aenter__()
            await self._senders[queue].send_messages(messages[0] if len(messages) == 1 else list(messages))
        except BaseException:
            await self._forget(queue)
            raise

    async def _forget(self, queue: str) -> None:
        """The next send opens a new sender: a closed one never opens again."""
        sender = self._senders.pop(queue, None)
        if sender is not None:
            with contextlib.suppress(*GONE_WRONG):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await sender.close()
