"""What a queue gave up: looked at without taking it, and brought back so that nothing is lost or there twice."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from services import queues
from services.bus import BusUnavailable
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

DEAD = "q/$deadletterqueue"


async def given_up(bus: Broker, *messages: ServiceBusMessage, session: str | None = None) -> None:
    """Send them, and have the queue give each up."""
    async with (
        bus.client.get_queue_sender("q") as sender,
        bus.client.get_queue_receiver("q", session_id=session) as receiver,
    ):
        await sender.send_messages(list(messages))
        for _ in messages:
            await receiver.dead_letter_message(await one(receiver), reason="unreadable", error_description="a secret")
    await bus.until(active=0, locked=0)


def message(number: int, **members: Any) -> ServiceBusMessage:
    body = {"v": 1, "request_id": f"r{number}", "row": {"Prompt": "the wages of Alice"}}
    return ServiceBusMessage(json.dumps(body), message_id=f"m{number}", **members)


@at_once
async def test_when_dead_letters_are_listed_then_ids_time_and_reason_are_told_and_nothing_else(folder: Path) -> None:
    async with broker(folder) as bus:
        before = datetime.now(UTC)
        await given_up(bus, message(1), ServiceBusMessage("not JSON: the wages of Alice"), ServiceBusMessage("[1]"))
        first, *others = await queues.dead_letters(bus.sending, "q", limit=10)
        assert (first.message_id, first.about, first.reason) == ("m1", {"request_id": "r1"}, "unreadable")
        assert (before - first.enqueued_at).total_seconds() < 1
        assert [each.about for each in others] == [{}, {}]
        shown = "".join(each.model_dump_json() for each in (first, *others))
        assert "Alice" not in shown
        assert "a secret" not in shown


@at_once
async def test_when_dead_letters_are_listed_by_pages_then_each_is_there_once_and_stays_as_it_was(folder: Path) -> None:
    async with broker(folder) as bus:
        await given_up(bus, *map(message, range(7)))
        await bus.control.call("POST", "/control/reset")
        listed, page = [], await queues.dead_letters(bus.sending, "q", limit=3)
        while page:
            listed += page
            page = await queues.dead_letters(bus.sending, "q", after=page[-1].sequence_number, limit=3)
        assert [each.message_id for each in listed] == [f"m{number}" for number in range(7)]
        assert set(await bus.control.counts()) == {"connect", f"peek {DEAD}"}


@at_once
async def test_when_some_are_brought_back_then_these_and_no_others(folder: Path) -> None:
    async with broker(folder) as bus:
        await given_up(bus, *map(message, range(5)))
        first, _, third, *_ = await queues.dead_letters(bus.sending, "q", limit=5)
        wanted = [third.sequence_number, first.sequence_number, 999_999]
        assert await queues.redrive(bus.sending, "q", wanted) == [first.sequence_number, third.sequence_number]
        left = await queues.dead_letters(bus.sending, "q", limit=5)
        assert [each.message_id for each in left] == ["m1", "m3", "m4"]
        assert await queues.redrive(bus.sending, "q", wanted) == []
        async with bus.client.get_queue_receiver("q") as receiver, bus.dead_letters() as dead_letters:
            for number in (0, 2):
                received = await one(receiver)
                assert json.loads(str(received))["request_id"] == f"r{number}"
                await receiver.complete_message(received)
            await none(receiver)
            assert (await one(dead_letters)).message_id == "m1", "nobody holds those that were passed over"


@at_once
async def test_when_one_is_brought_back_then_it_is_as_it_was_but_for_its_id(folder: Path) -> None:
    async with broker(folder) as bus:
        properties = {"kind": "privacy", "urgent": True}
        await given_up(
            bus,
            message(1, correlation_id="c", content_type="application/json", application_properties=properties),
        )
        (dead,) = await queues.dead_letters(bus.sending, "q", limit=1)
        await queues.redrive(bus.sending, "q", [dead.sequence_number])
        async with bus.client.get_queue_receiver("q") as receiver:
            back = await one(receiver)
            assert str(back) == str(message(1))
            assert (back.correlation_id, back.content_type) == ("c", "application/json")
            said = {
                str(name, "utf-8") if isinstance(name, bytes) else name for name in back.application_properties or {}
            }
            assert said == {"kind", "urgent"}, "it is not told any more why it was given up"
            assert back.message_id == f"m1~{dead.sequence_number}"
            await receiver.dead_letter_message(back, reason="again")
        (again,) = await queues.dead_letters(bus.sending, "q", limit=1)
        await queues.redrive(bus.sending, "q", [again.sequence_number])
        async with bus.client.get_queue_receiver("q") as receiver:
            assert (await one(receiver)).message_id == f"m1~{again.sequence_number}", "it does not grow"


@at_once
async def test_when_its_queue_has_sessions_then_it_goes_back_into_its_own_in_their_order(folder: Path) -> None:
    async with broker(folder, sessions=True) as bus:
        for session in ("a", "b"):
            await given_up(bus, *(message(number, session_id=session) for number in range(3)), session=session)
        dead = await queues.dead_letters(bus.sending, "q", limit=10)
        assert [each.session_id for each in dead] == ["a"] * 3 + ["b"] * 3
        assert len(await queues.redrive(bus.sending, "q", [each.sequence_number for each in dead])) == 6
        for session in ("a", "b"):
            async with bus.client.get_queue_receiver("q", session_id=session) as receiver:
                for number in range(3):
                    received = await one(receiver)
                    assert json.loads(str(received))["request_id"] == f"r{number}"
                    await receiver.complete_message(received)


@at_once
async def test_when_the_queue_detects_repeats_then_what_is_brought_back_at_once_is_not_lost(folder: Path) -> None:
    async with broker(folder, duplicate_detection_seconds=600) as bus:
        await given_up(bus, message(1))
        (dead,) = await queues.dead_letters(bus.sending, "q", limit=1)
        await queues.redrive(bus.sending, "q", [dead.sequence_number])
        assert (await bus.counts()).items() >= {"active": 1, "dead_lettered": 0}.items()


@at_once
async def test_when_it_breaks_off_half_way_then_nothing_is_lost_and_the_next_time_does_the_rest(folder: Path) -> None:
    """Also after the queue has a message and before the dead letter is taken away: the worst moment."""
    for operation, kind in (
        ("send q", "status"),
        (f"complete {DEAD}", "status"),
        (f"complete {DEAD}", "lock-lost"),
        (f"complete {DEAD}", "drop"),
    ):
        async with broker(folder, duplicate_detection_seconds=600, lock_seconds=2) as bus:
            await given_up(bus, *map(message, range(3)))
            dead = [each.sequence_number for each in await queues.dead_letters(bus.sending, "q", limit=3)]
            await bus.control.faults([{"operation": operation, "kind": kind, "status": 400, "times": 1}])
            with pytest.raises(BusUnavailable):
                await queues.redrive(bus.sending, "q", dead)
            while (await bus.counts())["dead_lettered"]:  # one whose connection broke is held until its lock ends
                await queues.redrive(bus.sending, "q", dead)
            assert (await bus.counts())["active"] == 3, (operation, kind)


@at_once
async def test_when_there_is_no_such_queue_or_service_bus_is_away_then_that_is_said(folder: Path) -> None:
    async with broker(folder) as bus:
        for call in (
            queues.dead_letters(bus.sending, "nope", limit=1),
            queues.redrive(bus.sending, "nope", [1]),
        ):
            with pytest.raises(BusUnavailable, match="nope: MessagingEntityNotFoundError"):
                await call
