"""How much waits in a queue, counted by looking: nothing is taken, locked or changed."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage

from services import queues
from services.bus import BusUnavailable
from services.queues import COUNT_TIMEOUT_SECONDS, MOST_COUNTED, Depth
from tests.stack.servicebus_kit import (
    AT_ONCE,
    Broker,
    at_once,
    broker,
    none,
    one,
    running,  # noqa: F401 - a fixture
)

pytestmark = AT_ONCE


async def filled(bus: Broker, count: int) -> None:
    """Send this many messages."""
    async with bus.client.get_queue_sender("q") as sender:
        for start in range(0, count, 500):
            await sender.send_messages([ServiceBusMessage("m") for _ in range(min(500, count - start))])


@at_once
async def test_when_a_queue_is_empty_then_nothing_is_counted(folder: Path) -> None:
    async with broker(folder) as bus:
        assert await queues.depth(bus.sending, "q") == Depth(messages=0, dead_letters=0, at_least=False)


@at_once
async def test_when_messages_wait_or_are_worked_on_then_each_is_counted_and_dead_letters_apart(folder: Path) -> None:
    async with (
        broker(folder) as bus,
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(5)])
        await sender.schedule_messages(ServiceBusMessage("later"), datetime.now(UTC) + timedelta(minutes=5))
        for _ in range(2):
            await receiver.dead_letter_message(await one(receiver), reason="unreadable")
        await receiver.complete_message(await one(receiver))
        await one(receiver)

        depth = await queues.depth(bus.sending, "q")

        assert await bus.counts() == {"active": 1, "scheduled": 1, "locked": 1, "dead_lettered": 2}
        assert depth == Depth(messages=3, dead_letters=2, at_least=False)


@at_once
async def test_when_a_queue_is_counted_then_its_messages_stay_as_they_were(folder: Path) -> None:
    async with broker(folder, max_delivery_count=2) as bus:
        await filled(bus, 3)
        async with bus.client.get_queue_receiver("q") as receiver:
            await receiver.dead_letter_message(await one(receiver), reason="unreadable")
        await bus.until(active=2, locked=0, dead_lettered=1)
        await bus.control.call("POST", "/control/reset")

        for _ in range(3):  # more often than a message may be delivered
            await queues.depth(bus.sending, "q")

        assert set(await bus.control.counts()) == {"connect", "peek q", "peek q/$deadletterqueue"}
        assert await bus.counts() == {"active": 2, "scheduled": 0, "locked": 0, "dead_lettered": 1}
        async with bus.client.get_queue_receiver("q") as receiver, bus.dead_letters() as dead_letters:
            for _ in range(2):
                message = await one(receiver)
                assert message.delivery_count == 0
                await receiver.complete_message(message)
            assert (await one(dead_letters)).delivery_count == 0
            await none(receiver)


@at_once
async def test_when_there_are_as_many_messages_as_are_counted_then_the_number_is_exact(folder: Path) -> None:
    async with broker(folder) as bus:
        await filled(bus, MOST_COUNTED)
        assert await queues.depth(bus.sending, "q") == Depth(messages=MOST_COUNTED, dead_letters=0, at_least=False)


@at_once
async def test_when_there_are_more_messages_than_are_counted_then_that_is_said(folder: Path) -> None:
    async with broker(folder) as bus:
        await filled(bus, MOST_COUNTED + 1)
        assert await queues.depth(bus.sending, "q") == Depth(messages=MOST_COUNTED, dead_letters=0, at_least=True)


@at_once
async def test_when_a_queue_has_sessions_then_it_is_not_counted_and_no_session_is_taken(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus, bus.client.get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("m", session_id="s"))
        with pytest.raises(BusUnavailable):
            await queues.depth(bus.sending, "q")
        assert "accept-session q" not in await bus.control.counts()
        async with bus.client.get_queue_receiver("q", session_id="s") as receiver:
            assert (await one(receiver)).delivery_count == 0


@at_once
async def test_when_there_is_no_such_queue_then_the_bus_is_unavailable(folder: Path) -> None:
    async with broker(folder) as bus:
        with pytest.raises(BusUnavailable, match="nope: MessagingEntityNotFoundError"):
            await queues.depth(bus.sending, "nope")


@at_once
async def test_when_either_part_cannot_be_counted_then_the_bus_is_unavailable(folder: Path) -> None:
    for operation in ("peek q", "peek q/$deadletterqueue"):
        async with broker(folder) as bus:
            await filled(bus, 1)
            await bus.control.faults([{"operation": operation, "kind": "status"}])
            with pytest.raises(BusUnavailable) as failed:
                await queues.depth(bus.sending, "q")
            assert failed.value.__suppress_context__


@at_once
async def test_when_service_bus_does_not_answer_then_counting_ends_in_time(folder: Path) -> None:
    async with broker(folder) as bus:
        await bus.control.faults([{"operation": "peek q", "kind": "delay", "seconds": 60}])
        began = time.monotonic()
        with pytest.raises(BusUnavailable, match="TimeoutError"):
            await queues.depth(bus.sending, "q")
        assert time.monotonic() - began < COUNT_TIMEOUT_SECONDS + 5
