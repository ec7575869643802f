"""The Service Bus stand-in, as Microsoft's own SDK sees it. One process serves all these tests, with data on disk."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    ServiceBusServerBusyError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)
from pydantic import ValidationError

from local.control import ControlClient
from local.process import Process
from local.servicebus.settings import Entities

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 10
"""How long anything may take before a test fails."""

QUEUES: dict[str, dict[str, Any]] = {
    "plain": {"lock_seconds": 30},
    "large": {},
    "peeked": {},
    "timed": {},
    "quick": {"lock_seconds": 1, "max_delivery_count": 2},
    "renewed": {"lock_seconds": 3},
    "sessions": {"sessions": True, "lock_seconds": 30},
    "quick-sessions": {"sessions": True, "lock_seconds": 1.5},
    "renewed-sessions": {"sessions": True, "lock_seconds": 3},
    "once": {"duplicate_detection_seconds": 600},
    "expiring": {"dead_letter_on_expiry": True},
    "forgetting": {"ttl_seconds": 0.3},
    "faulty": {"lock_seconds": 1, "duplicate_detection_seconds": 600},
}
RECEIVED = ["plain", "large", "peeked", "timed", "quick", "renewed", "once", "faulty"]
DEAD = ["plain", "quick", "expiring"]


class Kit:
    """The process, and senders and receivers that stay open: the SDK takes half a second to open one."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.control = ControlClient(process.control)
        self.connection_string = str(process.ready["connection_string"])
        self.client = self.connect()
        self.senders = {name: self.client.get_queue_sender(name) for name in QUEUES}
        self.receivers = {name: self.client.get_queue_receiver(name) for name in RECEIVED}
        self.dead = {
            name: self.client.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) for name in DEAD
        }

    def connect(self, **options: Any) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.connection_string, **{"retry_total": 0, **options})

    async def queue(self, name: str) -> dict[str, int]:
        queues: dict[str, dict[str, int]] = await self.control.call("GET", "/control/queues")
        return queues[name]

    async def __aenter__(self) -> "Kit":
        handlers = [*self.senders.values(), *self.receivers.values(), *self.dead.values()]
        await asyncio.gather(*(handler.__aenter__() for handler in handlers))
        return self

    async def __aexit__(self, *_: object) -> None:
        handlers = [*self.senders.values(), *self.receivers.values(), *self.dead.values()]
        await asyncio.gather(*(handler.close() for handler in handlers))
        await self.client.close()


async def start(folder: Path, queues: dict[str, Any], *options: object) -> Process:
    file = folder / "queues.json"
    file.write_text(json.dumps({"queues": queues}))
    given = ["--entities", file, "--data", folder / "data", *options]
    return await Process.start("servicebus", "local.servicebus", given, environment=os.environ, logs=folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    process = await start(tmp_path_factory.mktemp("servicebus"), QUEUES)
    try:
        async with Kit(process) as kit:
            yield kit
    finally:
        await process.stop(grace=5)


async def one(receiver: ServiceBusReceiver, wait: float = SECONDS) -> ServiceBusReceivedMessage:
    (message,) = await receiver.receive_messages(1, max_wait_time=wait)
    return message


async def none(receiver: ServiceBusReceiver) -> None:
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []


async def until(kit: Kit, name: str, **wanted: int) -> None:
    """Wait for a queue to hold what is said."""
    async with asyncio.timeout(SECONDS):
        while not (await kit.queue(name)).items() >= wanted.items():
            await asyncio.sleep(0.02)


# -- sending and receiving


async def test_when_a_message_is_sent_then_all_that_it_says_arrives(kit: Kit) -> None:
    sent = ServiceBusMessage(
        "grüß Gott",
        message_id="m",
        correlation_id="c",
        reply_to="r",
        reply_to_session_id="rs",
        subject="s",
        content_type="text/plain",
        to="t",
        time_to_live=timedelta(hours=1),
        application_properties={"i": 1, "f": 1.5, "b": True, "s": "x", "u": UUID(int=5), "y": b"\x00\xff", "n": None},
    )
    before = datetime.now(UTC)
    await kit.senders["plain"].send_messages(sent)
    received = await one(kit.receivers["plain"])
    assert str(received) == "grüß Gott"
    for name in ("message_id", "correlation_id", "reply_to", "reply_to_session_id", "subject", "content_type", "to"):
        assert getattr(received, name) == getattr(sent, name)
    assert received.time_to_live == timedelta(hours=1)
    assert received.application_properties == {
        b"i": 1, b"f": 1.5, b"b": True, b"s": b"x", b"u": UUID(int=5), b"y": b"\x00\xff", b"n": None
    }  # fmt: skip
    assert received.delivery_count == 0
    assert received.sequence_number
    assert received.enqueued_time_utc
    assert received.locked_until_utc
    assert abs(received.enqueued_time_utc - before) < timedelta(seconds=5)
    assert abs(received.locked_until_utc - before - timedelta(seconds=30)) < timedelta(seconds=5)
    await kit.receivers["plain"].complete_message(received)
    assert sum((await kit.queue("plain")).values()) == 0


async def test_when_messages_are_sent_as_batches_then_they_arrive_in_order(kit: Kit) -> None:
    sender = kit.senders["plain"]
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(10)])
    batch = await sender.create_message_batch()
    for number in range(10, 15):
        batch.add_message(ServiceBusMessage(str(number)))
    await sender.send_messages(batch)
    arrived = []
    async with kit.client.get_queue_receiver("plain", prefetch_count=20) as receiver:
        async for message in receiver:
            arrived.append(str(message))
            await receiver.complete_message(message)
            if len(arrived) == 15:
                break
    assert arrived == [str(number) for number in range(15)]


async def test_when_a_message_needs_many_frames_then_it_arrives_whole(kit: Kit) -> None:
    body = os.urandom(400_000)
    await kit.senders["large"].send_messages(ServiceBusMessage(body))
    message = await one(kit.receivers["large"])
    assert b"".join(message.body) == body
    await kit.receivers["large"].complete_message(message)


async def test_when_a_receiver_with_prefetched_messages_closes_then_they_are_available_again(kit: Kit) -> None:
    await kit.senders["plain"].send_messages([ServiceBusMessage(str(number)) for number in range(5)])
    async with kit.client.get_queue_receiver("plain", prefetch_count=5) as receiver:
        await receiver.complete_message(await one(receiver))
        await until(kit, "plain", locked=4)
    await until(kit, "plain", active=4, locked=0)
    for _ in range(4):
        message = await one(kit.receivers["plain"])
        assert message.delivery_count == 0
        await kit.receivers["plain"].complete_message(message)


def test_when_the_sync_sdk_is_used_then_it_works_too(kit: Kit) -> None:
    with (
        SyncClient.from_connection_string(kit.connection_string) as client,
        client.get_queue_sender("plain") as sender,
        client.get_queue_receiver("plain") as receiver,
    ):
        sender.send_messages(ServiceBusMessage("sync"))
        (message,) = receiver.receive_messages(1, max_wait_time=SECONDS)
        assert str(message) == "sync"
        receiver.complete_message(message)


# -- settling


async def test_when_a_message_is_abandoned_too_often_then_it_is_a_dead_letter(kit: Kit) -> None:
    await kit.senders["quick"].send_messages(ServiceBusMessage("poison"))
    for count in range(2):
        message = await one(kit.receivers["quick"])
        assert message.delivery_count == count
        await kit.receivers["quick"].abandon_message(message)
    dead = await one(kit.dead["quick"])
    assert str(dead) == "poison"
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    await kit.dead["quick"].complete_message(dead)
    await until(kit, "quick", active=0, locked=0, dead_lettered=0)


async def test_when_a_message_is_dead_lettered_then_the_reason_is_with_it(kit: Kit) -> None:
    sent = ServiceBusMessage("bad", application_properties={"kept": 7}, message_id="dead")
    await kit.senders["plain"].send_messages(sent)
    message = await one(kit.receivers["plain"])
    await kit.receivers["plain"].dead_letter_message(message, reason="unreadable", error_description="not JSON")
    assert (await kit.queue("plain"))["dead_lettered"] == 1
    dead = await one(kit.dead["plain"])
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("unreadable", "not JSON")
    assert (dead.message_id, dead.application_properties[b"kept"]) == ("dead", 7)
    await kit.dead["plain"].abandon_message(dead)  # stays a dead letter, however often
    await kit.dead["plain"].complete_message(await one(kit.dead["plain"]))


async def test_when_a_lock_expires_then_the_message_is_delivered_again(kit: Kit) -> None:
    receiver = kit.receivers["quick"]
    await kit.senders["quick"].send_messages(ServiceBusMessage("m"))
    first = await one(receiver)
    second = await one(receiver)
    assert second.delivery_count == 1
    assert second.lock_token != first.lock_token
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(first)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(first)
    await receiver.complete_message(second)


async def test_when_a_lock_is_renewed_then_the_message_stays_away_from_others(kit: Kit) -> None:
    receiver = kit.receivers["quick"]
    await kit.senders["quick"].send_messages(ServiceBusMessage("m"))
    message = await one(receiver)
    for _ in range(2):
        await asyncio.sleep(0.7)
        assert await receiver.renew_message_lock(message) > datetime.now(UTC)
    assert (await kit.queue("quick"))["locked"] == 1
    await receiver.complete_message(message)


async def test_when_the_sdk_renews_locks_then_message_and_session_outlive_them(kit: Kit) -> None:
    await kit.senders["renewed"].send_messages(ServiceBusMessage("m"))
    await kit.senders["renewed-sessions"].send_messages(ServiceBusMessage("m", session_id="s"))
    receiver = kit.receivers["renewed"]
    async with (
        AutoLockRenewer() as renewer,
        kit.client.get_queue_receiver("renewed-sessions", session_id="s") as session,
    ):
        messages = await one(receiver), await one(session)
        renewer.register(receiver, messages[0], max_lock_renewal_duration=60)
        renewer.register(session, session.session, max_lock_renewal_duration=60)
        await asyncio.sleep(3.5)
        await receiver.complete_message(messages[0])
        await session.complete_message(messages[1])


async def test_when_a_delivery_is_lost_with_its_connection_then_the_message_stays_locked(kit: Kit) -> None:
    await kit.control.faults([{"operation": "deliver faulty", "kind": "drop", "times": 1}])
    await kit.senders["faulty"].send_messages(ServiceBusMessage("m"))
    async with (
        kit.connect(retry_total=3, retry_backoff_factor=0.05) as client,
        client.get_queue_receiver("faulty") as receiver,
    ):
        asked = time.monotonic()
        message = await one(receiver)
        assert time.monotonic() - asked > 0.9
        assert message.delivery_count == 1
        await receiver.complete_message(message)


# -- time


async def test_when_a_message_is_scheduled_then_it_waits_unless_it_is_cancelled(kit: Kit) -> None:
    sender, receiver = kit.senders["timed"], kit.receivers["timed"]
    due = datetime.now(UTC) + timedelta(seconds=1)
    numbers = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("cancelled")], due)
    await sender.send_messages(ServiceBusMessage("property", scheduled_enqueue_time_utc=due))
    await sender.cancel_scheduled_messages(numbers[1])
    assert [message.state.name for message in await receiver.peek_messages(5)] == ["SCHEDULED"] * 2
    assert await kit.queue("timed") == {"active": 0, "scheduled": 2, "locked": 0, "dead_lettered": 0}
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(numbers[1])
    for wanted in ("kept", "property"):
        message = await one(receiver)
        assert str(message) == wanted
        assert datetime.now(UTC) >= due - timedelta(milliseconds=5)
        await receiver.complete_message(message)


async def test_when_a_message_expires_then_it_is_dead_lettered_only_where_the_queue_says_so(kit: Kit) -> None:
    await kit.senders["expiring"].send_messages(ServiceBusMessage("m", time_to_live=timedelta(milliseconds=300)))
    await kit.senders["forgetting"].send_messages(ServiceBusMessage("m"))
    dead = await one(kit.dead["expiring"])
    assert dead.dead_letter_reason == "TTLExpiredException"
    await kit.dead["expiring"].complete_message(dead)
    await until(kit, "forgetting", active=0, dead_lettered=0)
    await until(kit, "expiring", active=0, dead_lettered=0)


async def test_when_a_message_id_is_sent_again_then_it_is_dropped(kit: Kit) -> None:
    sender, name = kit.senders["once"], uuid4().hex
    for _ in range(2):
        await sender.send_messages(ServiceBusMessage("one", message_id=name))
    await sender.send_messages([ServiceBusMessage("one", message_id=name), ServiceBusMessage("two")])
    for wanted in ("one", "two"):
        message = await one(kit.receivers["once"])
        assert str(message) == wanted
        await kit.receivers["once"].complete_message(message)
    await sender.send_messages(ServiceBusMessage("one", message_id=name))
    assert (await kit.queue("once"))["active"] == 0


async def test_when_messages_are_peeked_then_they_stay_and_locked_ones_are_seen(kit: Kit) -> None:
    receiver = kit.receivers["peeked"]
    await kit.senders["peeked"].send_messages([ServiceBusMessage(str(number)) for number in range(3)])
    locked = await one(receiver)
    assert [str(message) for message in await receiver.peek_messages(2)] == ["0", "1"]
    assert [str(message) for message in await receiver.peek_messages(2)] == ["2"]
    assert await receiver.peek_messages(2) == []
    await receiver.complete_message(locked)
    assert (await kit.queue("peeked"))["active"] == 2


# -- sessions


async def test_when_a_session_is_accepted_then_it_is_one_receivers_until_that_closes(kit: Kit) -> None:
    mine, other = uuid4().hex, uuid4().hex
    sent = [ServiceBusMessage(name, session_id=name) for name in (other, mine, mine)]
    await kit.senders["sessions"].send_messages(sent)
    async with kit.client.get_queue_receiver("sessions", session_id=mine) as receiver:
        assert receiver.session.session_id == mine
        assert receiver.session.locked_until_utc > datetime.now(UTC) + timedelta(seconds=20)
        assert await receiver.session.renew_lock() > datetime.now(UTC) + timedelta(seconds=20)
        message = await one(receiver)
        assert message.session_id == mine
        await receiver.complete_message(message)
        await one(receiver)
        with pytest.raises(SessionCannotBeLockedError):
            await kit.client.get_queue_receiver("sessions", session_id=mine).__aenter__()
    async with kit.client.get_queue_receiver("sessions", session_id=mine) as receiver:
        message = await one(receiver)
        assert message.delivery_count == 0
        await receiver.complete_message(message)
        await none(receiver)
    async with kit.client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION) as receiver:
        assert receiver.session.session_id == other
        await receiver.complete_message(await one(receiver))


async def test_when_no_session_has_messages_then_a_receiver_waits_for_one(kit: Kit) -> None:
    with pytest.raises(OperationTimeoutError):
        async with kit.client.get_queue_receiver(
            "renewed-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5
        ):
            pass
    waiting = kit.client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(waiting.__aenter__())
        await kit.senders["sessions"].send_messages(ServiceBusMessage("m", session_id="late"))
    async with waiting:
        assert waiting.session.session_id == "late"
        await waiting.complete_message(await one(waiting))


async def test_when_a_session_lock_expires_then_its_messages_are_delivered_again(kit: Kit) -> None:
    await kit.senders["quick-sessions"].send_messages(ServiceBusMessage("m", session_id="s"))
    async with kit.client.get_queue_receiver("quick-sessions", session_id="s") as receiver:
        message = await one(receiver)
        await until(kit, "quick-sessions", active=1, locked=0)
        with pytest.raises(SessionLockLostError):
            await receiver.complete_message(message)
    async with kit.client.get_queue_receiver("quick-sessions", session_id="s") as receiver:
        message = await one(receiver)
        assert message.delivery_count == 1
        await receiver.complete_message(message)


# -- what is refused


async def test_when_something_is_not_supported_then_it_is_refused(kit: Kit) -> None:
    async def refused(kind: type[Exception], why: str, handler: ServiceBusSender | ServiceBusReceiver) -> None:
        with pytest.raises(kind, match=why):
            await handler.__aenter__()

    client = kit.client
    wrong_key = ServiceBusClient.from_connection_string(
        kit.connection_string.replace("SharedAccessKey=", "SharedAccessKey=wrong"), retry_total=0
    )
    async with wrong_key:
        await asyncio.gather(
            refused(MessagingEntityNotFoundError, "could not be found", client.get_queue_sender("nope")),
            refused(MessagingEntityNotFoundError, "could not be found", client.get_queue_receiver("nope")),
            refused(ServiceBusAuthenticationError, "", wrong_key.get_queue_sender("plain")),
            refused(ServiceBusError, "not supported", client.get_subscription_receiver("topic", "subscription")),
            refused(
                ServiceBusError,
                "receive and delete: not supported",
                client.get_queue_receiver("plain", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE),
            ),
            refused(ServiceBusError, "requires sessions", client.get_queue_receiver("sessions")),
            refused(ServiceBusError, "without sessions", client.get_queue_receiver("plain", session_id="s")),
        )


async def test_when_an_operation_is_not_supported_then_it_is_refused(kit: Kit) -> None:
    receiver, sender = kit.receivers["plain"], kit.senders["plain"]
    with pytest.raises(ServiceBusError, match="session id"):
        await kit.senders["sessions"].send_messages(ServiceBusMessage("m"))
    with pytest.raises(ServiceBusError, match=r"partition key .* not supported"):
        await sender.send_messages(ServiceBusMessage("m", partition_key="k"))
    await sender.send_messages(ServiceBusMessage("m"))
    message = await one(receiver)
    with pytest.raises(ServiceBusError, match="defer: not supported"):
        await receiver.defer_message(message)
    with pytest.raises(ServiceBusError, match="not supported"):
        await receiver.receive_deferred_messages([1])
    await receiver.complete_message(message)
    assert sum((await kit.queue("plain")).values()) == 0


@pytest.mark.parametrize(
    "queues",
    [
        {"requests": {"max_deliveries": 10}},
        {"requests": {"lock_seconds": 0}},
        {"requests": {"lock_seconds": 301}},
        {"requests/$deadletterqueue": {}},
        {"": {}},
    ],
)
def test_when_the_entities_are_malformed_then_they_are_refused(queues: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Entities.model_validate({"queues": queues})


# -- faults


async def test_when_the_service_is_busy_then_the_sdk_is_told_and_tries_again(kit: Kit) -> None:
    await kit.control.reset()
    await kit.control.faults(
        [
            {"operation": "send faulty", "kind": "status", "status": 503, "times": 2},
            {"operation": "complete faulty", "kind": "status", "status": 429, "times": 1},
        ]
    )
    with pytest.raises(ServiceBusServerBusyError):
        await kit.senders["faulty"].send_messages(ServiceBusMessage("m"))
    async with kit.connect(retry_total=3, retry_backoff_factor=0.05) as client, AsyncExitStack() as opened:
        sender, receiver = await asyncio.gather(
            opened.enter_async_context(client.get_queue_sender("faulty")),
            opened.enter_async_context(client.get_queue_receiver("faulty")),
        )
        await sender.send_messages(ServiceBusMessage("m"))
        await receiver.complete_message(await one(receiver))
    counts = await kit.control.counts()
    assert (counts["send faulty"], counts["deliver faulty"], counts["complete faulty"]) == (3, 1, 2)
    assert counts["connect"] == 2
    assert sum((await kit.queue("faulty")).values()) == 0


async def test_when_the_answer_to_a_send_is_lost_then_sending_again_makes_no_second_message(kit: Kit) -> None:
    await kit.control.faults([{"operation": "send faulty", "kind": "drop", "times": 1}])
    async with (
        kit.connect(retry_total=3, retry_backoff_factor=0.05) as client,
        client.get_queue_sender("faulty") as sender,
    ):
        await sender.send_messages(ServiceBusMessage("m", message_id=uuid4().hex))
    assert (await kit.queue("faulty"))["active"] == 1
    await kit.receivers["faulty"].complete_message(await one(kit.receivers["faulty"]))


async def test_when_answers_are_delayed_then_they_are_late(kit: Kit) -> None:
    await kit.control.faults([{"operation": "send faulty", "kind": "delay", "seconds": 0.5, "times": 1}])
    started = time.monotonic()
    await kit.senders["faulty"].send_messages(ServiceBusMessage("m"))
    assert time.monotonic() - started >= 0.5
    await kit.receivers["faulty"].complete_message(await one(kit.receivers["faulty"]))


@pytest.mark.parametrize("operation", ["complete", "abandon", "dead-letter", "renew-lock"])
async def test_when_a_lock_is_taken_away_then_the_client_is_told_and_the_message_comes_again(
    kit: Kit, operation: str
) -> None:
    receiver = kit.receivers["faulty"]
    await kit.senders["faulty"].send_messages(ServiceBusMessage("m"))
    await kit.control.faults([{"operation": f"{operation} faulty", "kind": "lock-lost", "times": 1}])
    settle = {
        "complete": receiver.complete_message,
        "abandon": receiver.abandon_message,
        "dead-letter": receiver.dead_letter_message,
        "renew-lock": receiver.renew_message_lock,
    }[operation]
    with pytest.raises(MessageLockLostError):
        await settle(await one(receiver))
    message = await one(receiver)
    assert message.delivery_count == 1
    await receiver.complete_message(message)


async def test_when_a_session_is_taken_away_then_the_client_is_told_and_may_accept_it_again(kit: Kit) -> None:
    await kit.senders["sessions"].send_messages(ServiceBusMessage("m", session_id="lost"))
    await kit.control.faults([{"operation": "renew-session-lock sessions", "kind": "lock-lost", "times": 1}])
    async with kit.client.get_queue_receiver("sessions", session_id="lost") as receiver:
        await one(receiver)
        with pytest.raises(SessionLockLostError):
            await receiver.session.renew_lock()
    async with kit.client.get_queue_receiver("sessions", session_id="lost") as receiver:
        await receiver.complete_message(await one(receiver))


async def test_when_connecting_fails_then_the_sdk_says_so(kit: Kit) -> None:
    for fault in ({"kind": "status"}, {"kind": "drop"}):
        await kit.control.faults([{"operation": "connect", **fault}])
        with pytest.raises(ServiceBusError):
            await kit.client.get_queue_sender("faulty").__aenter__()
    await kit.control.faults()


# -- what it holds


async def test_when_it_is_killed_then_what_it_acknowledged_is_there_again(tmp_path: Path) -> None:
    queues = {"requests": {"duplicate_detection_seconds": 600, "lock_seconds": 300}}
    process = await start(tmp_path, queues)
    try:
        async with ServiceBusClient.from_connection_string(process.ready["connection_string"]) as client:
            async with (
                client.get_queue_sender("requests") as sender,
                client.get_queue_receiver("requests") as receiver,
            ):
                await sender.send_messages([ServiceBusMessage(text, message_id=text) for text in "abcd"])
                await receiver.complete_message(await one(receiver))
                await receiver.dead_letter_message(await one(receiver), reason="why")
                await receiver.abandon_message(await one(receiver))
                await process.kill()
                process = await start(tmp_path, queues, "--port", process.url.rpartition(":")[2])
                await sender.send_messages(ServiceBusMessage("again", message_id="a"))
                seen = []
                for _ in range(2):
                    message = await one(receiver)
                    seen.append((str(message), message.delivery_count))
                    await receiver.complete_message(message)
                assert seen == [("c", 1), ("d", 0)]
        control = ControlClient(process.control)
        assert (await control.call("GET", "/control/queues"))["requests"] == {
            "active": 0, "scheduled": 0, "locked": 0, "dead_lettered": 1
        }  # fmt: skip
        dump = json.loads(await control.dump())
        assert dump["requests"] == []
        (dead,) = dump["requests/$deadletterqueue"]
        assert dead["body"] == ["b"]
        assert dead["properties"]["message_id"] == "b"
        assert dead["application_properties"]["DeadLetterReason"] == "why"
    finally:
        with suppress(ProcessLookupError):
            await process.stop(grace=5)
