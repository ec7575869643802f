"""Who works on what: hands work items to the workers' streams, and takes them back when a stream ends."""

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, Protocol

import durabletask.internal.orchestrator_service_pb2 as pb

from local.standin import Control

log = logging.getLogger(__name__)

ABANDONED_DELAY = 0.05
"""Seconds until an abandoned item is handed out again, so that a worker that abandons everything doesn't spin."""

Kind = Literal["orchestration", "activity"]


class Work(Protocol):
    """Something for a worker to do."""

    @property
    def kind(self) -> Kind: ...

    @property
    def operation(self) -> str:
        """Its name for counts and faults."""

    @property
    def wanted(self) -> bool:
        """False once nobody waits for it: its instance was replaced or purged."""

    def item(self, token: str) -> pb.WorkItem:
        """What the worker is sent; called each time that the work is handed out."""


@dataclass(eq=False)
class Stream:
    """A worker's ``GetWorkItems`` call."""

    limits: dict[Kind, int]
    """How many items of a kind it takes at a time; 0 is any number."""
    held: dict[Kind, dict[str, Work]] = field(default_factory=lambda: {"orchestration": {}, "activity": {}})
    """What it was handed and has not completed, by completion token."""
    items: asyncio.Queue[pb.WorkItem | None] = field(default_factory=asyncio.Queue)
    """What is to be sent; None ends the stream."""

    def takes(self, kind: Kind) -> bool:
        return not self.limits[kind] or len(self.held[kind]) < self.limits[kind]


class Dispatcher:
    """Every work item is in a queue or held by exactly one stream; its token is valid as long as that stream has it."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._queues: dict[Kind, deque[Work]] = {"orchestration": deque(), "activity": deque()}
        self._streams: list[Stream] = []
        """Least recently served first."""
        self._held: dict[str, tuple[Stream, Work]] = {}
        """By completion token."""

    def connect(self, limits: dict[Kind, int]) -> Stream:
        stream = Stream(limits)
        self._streams.append(stream)
        self._hand_out()
        return stream

    def disconnect(self, stream: Stream) -> None:
        self._take_back(stream)
        self._hand_out()

    def put(self, work: Work) -> None:
        self._queues[work.kind].append(work)
        self._hand_out()

    def complete[T: Work](self, token: str, kind: type[T]) -> T | None:
        """The work that this token stands for, which now is done; None if the token is not, or no longer, valid."""
        _, work = self._held.get(token, (None, None))
        if not isinstance(work, kind):
            return None
        self._release(token)
        self._hand_out()
        return work

    def abandon(self, token: str) -> bool:
        """Put the work back, to be handed out again a little later; False if the token is not valid."""
        if token not in self._held:
            return False
        asyncio.get_running_loop().call_later(ABANDONED_DELAY, self.put, self._release(token))
        self._hand_out()
        return True

    def _release(self, token: str) -> Work:
        stream, work = self._held.pop(token)
        del stream.held[work.kind][token]
        return work

    def _take_back(self, stream: Stream) -> None:
        if stream not in self._streams:
            return  # it was cut before it ended
        self._streams.remove(stream)
        for kind, held in stream.held.items():
            if held:
                log.info("a stream ended: %d %s items go back", len(held), kind)
            for token in held:
                del self._held[token]
            self._queues[kind].extendleft(reversed(held.values()))
            held.clear()

    def _hand_out(self) -> None:
        for kind, queue in self._queues.items():
            while queue:
                free = [stream for stream in self._streams if stream.takes(kind)]
                if not free:
                    break
                work = queue.popleft()
                if work.wanted:
                    self._hand_to(min(free, key=lambda stream: len(stream.held[kind])), work)

    def _hand_to(self, stream: Stream, work: Work) -> None:
        fault = self._control.fault(work.operation)
        if fault and fault.kind == "drop":
            log.info("fault: the stream that would get %s is cut", work.operation)
            self._queues[work.kind].appendleft(work)
            self._take_back(stream)
            stream.items.put_nowait(None)
            return
        self._control.count(work.operation)
        token = uuid.uuid4().hex
        stream.held[work.kind][token] = work
        self._held[token] = stream, work
        self._streams.remove(stream)
        self._streams.append(stream)
        item = work.item(token)
        if fault and fault.kind == "delay":
            asyncio.get_running_loop().call_later(fault.seconds, self._send_late, stream, item)
            return
        if fault:
            log.error("fault %s is not for work items: %s is handed out", fault.kind, work.operation)
        stream.items.put_nowait(item)

    def _send_late(self, stream: Stream, item: pb.WorkItem) -> None:
        if item.completionToken in self._held:
            stream.items.put_nowait(item)
