"""Replies: the one session receiver that brings this process the answers that it waits for."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta

from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver

from services.bus import REPLIES

log = logging.getLogger(__name__)

REPLY_TTL = timedelta(minutes=5)
_REOPEN_SECONDS = 1.0
_OPEN_SECONDS = 3.0


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
