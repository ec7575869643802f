"""A queue: peek-lock, sessions, duplicate detection, time to live, scheduling, dead-lettering.

Knows nothing of AMQP links. Every change is stored before it is seen; every wait is one timer of the event loop.

The rules are those of https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement and
https://learn.microsoft.com/azure/service-bus-messaging/message-sessions.
"""

import asyncio
import heapq
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local.servicebus.errors import (
    Refused,
    message_lock_lost,
    message_not_found,
    no_session_in_time,
    not_allowed,
    session_cannot_be_locked,
    session_lock_lost,
)
from local.servicebus.message import Lock, Message
from local.servicebus.settings import QueueSettings
from local.servicebus.store import Store

ACTIVE, SCHEDULED = 0, 2
"""The states that someone who peeks is told."""


class Receiver(Protocol):
    """Somebody who takes messages from a queue."""

    credit: int
    """How many more messages it takes."""

    def deliver(self, message: Message) -> None:
        """Here is a message, locked."""

    def accepted(self, session_id: str, until: float) -> None:
        """The session that it waited for is its own until then."""

    def refuse(self, refused: Refused) -> None:
        """It gets nothing more, for this reason."""


@dataclass(slots=True, eq=False)
class _Session:
    receiver: Receiver
    until: float
    timer: asyncio.TimerHandle


class Queue:
    """One queue, or the dead-letter queue of one (which has none itself)."""

    def __init__(self, name: str, settings: QueueSettings, store: Store, dead_letters: "Queue | None") -> None:
        self.name = name
        self.settings = settings
        self.dead_letters = dead_letters
        self.messages: dict[int, Message] = {}
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._pumping: asyncio.Handle | None = None
        self._locked: dict[uuid.UUID, Message] = {}
        self._available: dict[str | None, list[int]] = {}
        """Per session (None without sessions) a heap of sequence numbers. May name messages that are gone."""
        self._receivers: deque[Receiver] = deque()
        self._sessions: dict[str, _Session] = {}
        self._waiting: dict[Receiver, asyncio.TimerHandle] = {}
        for message in list(store.load(name)):
            self._admit(message)

    # -- sending

    def send(self, messages: list[Message]) -> list[int]:
        """Take all of these messages or none; their sequence numbers, 0 for a duplicate."""
        if self.settings.sessions and any(message.session_id is None for message in messages):
            raise not_allowed("A message without a session id can't be sent to a queue that requires sessions.")
        return [self._send(message) for message in messages]

    def _send(self, message: Message) -> int:
        now = time.time()
        window = self.settings.duplicate_detection_seconds
        if window and not self._store.first_seen(self.name, str(message.properties.message_id), now, window):
            return 0
        message.enqueued = max(now, message.scheduled)
        self._store.add(self.name, message)
        self._admit(message)
        return message.sequence_number

    def _admit(self, message: Message) -> None:
        """Hold a message that is stored."""
        self.messages[message.sequence_number] = message
        if message.enqueued > time.time():
            message.timer = self._at(message.enqueued, self._activate, message)
        else:
            self._activate(message)

    def _activate(self, message: Message) -> None:
        lives = [ttl for ttl in (message.ttl, self.settings.ttl_seconds) if ttl is not None]
        if lives:
            message.expires = message.enqueued + min(lives)
            message.timer = self._at(message.expires, self._expire, message)
        self._make_available(message)

    def cancel(self, sequence_numbers: list[int]) -> None:
        """Forget scheduled messages: all of them or, when one is not (or no more) scheduled, none."""
        messages = [self.messages.get(number) for number in sequence_numbers]
        if any(message is None or message.enqueued <= time.time() for message in messages):
            raise message_not_found()
        for message in messages:
            if message:
                self._remove(message)

    # -- receiving

    def attach(self, receiver: Receiver) -> None:
        """Deliver to this receiver until it detaches."""
        if self.settings.sessions:
            raise not_allowed("A queue that requires sessions has no receivers without a session.")
        self._receivers.append(receiver)
        self.kick()

    def attach_session(self, receiver: Receiver, session_id: str | None, wait: float) -> None:
        """Give this receiver a session: the named one or, within ``wait`` seconds, the next that has messages."""
        if not self.settings.sessions:
            raise not_allowed("A queue without sessions has no receivers of a session.")
        if session_id is None:
            self._waiting[receiver] = self._loop.call_later(wait, self._give_up, receiver)
            self.kick()
        elif session_id in self._sessions:
            raise session_cannot_be_locked(session_id)
        else:
            self._accept(receiver, session_id)

    def detach(self, receiver: Receiver) -> None:
        """Forget this receiver. A session is free at once, as are its messages; other locks stay until they expire."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)
        if timer := self._waiting.pop(receiver, None):
            timer.cancel()
        for session_id, session in list(self._sessions.items()):
            if session.receiver is receiver:
                self._free_session(session_id, self._make_available)

    def kick(self) -> None:
        """Deliver what can be delivered, at the end of this turn of the event loop."""
        if not self._pumping:
            self._pumping = self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Deliver what can be delivered."""
        if self._pumping:
            self._pumping.cancel()
            self._pumping = None
        self._offer_sessions()
        for session_id, session in list(self._sessions.items()):
            while self._sessions.get(session_id) is session and session.receiver.credit > 0 and self._first(session_id):
                self._deliver(session.receiver, session_id, session.until)
        while self._receivers and self._first(None) and (receiver := self._next_receiver()):
            self._deliver(receiver, None, time.time() + self.settings.lock_seconds)

    def _next_receiver(self) -> Receiver | None:
        for _ in range(len(self._receivers)):
            receiver = self._receivers[0]
            self._receivers.rotate(-1)
            if receiver.credit > 0:
                return receiver
        return None

    def _deliver(self, receiver: Receiver, session_id: str | None, until: float) -> None:
        message = self.messages[heapq.heappop(self._available[session_id])]
        token = uuid.uuid4()
        timer = self._at(until, self.lose_lock, token) if session_id is None else None
        message.lock = Lock(token, until, timer)
        self._locked[token] = message
        receiver.deliver(message)

    def _make_available(self, message: Message) -> None:
        if message.expires is not None and message.expires <= time.time():
            self._expire(message)
            return
        heapq.heappush(self._available.setdefault(self._group(message), []), message.sequence_number)
        self.kick()

    def _group(self, message: Message) -> str | None:
        return message.session_id if self.settings.sessions else None

    def _first(self, group: str | None) -> Message | None:
        """The next message of a session, or of the queue where there are none."""
        heap = self._available.get(group, [])
        while heap:
            message = self.messages.get(heap[0])
            if message and not message.lock:
                return message
            heapq.heappop(heap)
        self._available.pop(group, None)
        return None

    # -- settling

    def complete(self, token: uuid.UUID) -> None:
        self._remove(self._unlock(token))

    def abandon(self, token: uuid.UUID) -> None:
        self._failed(self._unlock(token))

    def release(self, token: uuid.UUID) -> None:
        """It was never looked at: available again, and no delivery counted."""
        self._make_available(self._unlock(token))

    def dead_letter(self, token: uuid.UUID, reason: str | None, description: str | None) -> None:
        if not self.dead_letters:
            raise not_allowed("A message of a dead-letter queue can't be dead-lettered.")
        self._move_to_dead_letters(self.dead_letters, self._unlock(token), reason, description)

    def renew(self, token: uuid.UUID) -> float:
        """Lock for another full duration; the new end."""
        lock = self._of_token(token).lock
        if lock is None or lock.timer is None:
            raise not_allowed("A message of a session has the session's lock.")
        lock.timer.cancel()
        lock.until = time.time() + self.settings.lock_seconds
        lock.timer = self._at(lock.until, self.lose_lock, token)
        return lock.until

    def lose_lock(self, token: uuid.UUID) -> None:
        """End a lock, as time does: of its message or, where there are sessions, of its session."""
        message = self._locked.get(token)
        if message is None:
            return
        if self.settings.sessions and message.session_id is not None:
            self.lose_session(message.session_id)
        else:
            self._failed(self._unlock(token))

    def _of_token(self, token: uuid.UUID) -> Message:
        message = self._locked.get(token)
        if message is None:
            raise session_lock_lost() if self.settings.sessions else message_lock_lost()
        return message

    def _unlock(self, token: uuid.UUID) -> Message:
        message = self._of_token(token)
        del self._locked[token]
        if message.lock and message.lock.timer:
            message.lock.timer.cancel()
        message.lock = None
        return message

    def _failed(self, message: Message) -> None:
        message.delivery_count += 1
        self._store.failed(message)
        limit = self.settings.max_delivery_count
        if self.dead_letters and message.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._move_to_dead_letters(self.dead_letters, message, "MaxDeliveryCountExceeded", description)
        else:
            self._make_available(message)

    def _expire(self, message: Message) -> None:
        if message.lock:
            return  # looked at again when the lock ends
        if self.dead_letters and self.settings.dead_letter_on_expiry:
            description = "The message expired and was dead lettered."
            self._move_to_dead_letters(self.dead_letters, message, "TTLExpiredException", description)
        else:
            self._remove(message)

    def _remove(self, message: Message) -> None:
        self._drop(message)
        self._store.remove(message)

    def _drop(self, message: Message) -> None:
        del self.messages[message.sequence_number]
        self._first(self._group(message))  # forgets its place in the queue, and a session that is now empty
        if message.timer:
            message.timer.cancel()

    def _move_to_dead_letters(
        self, queue: "Queue", message: Message, reason: str | None, description: str | None
    ) -> None:
        self._drop(message)
        message.expires = None
        told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        message.add_application_properties({name: value for name, value in told.items() if value is not None})
        self._store.move(message, queue.name)
        queue.take_dead(message)

    def take_dead(self, message: Message) -> None:
        """Hold a message that its queue gave up. It does not expire here."""
        self.messages[message.sequence_number] = message
        self._make_available(message)

    # -- sessions

    def renew_session(self, session_id: str) -> float:
        """Lock for another full duration; the new end."""
        session = self._sessions.get(session_id)
        if session is None:
            raise session_lock_lost()
        session.timer.cancel()
        session.until = time.time() + self.settings.lock_seconds
        session.timer = self._at(session.until, self.lose_session, session_id)
        for message in self._locked.values():
            if message.lock and message.session_id == session_id:
                message.lock.until = session.until
        return session.until

    def lose_session(self, session_id: str) -> None:
        """End a session's lock, as time does: its receiver is told, its locked messages count a failed delivery."""
        if session := self._sessions.get(session_id):
            self._free_session(session_id, self._failed)
            session.receiver.refuse(session_lock_lost())

    def _accept(self, receiver: Receiver, session_id: str) -> None:
        until = time.time() + self.settings.lock_seconds
        self._sessions[session_id] = _Session(receiver, until, self._at(until, self.lose_session, session_id))
        receiver.accepted(session_id, until)
        self.kick()

    def _free_session(self, session_id: str, then: Callable[[Message], None]) -> None:
        self._sessions.pop(session_id).timer.cancel()
        for token in [token for token, message in self._locked.items() if message.session_id == session_id]:
            then(self._unlock(token))
        self.kick()

    def _offer_sessions(self) -> None:
        for session_id in list(self._available) if self._waiting else ():
            if not self._waiting:
                return
            if session_id is not None and session_id not in self._sessions and self._first(session_id):
                receiver = next(iter(self._waiting))
                self._waiting.pop(receiver).cancel()
                self._accept(receiver, session_id)

    def _give_up(self, receiver: Receiver) -> None:
        del self._waiting[receiver]
        receiver.refuse(no_session_in_time())

    # -- looking

    def peek(self, start: int, count: int, session_id: str | None) -> list[Message]:
        """The first ``count`` messages with sequence numbers from ``start`` on: locked and scheduled ones too."""
        numbers = [
            number
            for number, message in self.messages.items()
            if number >= start and session_id in (None, message.session_id)
        ]
        return [self.messages[number] for number in heapq.nsmallest(count, numbers)]

    def counts(self) -> dict[str, int]:
        now = time.time()
        scheduled = sum(message.enqueued > now for message in self.messages.values())
        return {
            "active": len(self.messages) - scheduled - len(self._locked),
            "scheduled": scheduled,
            "locked": len(self._locked),
            "dead_lettered": len(self.dead_letters.messages) if self.dead_letters else 0,
        }

    def _at[*Arguments](
        self, when: float, call: Callable[[*Arguments], None], *arguments: *Arguments
    ) -> asyncio.TimerHandle:
        """``when`` in seconds since 1970."""
        return self._loop.call_later(max(0.0, when - time.time()), call, *arguments)
