"""Service Bus triggers: receives messages with Microsoft's SDK, invokes the function, settles.

A message is completed when its function returned, abandoned when it raised; its lock is renewed while it runs. A
message that can't be settled (the broker is away, the lock is lost) is left to be delivered again. As in Azure,
messages come singly and ``maxConcurrentCalls`` at a time, or, with cardinality "many", in one batch after the other.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver

from local.host import hostjson, messages
from local.host.hostjson import Refused
from local.host.worker import Function, FunctionFailed, Worker

log = logging.getLogger("local.host")

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 5.0
"""Seconds between attempts to reach the broker."""

_RETRIES: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.1, "retry_backoff_max": 2}
"""The SDK's own retries, quicker than their default: the broker is on this machine."""

_SOCKET_TIMEOUT = 0.05
"""How long the SDK waits for a frame before it lets others use the connection, in seconds. Its default of 0.2 is what a
settlement may have to wait while a message is awaited, and the other way round; 0.01 keeps a twentieth of a CPU busy
looking, where nothing comes."""

_BATCH_GAP = 0.005
"""A batch is what is there when the first message has come: a gap this long, in seconds, ends it."""


class Pump:
    """Feeds one function from its queue. Raises :class:`~local.host.hostjson.Refused` for triggers not served here."""

    def __init__(self, worker: Worker, function: Function, settings: hostjson.ServiceBus) -> None:
        trigger = function.trigger
        if trigger.get("isSessionsEnabled"):
            raise Refused(f"{function.name}: triggers with sessions are not served")
        if not trigger.get("queueName"):
            raise Refused(f"{function.name}: topics are not served, only queues")
        self._worker = worker
        self._function = function
        self._settings = settings
        self._queue = hostjson.resolved(trigger["queueName"])
        self._connection = hostjson.resolved(trigger.get("connection") or "AzureWebJobsServiceBus")
        if not {self._connection, f"{self._connection}__fullyQualifiedNamespace"} & os.environ.keys():
            raise Refused(
                f"{function.name}: neither {self._connection} nor {self._connection}__fullyQualifiedNamespace is set"
            )
        self._many = str(trigger.get("cardinality") or "one").casefold() == "many"
        self._running: set[asyncio.Task[None]] = set()
        self.opened = asyncio.Event()
        """Set when the queue was reached for the first time."""

    async def run(self, grace: float) -> None:
        """Pump until cancelled; then what is running may finish, for ``grace`` seconds at most.

        While the broker is away functions run on; what they did is then not settled, and comes again.
        """
        backoff = _FIRST_BACKOFF
        while True:
            try:
                async with self._receiver() as receiver:
                    self.opened.set()
                    backoff = _FIRST_BACKOFF
                    await self._pump(receiver, grace)
            except Exception as error:
                log.warning("%s: the queue %s is away (%s)", self._function.name, self._queue, type(error).__name__)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    @asynccontextmanager
    async def _receiver(self) -> AsyncIterator[ServiceBusReceiver]:
        async with (
            _client(self._connection) as client,
            client.get_queue_receiver(
                self._queue, prefetch_count=self._settings.prefetch_count, socket_timeout=_SOCKET_TIMEOUT
            ) as receiver,
        ):
            yield receiver

    async def _pump(self, receiver: ServiceBusReceiver, grace: float) -> None:
        renewer = AutoLockRenewer(self._settings.max_auto_lock_renewal_duration.total_seconds())

        async def receive() -> ServiceBusReceivedMessage:
            message = await anext(receiver)
            renewer.register(receiver, message)
            return message

        try:
            await (self._batches(receiver, receive) if self._many else self._singles(receiver, receive))
        except asyncio.CancelledError:
            if self._running:
                await asyncio.wait(self._running, timeout=grace)
            for task in self._running:
                task.cancel()
            raise
        finally:
            await renewer.close()

    async def _singles(
        self, receiver: ServiceBusReceiver, receive: Callable[[], Awaitable[ServiceBusReceivedMessage]]
    ) -> None:
        slots = asyncio.Semaphore(self._settings.max_concurrent_calls)
        while True:
            await slots.acquire()
            message = await receive()
            self._start(receiver, [message]).add_done_callback(lambda _: slots.release())

    async def _batches(
        self, receiver: ServiceBusReceiver, receive: Callable[[], Awaitable[ServiceBusReceivedMessage]]
    ) -> None:
        coming = asyncio.ensure_future(receive())
        try:
            while True:
                batch = [await coming]
                coming = asyncio.ensure_future(receive())
                while len(batch) < self._settings.max_message_batch_size:
                    await asyncio.wait({coming}, timeout=_BATCH_GAP)
                    if not coming.done() or coming.exception():
                        break
                    batch.append(coming.result())
                    coming = asyncio.ensure_future(receive())
                await asyncio.wait({self._start(receiver, batch)})
        finally:
            coming.cancel()
            await asyncio.wait({coming})
            if not coming.cancelled() and not coming.exception():
                await _settle(receiver.abandon_message, [coming.result()])  # taken, and not begun

    def _start(self, receiver: ServiceBusReceiver, batch: Sequence[ServiceBusReceivedMessage]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._handle(receiver, batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _handle(self, receiver: ServiceBusReceiver, batch: Sequence[ServiceBusReceivedMessage]) -> None:
        data, metadata = messages.many(batch) if self._many else messages.one(batch[0])
        try:
            await self._worker.invoke(self._function, data, metadata, messages.traceparent(batch[0]))
            settle = receiver.complete_message
        except FunctionFailed:
            settle = receiver.abandon_message
        await _settle(settle, batch)


async def _settle(
    settle: Callable[[ServiceBusReceivedMessage], Awaitable[None]], batch: Sequence[ServiceBusReceivedMessage]
) -> None:
    for settled in await asyncio.gather(*map(settle, batch), return_exceptions=True):
        if isinstance(settled, Exception):
            log.warning("a message was not settled, it will come again (%s)", type(settled).__name__)


@asynccontextmanager
async def _client(connection: str) -> AsyncIterator[ServiceBusClient]:
    """A client for the connection that a binding names: its app setting holds a connection string, or
    ``<name>__fullyQualifiedNamespace`` the namespace, for the app's own identity.

    https://learn.microsoft.com/azure/azure-functions/functions-reference#connections
    """
    if text := os.environ.get(connection):
        async with ServiceBusClient.from_connection_string(text, **_RETRIES) as client:
            yield client
        return
    namespace = os.environ[f"{connection}__fullyQualifiedNamespace"]
    async with DefaultAzureCredential() as credential, ServiceBusClient(namespace, credential, **_RETRIES) as client:
        yield client
