"""The Service Bus stand-in when something is refused, goes wrong, or speaks without the SDK."""

import asyncio
import base64
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote_plus, urlsplit
from uuid import uuid4

import pytest
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
)
from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    ServiceBusServerBusyError,
    SessionLockLostError,
)

from local.ports import Ports
from local.process import Process, StartFailed
from local.servicebus.codec import Described, Symbol, UInt, ULong
from local.servicebus.composites import Attach, Begin, Close, Detach, Open, SaslInit, Source, Target
from local.servicebus.errors import Refused
from local.servicebus.frames import AMQP_HEADER, SASL_HEADER, Frame, FrameReader, frame
from local.servicebus.management import check_signature
from tests.stack.servicebus_kit import (
    AT_ONCE,
    PATIENT,
    Broker,
    at_once,
    broker,
    one,
    running,  # noqa: F401 - a fixture
    written,
)

pytestmark = AT_ONCE

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


@pytest.mark.parametrize(
    ("key", "expires_in", "changed", "why"),
    [
        ("key", 60, "", None),
        ("key", -1, "", "expired"),
        ("other", 60, "", "signature"),
        ("key", 60, "&skn=nobody", "signature"),
        ("key", 60, "&se=never", "malformed"),
    ],
)
async def test_when_a_token_is_shown_then_its_signature_and_its_end_count(
    key: str, expires_in: int, changed: str, why: str | None
) -> None:
    resource, ends = quote_plus("sb://localhost:5672/Requests"), int(time.time()) + expires_in
    signature = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{ends}".encode(), "sha256"))
    token = f"SharedAccessSignature sr={resource}&sig={quote_plus(signature)}&se={ends}&skn=name{changed}"
    if why is None:
        assert check_signature(token, {"name": "key"}) == "requests"
    else:
        with pytest.raises(Refused, match=why):
            check_signature(token, {"name": "key"})


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
async def test_when_the_queue_is_full_then_the_sdk_does_not_try_again(folder: Path) -> None:
    async with broker(folder) as bus, bus.connect(**PATIENT) as client, client.get_queue_sender("q") as sender:
        await bus.control.faults([{"operation": "send q", "kind": "status", "status": 507}])
        with pytest.raises(ServiceBusError, match="maximum entity size"):
            await sender.send_messages(ServiceBusMessage("m"))
        assert (await bus.control.counts())["send q"] == 1


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


# -- without the SDK


async def talk(bus: Broker, *frames: bytes) -> list[bytes | Frame]:
    """All that the broker answers to this until it hangs up."""
    host, _, port = urlsplit(bus.connection_string.split(";")[0].partition("=")[2]).netloc.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(frames))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return list(FrameReader().feed(answer))


def conditions(answers: list[bytes | Frame]) -> list[str]:
    """The errors among them."""
    said = [answer.performative for answer in answers if isinstance(answer, Frame)]
    return [end.error.condition for end in said if isinstance(end, Detach | Close) and end.error]


HELLO = [
    SASL_HEADER,
    frame(0, SaslInit(Symbol("ANONYMOUS")), sasl=True),
    AMQP_HEADER,
    frame(0, Open("test")),
    frame(0, Begin(None, UInt(0), UInt(100), UInt(100))),
]


@at_once
async def test_when_no_token_was_shown_then_no_link_is_attached(folder: Path) -> None:
    async with broker(folder) as bus:
        attach = Attach("link", UInt(0), False, source=Source(), target=Target("q"))
        answers = await talk(bus, *HELLO, frame(0, attach), frame(0, Close()))
        assert conditions(answers) == ["amqp:unauthorized-access"]


@at_once
async def test_when_a_transaction_is_asked_for_then_it_is_refused(folder: Path) -> None:
    async with broker(folder) as bus:
        attach = Attach("link", UInt(0), False, source=Source(), target=Described(ULong(0x30), []))
        answers = await talk(bus, *HELLO, frame(0, attach), frame(0, Close()))
        assert conditions(answers) == ["amqp:not-implemented"]


@at_once
async def test_when_a_client_speaks_another_protocol_then_it_is_told_which_one_is_spoken(folder: Path) -> None:
    async with broker(folder) as bus:
        assert await talk(bus, b"AMQP\x02\x01\x00\x00") == [SASL_HEADER]


@at_once
async def test_when_a_frame_is_garbage_then_the_connection_is_closed_with_an_error(folder: Path) -> None:
    async with broker(folder) as bus:
        answers = await talk(bus, *HELLO, b"\x00\x00\x00\x0a\x02\x00\x00\x00\x73\x00")
        assert conditions(answers) == ["amqp:decode-error"]


# -- the process


async def start(folder: Path, *options: object) -> Process:
    given = ["--entities", folder / "queues.json", "--data", folder / "data", *options]
    return await Process.start("servicebus", "local.servicebus", given, environment=os.environ, logs=folder)


@at_once
async def test_when_it_is_killed_then_what_it_acknowledged_is_there_again(folder: Path) -> None:
    written(folder, duplicate_detection_seconds=600, lock_seconds=300)
    with Ports() as ports:
        port = ports.take()
        process = await start(folder, "--port", port)
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
                process = await start(folder, "--port", port)
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
