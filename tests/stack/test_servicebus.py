"""The Service Bus stand-in, as Microsoft's own SDK sees it when all goes well."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
)
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus.aio import AutoLockRenewer
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    OperationTimeoutError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.stack.servicebus_kit import (
    AT_ONCE,
    PATIENT,
    SECONDS,
    at_once,
    broker,
    none,
    one,
    running,  # noqa: F401 - a fixture
)

pytestmark = AT_ONCE

# -- sending and receiving


@at_once
async def test_when_a_message_is_sent_then_all_that_it_says_arrives(folder: Path) -> None:
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
        application_properties={"i": 1, "f": 1.5, "b": True, "s": "x", "u": UUID(int=5)},
    )
    async with (
        broker(folder, lock_seconds=30) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("Q") as receiver,
    ):
        before = datetime.now(UTC)
        await sender.send_messages(sent)
        message = await one(receiver)
        assert str(message) == "grüß Gott"
        for name in (
            "message_id",
            "correlation_id",
            "reply_to",
            "reply_to_session_id",
            "subject",
            "content_type",
            "to",
        ):
            assert getattr(message, name) == getattr(sent, name)
        assert message.time_to_live == timedelta(hours=1)
        assert message.application_properties == {b"i": 1, b"f": 1.5, b"b": True, b"s": b"x", b"u": UUID(int=5)}
        assert (message.delivery_count, message.sequence_number) == (0, 1)
        assert message.enqueued_time_utc
        assert message.locked_until_utc
        assert abs(message.enqueued_time_utc - before) < timedelta(seconds=10)
        assert abs(message.locked_until_utc - before - timedelta(seconds=30)) < timedelta(seconds=10)
        assert await bus.counts() == {"active": 0, "scheduled": 0, "locked": 1, "dead_lettered": 0}
        await receiver.complete_message(message)
        assert sum((await bus.counts()).values()) == 0
        counts = await bus.control.counts()
        assert counts == {"connect": 2, "send q": 1, "deliver q": 1, "complete q": 1}


@at_once
async def test_when_messages_are_sent_as_batches_then_they_arrive_in_order(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q", prefetch_count=20) as receiver,
    ):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(10)])
        batch = await sender.create_message_batch()
        for number in range(10, 15):
            batch.add_message(ServiceBusMessage(str(number)))
        await sender.send_messages(batch)
        arrived = []
        async for message in receiver:
            arrived.append(str(message))
            await receiver.complete_message(message)
            if len(arrived) == 15:
                break
        assert arrived == [str(number) for number in range(15)]
        assert (await bus.control.counts())["send q"] == 15


@at_once
async def test_when_a_message_needs_many_frames_then_it_arrives_whole(folder: Path) -> None:
    body = os.urandom(400_000)
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage(body))
        message = await one(receiver)
        assert b"".join(message.body) == body
        await receiver.complete_message(message)


@at_once
async def test_when_a_receiver_with_prefetched_messages_closes_then_they_are_available_again(folder: Path) -> None:
    async with broker(folder) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(5)])
        async with bus.client.get_queue_receiver("q", prefetch_count=5) as receiver:
            await receiver.complete_message(await one(receiver))
            await bus.until(locked=4)
        await bus.until(active=4, locked=0)
        async with bus.client.get_queue_receiver("q") as receiver:
            assert (await one(receiver)).delivery_count == 0


@at_once
async def test_when_the_sync_sdk_is_used_then_it_works_too(folder: Path) -> None:
    def use(connection_string: str) -> None:
        with (
            SyncClient.from_connection_string(connection_string) as client,
            client.get_queue_sender("q") as sender,
            client.get_queue_receiver("q") as receiver,
        ):
            sender.send_messages(ServiceBusMessage("sync"))
            (message,) = receiver.receive_messages(1, max_wait_time=SECONDS)
            assert str(message) == "sync"
            receiver.complete_message(message)

    async with broker(folder) as bus:
        await asyncio.to_thread(use, bus.connection_string)
        assert sum((await bus.counts()).values()) == 0


# -- settling


@at_once
async def test_when_a_message_is_abandoned_too_often_then_it_is_a_dead_letter(folder: Path) -> None:
    async with (
        broker(folder, max_delivery_count=2) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
        bus.dead_letters() as dead_letters,
    ):
        await sender.send_messages(ServiceBusMessage("poison"))
        for count in range(2):
            message = await one(receiver)
            assert message.delivery_count == count
            await receiver.abandon_message(message)
        dead = await one(dead_letters)
        assert str(dead) == "poison"
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        await dead_letters.complete_message(dead)
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_message_is_dead_lettered_then_the_reason_is_with_it(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
        bus.dead_letters() as dead_letters,
    ):
        await sender.send_messages(ServiceBusMessage("bad", application_properties={"kept": 7}, message_id="dead"))
        await receiver.dead_letter_message(await one(receiver), reason="unreadable", error_description="not JSON")
        assert (await bus.counts())["dead_lettered"] == 1
        dead = await one(dead_letters)
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("unreadable", "not JSON")
        assert dead.message_id == "dead"
        assert dead.application_properties
        assert dead.application_properties[b"kept"] == 7
        await dead_letters.complete_message(dead)
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_lock_expires_then_the_message_is_delivered_again(folder: Path) -> None:
    async with (
        broker(folder, lock_seconds=1) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("m"))
        first, second = await one(receiver), await one(receiver)
        assert (first.delivery_count, second.delivery_count) == (0, 1)
        assert second.lock_token != first.lock_token
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(first)
        await receiver.complete_message(second)
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_lock_is_renewed_then_the_message_stays_away_from_others(folder: Path) -> None:
    async with (
        broker(folder, lock_seconds=2) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("m"))
        message = await one(receiver)
        for _ in range(2):
            await asyncio.sleep(1.2)
            assert await receiver.renew_message_lock(message) > datetime.now(UTC)
        await receiver.complete_message(message)
        assert (await bus.control.counts())["deliver q"] == 1


@at_once
async def test_when_the_sdk_renews_a_lock_then_the_message_outlives_it(folder: Path) -> None:
    async with (
        broker(folder, lock_seconds=3) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
        AutoLockRenewer() as renewer,
    ):
        await sender.send_messages(ServiceBusMessage("m"))
        message = await one(receiver)
        renewer.register(receiver, message, max_lock_renewal_duration=60)
        await asyncio.sleep(3.3)
        await receiver.complete_message(message)


@at_once
async def test_when_the_sdk_renews_a_session_lock_then_the_session_outlives_it(folder: Path) -> None:
    async with (
        broker(folder, lock_seconds=3, sessions=True) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q", session_id="s") as receiver,
        AutoLockRenewer() as renewer,
    ):
        renewer.register(receiver, receiver.session, max_lock_renewal_duration=60)
        await sender.send_messages(ServiceBusMessage("m", session_id="s"))
        message = await one(receiver)
        await asyncio.sleep(3.3)
        await receiver.complete_message(message)


@at_once
async def test_when_a_delivery_is_lost_with_its_connection_then_the_message_stays_locked(folder: Path) -> None:
    async with broker(folder, lock_seconds=2) as bus, bus.client.get_queue_sender("q") as sender:
        await bus.control.faults([{"operation": "deliver q", "kind": "drop", "times": 1}])
        async with bus.connect(**PATIENT) as client, client.get_queue_receiver("q", prefetch_count=5) as receiver:
            sent = time.monotonic()
            await sender.send_messages([ServiceBusMessage(text) for text in "abc"])
            for wanted in (("b", 0), ("c", 0), ("a", 1)):
                message = await one(receiver)
                assert (str(message), message.delivery_count) == wanted
                await receiver.complete_message(message)
            assert time.monotonic() - sent > 1.9


# -- time


@at_once
async def test_when_a_message_is_scheduled_then_it_waits_unless_it_is_cancelled(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        due = datetime.now(UTC) + timedelta(seconds=3)
        numbers = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("cancelled")], due)
        await sender.send_messages(ServiceBusMessage("property", scheduled_enqueue_time_utc=due))
        await sender.cancel_scheduled_messages(numbers[1])
        assert await bus.counts() == {"active": 0, "scheduled": 2, "locked": 0, "dead_lettered": 0}
        assert [message.state.name for message in await receiver.peek_messages(5)] == ["SCHEDULED"] * 2
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[1])
        for wanted in ("kept", "property"):
            message = await one(receiver)
            assert str(message) == wanted
            assert datetime.now(UTC) >= due - timedelta(milliseconds=5)
            await receiver.complete_message(message)


@at_once
async def test_when_a_message_expires_then_it_is_dead_lettered_where_the_queue_says_so(folder: Path) -> None:
    async with (
        broker(folder, dead_letter_on_expiry=True) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.dead_letters() as dead_letters,
    ):
        await sender.send_messages(ServiceBusMessage("m", time_to_live=timedelta(milliseconds=300)))
        dead = await one(dead_letters)
        assert dead.dead_letter_reason == "TTLExpiredException"
        await dead_letters.complete_message(dead)
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_message_expires_then_it_is_gone_where_the_queue_says_nothing(folder: Path) -> None:
    async with broker(folder, ttl_seconds=2) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("m", time_to_live=timedelta(hours=1)))
        assert (await bus.counts())["active"] == 1
        await bus.until(active=0)
        assert (await bus.counts())["dead_lettered"] == 0


@at_once
async def test_when_a_message_id_is_sent_again_then_it_is_dropped(folder: Path) -> None:
    async with broker(folder, duplicate_detection_seconds=600) as bus, bus.client.get_queue_sender("q") as sender:
        for _ in range(2):
            await sender.send_messages(ServiceBusMessage("one", message_id="1"))
        await sender.send_messages([ServiceBusMessage("one", message_id="1"), ServiceBusMessage("two")])
        async with bus.client.get_queue_receiver("q") as receiver:
            for wanted in ("one", "two"):
                message = await one(receiver)
                assert str(message) == wanted
                await receiver.complete_message(message)
            await sender.send_messages(ServiceBusMessage("one", message_id="1"))
            await none(receiver)


@at_once
async def test_when_messages_are_peeked_then_they_stay_and_locked_ones_are_seen(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(3)])
        await one(receiver)
        assert [str(message) for message in await receiver.peek_messages(2, sequence_number=1)] == ["0", "1"]
        assert [str(message) for message in await receiver.peek_messages(2)] == ["2"]
        assert await receiver.peek_messages(2) == []
        assert await bus.counts() == {"active": 2, "scheduled": 0, "locked": 1, "dead_lettered": 0}


@at_once
async def test_when_more_messages_are_peeked_at_than_are_shown_at_once_then_the_next_peek_goes_on(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage("m") for _ in range(300)])
        pages = [await receiver.peek_messages(1000) for _ in range(3)]
        assert [len(page) for page in pages] == [250, 50, 0]
        assert [message.sequence_number for page in pages for message in page] == list(range(1, 301))


# -- sessions


@at_once
async def test_when_a_session_is_accepted_then_it_is_one_receivers_until_that_closes(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages([ServiceBusMessage(name, session_id=name) for name in ("theirs", "mine", "mine")])
        async with bus.client.get_queue_receiver("q", session_id="mine") as receiver:
            soon = datetime.now(UTC) + timedelta(seconds=30)
            assert receiver.session.session_id == "mine"
            assert receiver.session.locked_until_utc
            assert receiver.session.locked_until_utc > soon
            assert await receiver.session.renew_lock() > soon
            message = await one(receiver)
            assert message.session_id == "mine"
            await receiver.complete_message(message)
            await one(receiver)
            await none(receiver)
            with pytest.raises(SessionCannotBeLockedError):
                await bus.client.get_queue_receiver("q", session_id="mine").__aenter__()
        async with (
            bus.client.get_queue_receiver("q", session_id="mine") as mine,
            bus.client.get_queue_receiver("q", session_id=NEXT_AVAILABLE_SESSION) as theirs,
        ):
            assert (await one(mine)).delivery_count == 0
            assert theirs.session.session_id == "theirs"
            assert str(await one(theirs)) == "theirs"


@at_once
async def test_when_a_queue_has_sessions_then_a_receiver_peeks_at_its_own_and_anyone_at_dead_letters(
    folder: Path,
) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages([ServiceBusMessage(name, session_id=name) for name in ("mine", "theirs", "mine")])
        async with bus.client.get_queue_receiver("q", session_id="mine") as receiver:
            assert [message.sequence_number for message in await receiver.peek_messages(5)] == [1, 3]
            await receiver.dead_letter_message(await one(receiver), reason="unreadable")
        async with bus.dead_letters() as dead_letters:
            assert [str(message) for message in await dead_letters.peek_messages(5)] == ["mine"]
        assert await bus.counts() == {"active": 2, "scheduled": 0, "locked": 0, "dead_lettered": 1}


@at_once
async def test_when_no_session_has_messages_then_a_receiver_waits_for_one(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        with pytest.raises(OperationTimeoutError):
            await bus.client.get_queue_receiver("q", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5).__aenter__()
        receiver = bus.client.get_queue_receiver("q", session_id=NEXT_AVAILABLE_SESSION)
        opening = asyncio.create_task(receiver.__aenter__())
        async with asyncio.timeout(SECONDS):
            while (await bus.control.counts())["accept-session q"] < 2:
                await asyncio.sleep(0.02)
        await sender.send_messages(ServiceBusMessage("m", session_id="late"))
        await opening
        assert receiver.session.session_id == "late"
        assert str(await one(receiver)) == "m"


@at_once
async def test_when_a_session_lock_expires_then_its_messages_are_delivered_again(folder: Path) -> None:
    async with broker(folder, sessions=True, lock_seconds=3) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("m", session_id="s"))
        async with bus.client.get_queue_receiver("q", session_id="s") as receiver:
            message = await one(receiver)
            await bus.until(active=1, locked=0)
            with pytest.raises(SessionLockLostError):
                await receiver.complete_message(message)
        async with bus.client.get_queue_receiver("q", session_id="s") as receiver:
            message = await one(receiver)
            assert message.delivery_count == 1
            await receiver.complete_message(message)
