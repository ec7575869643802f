"""The Service Bus stand-in's queue: whatever receivers do, and however often it restarts, no message is lost."""

import asyncio
from collections.abc import Callable
from typing import Any, Self
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.servicebus.codec import Described, Symbol, Timestamp, ULong, encode
from local.servicebus.composites import Properties, describe
from local.servicebus.entity import Queue
from local.servicebus.errors import Refused
from local.servicebus.message import Message, parse
from local.servicebus.settings import QueueSettings
from local.servicebus.store import Store

MAX_DELIVERIES = 3


class Taker:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.credit = 0
        self.held: list[Message] = []
        self.session_id: str | None = None
        self.refused: Refused | None = None

    def deliver(self, message: Message) -> None:
        self.credit -= 1
        self.held.append(message)

    def accepted(self, session_id: str, until: float) -> None:  # noqa: ARG002 - the protocol's
        self.session_id = session_id

    def refuse(self, refused: Refused) -> None:
        self.refused = refused


def message(message_id: str, session_id: str | None = None, **annotations: Timestamp) -> Message:
    properties = encode(describe(Properties(message_id=message_id, group_id=session_id)))
    named = {Symbol(name.replace("_", "-")): value for name, value in annotations.items()}
    return parse(encode(Described(ULong(0x72), named)) + properties + encode(Described(ULong(0x75), b"body")))


def token(held: Message) -> UUID:
    assert held.lock
    return held.lock.token


def ids(messages: list[Message]) -> list[str]:
    return [str(held.properties.message_id) for held in messages]


class Bench:
    """A queue and its dead-letter queue over one store, which outlives them."""

    def __init__(self, **options: Any) -> None:
        self.settings = QueueSettings(max_delivery_count=MAX_DELIVERIES, **options)
        self.store = Store(None)
        self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def restart(self) -> None:
        self.dead = Queue("q/$deadletterqueue", QueueSettings(), self.store, None)
        self.queue = Queue("q", self.settings, self.store, self.dead)
        self.taker = Taker()
        if not self.settings.sessions:
            self.queue.attach(self.taker)

    def take(self) -> None:
        self.taker.credit += 1
        self.queue.pump()


ACTIONS = ["send", "take", "complete", "abandon", "release", "dead_letter", "lose_lock", "restart"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=40))
def test_when_anything_happens_then_each_message_is_in_one_place(actions: list[tuple[str, int]]) -> None:
    asyncio.run(_each_message_is_in_one_place(actions))


async def _each_message_is_in_one_place(actions: list[tuple[str, int]]) -> None:
    with Bench() as bench:
        sent, completed = 0, 0
        for action, choice in actions:
            held = bench.taker.held
            if action == "send":
                bench.queue.send([message(f"m{sent}")])
                sent += 1
            elif action == "take":
                bench.take()
            elif action == "restart":
                bench.restart()
            elif held:
                chosen = held.pop(choice % len(held))
                settle: Callable[..., None] = getattr(bench.queue, action)
                settle(token(chosen), *(("why", None) if action == "dead_letter" else ()))
                completed += action == "complete"
            counts = bench.queue.counts()
            assert counts["active"] + counts["locked"] + counts["dead_lettered"] + completed == sent
            assert counts["locked"] == len(bench.taker.held)
            for queue in (bench.queue, bench.dead):
                assert {kept.sequence_number for kept in bench.store.load(queue.name)} == set(queue.messages)
                assert all(
                    kept.delivery_count < MAX_DELIVERIES for kept in queue.messages.values() if queue.dead_letters
                )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=20))
def test_when_messages_are_abandoned_then_each_session_keeps_its_order(steps: list[tuple[str, bool]]) -> None:
    asyncio.run(_each_session_keeps_its_order(steps))


async def _each_session_keeps_its_order(steps: list[tuple[str, bool]]) -> None:
    with Bench(sessions=True) as bench:
        bench.queue.send([message(str(number), session_id) for number, (session_id, _) in enumerate(steps)])
        for wanted in {session_id for session_id, _ in steps}:
            taker = Taker()
            bench.queue.attach_session(taker, wanted, 0)
            completed = []
            for number, (session_id, abandon_first) in enumerate(steps):
                if session_id != wanted:
                    continue
                for abandon in [True, False] if abandon_first else [False]:
                    taker.credit = 1
                    bench.queue.pump()
                    (held,) = taker.held
                    taker.held.clear()
                    assert ids([held]) == [str(number)]
                    (bench.queue.abandon if abandon else bench.queue.complete)(token(held))
                completed.append(number)
        assert bench.queue.counts()["active"] == 0


async def test_when_a_lock_is_gone_then_its_token_settles_nothing() -> None:
    with Bench() as bench:
        bench.queue.send([message("m")])
        bench.take()
        lost = token(bench.taker.held[0])
        bench.queue.lose_lock(lost)
        for settle in (bench.queue.complete, bench.queue.abandon, bench.queue.release, bench.queue.renew):
            with pytest.raises(Refused, match="lock supplied is invalid"):
                settle(lost)
        assert bench.queue.counts()["active"] == 1


async def test_when_one_of_several_messages_is_refused_then_none_is_taken() -> None:
    with Bench(sessions=True) as bench:
        with pytest.raises(Refused, match="session id"):
            bench.queue.send([message("with", "s"), message("without")])
        assert bench.queue.counts()["active"] == 0


async def test_when_one_of_several_scheduled_messages_is_unknown_then_none_is_cancelled() -> None:
    with Bench() as bench:
        (number,) = bench.queue.send([message("m", x_opt_scheduled_enqueue_time=Timestamp(2**45))])
        with pytest.raises(Refused, match="not found"):
            bench.queue.cancel([number, number + 1])
        assert bench.queue.counts() == {"active": 0, "scheduled": 1, "locked": 0, "dead_lettered": 0}
        bench.queue.cancel([number])
        assert bench.queue.counts()["scheduled"] == 0


async def test_when_several_receivers_have_credit_then_they_take_turns() -> None:
    with Bench() as bench:
        other = Taker()
        bench.queue.attach(other)
        bench.taker.credit = other.credit = 5
        bench.queue.send([message(str(number)) for number in range(4)])
        bench.queue.pump()
        assert [ids(bench.taker.held), ids(other.held)] == [["0", "2"], ["1", "3"]]


async def test_when_a_receiver_goes_then_its_locks_stay_and_a_session_is_free() -> None:
    with Bench() as plain, Bench(sessions=True) as with_sessions:
        plain.queue.send([message("m")])
        plain.take()
        plain.queue.detach(plain.taker)
        assert plain.queue.counts()["locked"] == 1

        with_sessions.queue.send([message("m", "s")])
        first, second = Taker(), Taker()
        first.credit = second.credit = 1
        with_sessions.queue.attach_session(first, "s", 0)
        with_sessions.queue.pump()
        with pytest.raises(Refused, match="locked by another receiver"):
            with_sessions.queue.attach_session(second, "s", 0)
        with_sessions.queue.detach(first)
        with_sessions.queue.attach_session(second, None, 5)
        with_sessions.queue.pump()
        assert second.session_id == "s"
        assert [held.delivery_count for held in second.held] == [0]
        with pytest.raises(Refused, match="session lock has expired"):
            with_sessions.queue.complete(uuid4())


async def test_when_a_message_expires_while_it_is_locked_then_only_its_receiver_may_still_complete_it() -> None:
    with Bench(ttl_seconds=0.05) as bench:
        bench.queue.send([message("completed"), message("abandoned")])
        bench.take()
        bench.take()
        completed, abandoned = bench.taker.held
        await asyncio.sleep(0.1)  # its life is over, and the timer that says so is due
        bench.queue.complete(token(completed))
        bench.queue.abandon(token(abandoned))
        assert sum(bench.queue.counts().values()) == 0


async def test_when_a_session_is_renewed_then_so_are_the_locks_of_its_messages() -> None:
    with Bench(sessions=True) as bench:
        bench.queue.send([message("m", "s")])
        bench.taker.credit = 1
        bench.queue.attach_session(bench.taker, "s", 0)
        bench.queue.pump()
        (held,) = bench.taker.held
        await asyncio.sleep(0.01)
        assert held.lock
        assert held.lock.until < bench.queue.renew_session("s") == held.lock.until
