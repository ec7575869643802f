"""The Service Bus stand-in, as Microsoft's own SDK sees it.

The SDK takes its time to open and close links, so the tests here run all at once: each is started when the first is
asked for, and has a broker of its own.
"""

import asyncio
import gc
import json
import os
import time
import warnings
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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

from local.control import ControlClient
from local.process import Process, StartFailed
from local.servicebus.__main__ import service
from local.standin import Control, serving

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # The SDK forgets to close its end of a connection that the broker has closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 20
"""How long anything may take before a test fails."""

PATIENT = {"retry_total": 3, "retry_backoff_factor": 0.05}
"""A client that tries again, and soon."""

type Scenario = Callable[[Path], Awaitable[None]]

_scenarios: dict[str, Scenario] = {}


def at_once(scenario: Scenario) -> Callable[[dict[str, asyncio.Task[None]]], Awaitable[None]]:
    """Make a test of a scenario that runs beside the others."""
    _scenarios[scenario.__name__] = scenario

    async def test(running: dict[str, asyncio.Task[None]]) -> None:
        await running[scenario.__name__]

    return test


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    wanted = {item.name for item in request.session.items}

    async def run(name: str, scenario: Scenario) -> None:
        async with asyncio.timeout(3 * SECONDS):
            await scenario(tmp_path_factory.mktemp("servicebus"))

    tasks = {name: asyncio.create_task(run(name, scenario)) for name, scenario in _scenarios.items() if name in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # what the SDK left open, before it is the next module's


class Broker:
    """A broker with one queue, named ``q``."""

    def __init__(self, connection_string: str, control: str) -> None:
        self.connection_string = connection_string
        self.control = ControlClient(control)
        self.client = self.connect()

    def connect(self, **options: Any) -> ServiceBusClient:
        """A client that reports the first error, unless it is told to be patient."""
        return ServiceBusClient.from_connection_string(self.connection_string, **{"retry_total": 0, **options})

    def dead_letters(self) -> ServiceBusReceiver:
        return self.client.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    async def counts(self) -> dict[str, int]:
        queues: dict[str, dict[str, int]] = await self.control.call("GET", "/control/queues")
        return queues["q"]

    async def until(self, **wanted: int) -> None:
        """Wait for the queue to hold what is said."""
        async with asyncio.timeout(SECONDS):
            while not (await self.counts()).items() >= wanted.items():
                await asyncio.sleep(0.02)


def written(folder: Path, **queue: Any) -> Path:
    """The file that says that there is a queue ``q``."""
    file = folder / "queues.json"
    file.write_text(json.dumps({"queues": {"q": queue}}))
    return file


@asynccontextmanager
async def broker(folder: Path, **queue: Any) -> AsyncIterator[Broker]:
    control = Control()
    arguments = Namespace(entities=written(folder, **queue), port=0, data=None)
    async with service(arguments, control) as ready, serving(control.app()) as url:
        broker = Broker(ready["connection_string"], url)
        async with broker.client:
            yield broker


async def one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = await receiver.receive_messages(1, max_wait_time=SECONDS)
    return message


async def none(receiver: ServiceBusReceiver) -> None:
    assert await receiver.receive_messages(1, max_wait_time=0.2) == []


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


# -- what is refused


async def refused(kind: type[Exception], why: str, handler: ServiceBusSender | ServiceBusReceiver) -> None:
    with pytest.raises(kind, match=why):
        await handler.__aenter__()
    await handler.close()


@at_once
async def test_when_an_entity_or_a_receiver_is_not_supported_then_it_is_refused(folder: Path) -> None:
    deleting = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with broker(folder) as bus:
        client = bus.client
        await asyncio.gather(
            refused(MessagingEntityNotFoundError, "could not be found", client.get_queue_sender("nope")),
            refused(MessagingEntityNotFoundError, "could not be found", client.get_queue_receiver("nope")),
            refused(ServiceBusError, r"topics .* not supported", client.get_subscription_receiver("t", "s")),
            refused(ServiceBusError, "delete: not supported", client.get_queue_receiver("q", receive_mode=deleting)),
            refused(ServiceBusError, "without sessions", client.get_queue_receiver("q", session_id="s")),
        )


@at_once
async def test_when_a_queue_requires_sessions_then_all_else_is_refused(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        await refused(ServiceBusError, "requires sessions", bus.client.get_queue_receiver("q"))
        with pytest.raises(ServiceBusError, match="without a session id"):
            await sender.send_messages(ServiceBusMessage("m"))


@at_once
async def test_when_the_key_is_wrong_then_the_client_is_not_let_in(folder: Path) -> None:
    async with broker(folder) as bus:
        bus.connection_string = bus.connection_string.replace("SharedAccessKey=", "SharedAccessKey=wrong")
        async with bus.connect() as client:
            await refused(ServiceBusAuthenticationError, "client-error", client.get_queue_sender("q"))


@at_once
async def test_when_a_message_asks_for_what_is_not_supported_then_it_is_refused(folder: Path) -> None:
    async with broker(folder) as bus, bus.client.get_queue_sender("q") as sender:
        with pytest.raises(ServiceBusError, match=r"partition key .* not supported"):
            await sender.send_messages(ServiceBusMessage("m", partition_key="k"))
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_message_is_deferred_then_that_is_refused(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("m"))
        with pytest.raises(ServiceBusError, match="receive-by-sequence-number: not supported"):
            await receiver.receive_deferred_messages([1])
        with pytest.raises(ServiceBusError, match="defer: not supported"):
            await receiver.defer_message(await one(receiver))
        assert (await bus.counts())["locked"] == 1


@at_once
async def test_when_a_session_state_is_asked_for_then_that_is_refused(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_receiver("q", session_id="s") as receiver:
        with pytest.raises(ServiceBusError, match="get-session-state: not supported"):
            await receiver.session.get_state()


# -- faults


@at_once
async def test_when_the_service_is_busy_then_the_sdk_is_told_and_tries_again(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.connect(**PATIENT) as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        async with bus.client.get_queue_sender("q") as impatient:
            await bus.control.faults([{"operation": "send q", "kind": "status", "status": 503, "times": 1}])
            with pytest.raises(ServiceBusServerBusyError):
                await impatient.send_messages(ServiceBusMessage("m"))
        await bus.control.faults(
            [
                {"operation": "send q", "kind": "status", "status": 503, "times": 1},
                {"operation": "complete q", "kind": "status", "status": 429, "times": 1},
            ]
        )
        await bus.control.reset()
        await sender.send_messages(ServiceBusMessage("m"))
        await receiver.complete_message(await one(receiver))
        counts = await bus.control.counts()
        assert (counts["send q"], counts["deliver q"], counts["complete q"]) == (2, 1, 2)
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_delivery_fails_then_the_client_is_told_and_the_message_waits(folder: Path) -> None:
    async with broker(folder) as bus, bus.client.get_queue_sender("q") as sender:
        await bus.control.faults([{"operation": "deliver q", "kind": "status", "status": 503, "times": 1}])
        await sender.send_messages(ServiceBusMessage("m"))
        async with bus.client.get_queue_receiver("q") as receiver:
            with pytest.raises(ServiceBusServerBusyError):
                await one(receiver)
        async with bus.client.get_queue_receiver("q") as receiver:
            assert (await one(receiver)).delivery_count == 0


@at_once
async def test_when_the_answer_to_a_send_is_lost_then_sending_again_makes_no_second_message(folder: Path) -> None:
    async with (
        broker(folder, duplicate_detection_seconds=600) as bus,
        bus.connect(**PATIENT) as client,
        client.get_queue_sender("q") as sender,
    ):
        await bus.control.faults([{"operation": "send q", "kind": "drop", "times": 1}])
        await sender.send_messages(ServiceBusMessage("m", message_id=uuid4().hex))
        assert (await bus.control.counts())["send q"] == 2
        assert (await bus.counts())["active"] == 1


@at_once
async def test_when_answers_are_delayed_then_they_are_late(folder: Path) -> None:
    async with broker(folder) as bus, bus.client.get_queue_sender("q") as sender:
        await bus.control.faults([{"operation": "send q", "kind": "delay", "seconds": 0.5, "times": 1}])
        started = time.monotonic()
        await sender.send_messages(ServiceBusMessage("m"))
        assert time.monotonic() - started >= 0.5


@at_once
async def test_when_a_lock_is_taken_away_then_the_client_is_told_and_the_message_comes_again(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("m"))
        uses: dict[str, Callable[[ServiceBusReceivedMessage], Awaitable[object]]] = {
            "complete": receiver.complete_message,
            "abandon": receiver.abandon_message,
            "dead-letter": receiver.dead_letter_message,
            "renew-lock": receiver.renew_message_lock,
        }
        for count, (operation, use) in enumerate(uses.items()):
            await bus.control.faults([{"operation": f"{operation} q", "kind": "lock-lost", "times": 1}])
            message = await one(receiver)
            assert message.delivery_count == count
            with pytest.raises(MessageLockLostError):
                await use(message)
        await receiver.complete_message(await one(receiver))
        assert sum((await bus.counts()).values()) == 0


@at_once
async def test_when_a_session_is_taken_away_then_the_client_is_told_and_may_accept_it_again(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("m", session_id="s"))
        await bus.control.faults([{"operation": "renew-session-lock q", "kind": "lock-lost", "times": 1}])
        async with bus.client.get_queue_receiver("q", session_id="s") as receiver:
            await one(receiver)
            with pytest.raises(SessionLockLostError):
                await receiver.session.renew_lock()
        async with bus.client.get_queue_receiver("q", session_id="s") as receiver:
            assert (await one(receiver)).delivery_count == 1


@at_once
async def test_when_connecting_fails_then_the_sdk_says_so(folder: Path) -> None:
    async with broker(folder) as bus:
        for kind in ("status", "drop"):
            await bus.control.faults([{"operation": "connect", "kind": kind, "times": 1}])
            await refused(ServiceBusError, ".", bus.client.get_queue_sender("q"))


# -- the process


async def start(folder: Path, *options: object) -> Process:
    given = ["--entities", folder / "queues.json", "--data", folder / "data", *options]
    return await Process.start("servicebus", "local.servicebus", given, environment=os.environ, logs=folder)


@at_once
async def test_when_it_is_killed_then_what_it_acknowledged_is_there_again(folder: Path) -> None:
    written(folder, duplicate_detection_seconds=600, lock_seconds=300)
    process = await start(folder)
    try:
        bus = Broker(process.ready["connection_string"], process.control)
        async with (
            bus.connect(**PATIENT) as client,
            client.get_queue_sender("q") as sender,
            client.get_queue_receiver("q") as receiver,
        ):
            await sender.send_messages([ServiceBusMessage(text, message_id=text) for text in "abcd"])
            await receiver.complete_message(await one(receiver))
            await receiver.dead_letter_message(await one(receiver), reason="why")
            await receiver.abandon_message(await one(receiver))
            await process.kill()
            process = await start(folder, "--port", process.url.rpartition(":")[2])
            await sender.send_messages(ServiceBusMessage("again", message_id="a"))
            for wanted in (("c", 1), ("d", 0)):
                message = await one(receiver)
                assert (str(message), message.delivery_count) == wanted
                await receiver.complete_message(message)
        bus = Broker(process.ready["connection_string"], process.control)
        assert await bus.counts() == {"active": 0, "scheduled": 0, "locked": 0, "dead_lettered": 1}
        dump = json.loads(await bus.control.dump())
        assert dump["q"] == []
        (dead,) = dump["q/$deadletterqueue"]
        assert (dead["body"], dead["properties"]["message_id"]) == (["b"], "b")
        assert dead["application_properties"]["DeadLetterReason"] == "why"
    finally:
        await process.stop(grace=5)


async def test_when_the_entities_are_malformed_then_it_does_not_start(tmp_path: Path) -> None:
    written(tmp_path, max_deliveries=10)
    with pytest.raises(StartFailed, match="max_deliveries"):
        await start(tmp_path)
