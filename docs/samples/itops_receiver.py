"""IT Operations' own receiver: reports as they come, by Microsoft's SDK, an assistant's in their order.

``SERVICEBUS=<connection string> python itops_receiver.py`` against ``make up``; in Azure ``NAMESPACE=<name>.servicebus.
windows.net`` with an identity that may receive from the queue. What a message says: docs/escalations.md.
"""

import json
import os
import sys
from contextlib import AbstractContextManager
from typing import Any

from azure.identity import DefaultAzureCredential
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import OperationTimeoutError

QUEUE = "escalations"
KNOWN = 1
"""The version of the message that this reads."""
WAIT_SECONDS = float(os.environ.get("WAIT_SECONDS", "30"))
"""How long to wait for a session, and for another message of it."""


def client() -> AbstractContextManager[ServiceBusClient]:
    if connection := os.environ.get("SERVICEBUS"):
        return ServiceBusClient.from_connection_string(connection)
    return ServiceBusClient(os.environ["NAMESPACE"], DefaultAzureCredential())


def handle(report: dict[str, Any]) -> None:
    """Whatever IT Operations does with a report; it may come twice, with the same id."""
    urgency = "URGENT " if report["urgent"] else ""
    say(f"{urgency}{report['severity']} {report['kind']} report on {report['assistant']}: {report['id']}")


def settle(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    """Completed when it is handled; set aside for a person when it can't be read; else it comes again, ten times."""
    try:
        report = json.loads(str(message))
        if report["v"] != KNOWN:
            raise ValueError(f"version {report['v']}")
    except (ValueError, KeyError, TypeError) as error:
        receiver.dead_letter_message(message, reason="unreadable", error_description=type(error).__name__)
        return
    try:
        handle(report)
    except Exception:
        receiver.abandon_message(message)
        raise
    receiver.complete_message(message)


def dead_letters(bus: ServiceBusClient) -> int:
    """How many were set aside, or failed ten times: docs/operations.md says how they are delivered again."""
    with bus.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
        return len(receiver.peek_messages(max_message_count=100))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    with client() as bus:
        say(f"waiting for reports; {dead_letters(bus)} set aside")
        while True:
            try:
                session = bus.get_queue_receiver(QUEUE, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=WAIT_SECONDS)
                with session as receiver:
                    for message in receiver:
                        settle(receiver, message)
            except OperationTimeoutError:  # no session with messages: wait on
                if "ONCE" in os.environ:
                    return


if __name__ == "__main__":
    main()
