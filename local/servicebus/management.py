"""What clients ask by request and response: ``$cbs`` (tokens) and an entity's ``$management``.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response and, for tokens,
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus
from uuid import UUID

from local.servicebus.codec import Array, Int, Timestamp
from local.servicebus.entity import ACTIVE, SCHEDULED, Queue
from local.servicebus.errors import Refused, not_implemented, unauthorized
from local.servicebus.message import Message, Request, parse, response

if TYPE_CHECKING:
    from local.servicebus.connection import Connection

log = logging.getLogger(__name__)

_NAMESPACE = "com.microsoft:"

_MOST_PEEKED = 250
"""Messages shown at once, whatever is asked for: https://github.com/Azure/azure-sdk-for-python/issues/26643"""


# -- tokens


def answer_token(client: "Connection", request: Request, keys: dict[str, str]) -> bytes:
    """The answer to a request to ``$cbs``."""
    try:
        if request.application_properties.get("operation") != "put-token":
            raise not_implemented("an operation of $cbs other than put-token")
        # The Python SDK says of every token that its type is "jwt": the token itself tells.
        client.allow(check_signature(str(request.body), keys))
        status, description = 202, "Accepted"
    except Refused as refused:
        log.warning("token refused: %s", refused)
        status, description = refused.status, refused.description
    told = {"status-code": Int(status), "status-description": description}
    return response(request.message_id, told, None)


def check_signature(token: str, keys: dict[str, str]) -> str:
    """The path of the entity that a shared access signature is for. Raises Refused."""
    kind, _, rest = token.partition(" ")
    fields = dict(part.partition("=")[::2] for part in rest.split("&"))
    if kind != "SharedAccessSignature":
        raise not_implemented("a token that is no shared access signature")
    if not {"sr", "se", "sig", "skn"} <= set(fields) or not fields["se"].isdigit():
        raise unauthorized("InvalidToken: the token is malformed.")
    key = keys.get(unquote_plus(fields["skn"]), "")
    digest = hmac.digest(key.encode(), f"{fields['sr']}\n{fields['se']}".encode(), hashlib.sha256)
    if not key or not hmac.compare_digest(base64.b64encode(digest), unquote(fields["sig"]).encode()):
        raise unauthorized("InvalidSignature: The token has an invalid signature.")
    if int(fields["se"]) < time.time():
        raise unauthorized("ExpiredToken: The token is expired.")
    return path_of(unquote_plus(fields["sr"]))


def path_of(address: str) -> str:
    """``sb://host:port/Requests/`` or ``Requests`` -> ``requests``: entity names have no case."""
    path = address.partition("://")[2].partition("/")[2] if "://" in address else address
    return unquote(path).strip("/").lower()


# -- the operations of an entity


def answer_management(client: "Connection", queue: Queue, request: Request) -> bytes:
    """The answer to a request to the queue's ``$management``."""
    told: dict[str, Any]
    try:
        body = _perform(client, queue, request)
        told = {"statusCode": Int(200), "statusDescription": "OK"}
        if body.get("messages") == []:
            told = {"statusCode": Int(204), "statusDescription": "No content"}
    except Refused as refused:
        log.warning("%s: %s", queue.name, refused)
        body = None
        told = {
            "statusCode": Int(refused.status),
            "statusDescription": refused.description,
            "errorCondition": refused.condition,
        }
    return response(request.message_id, told, body)


def _perform(client: "Connection", queue: Queue, request: Request) -> dict[str, Any]:
    name = str(request.application_properties.get("operation"))
    perform = _OPERATIONS.get(name.removeprefix(_NAMESPACE))
    if perform is None:
        raise not_implemented(f"the operation {name}")
    arguments = _Arguments(request.body if isinstance(request.body, dict) else {})
    return perform(client, queue, arguments)


class _Arguments:
    """The fields of a request, which must be there and of their type."""

    def __init__(self, fields: dict[Any, Any]) -> None:
        self._fields = fields

    def one[T](self, name: str, kind: type[T]) -> T:
        value = self._fields.get(name)
        if not isinstance(value, kind):
            raise Refused("com.microsoft:argument-error", f"'{name}' is missing or of the wrong type.")
        return value

    def many[T](self, name: str, kind: type[T]) -> list[T]:
        value = self._fields.get(name)
        items = value.items if isinstance(value, Array) else value
        if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
            raise Refused("com.microsoft:argument-error", f"'{name}' is missing or of the wrong type.")
        return items

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        return None if value is None else str(value)


def _renew_locks(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    tokens = arguments.many("lock-tokens", UUID)
    if client.operation(f"renew-lock {queue.name}"):
        for token in tokens:
            queue.lose_lock(token)
    return {"expirations": Array(Timestamp, [Timestamp.of(queue.renew(token)) for token in tokens])}


def _renew_session(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    session_id = arguments.one("session-id", str)
    if client.operation(f"renew-session-lock {queue.name}"):
        queue.lose_session(session_id)
    return {"expiration": Timestamp.of(queue.renew_session(session_id))}


def _peek(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    client.operation(f"peek {queue.name}")
    start, count = arguments.one("from-sequence-number", int), arguments.one("message-count", int)
    now = time.time()
    messages = queue.peek(start, min(count, _MOST_PEEKED), arguments.text("session-id"))
    return {
        "messages": [
            {"message": message.encoded(SCHEDULED if message.enqueued > now else ACTIVE)} for message in messages
        ]
    }


def _schedule(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    messages: list[Message] = [
        parse(_Arguments(held).one("message", bytes)) for held in arguments.many("messages", dict)
    ]
    client.operation(f"schedule {queue.name}", len(messages))
    return {"sequence-numbers": Array(int, queue.send(messages))}


def _cancel(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    numbers = arguments.many("sequence-numbers", int)
    client.operation(f"cancel-scheduled {queue.name}", len(numbers))
    queue.cancel(numbers)
    return {}


def _settle(client: "Connection", queue: Queue, arguments: _Arguments) -> dict[str, Any]:
    """What a client does whose receiving link is gone."""
    status = arguments.text("disposition-status")
    reason, description = arguments.text("deadletter-reason"), arguments.text("deadletter-description")
    settle: Callable[[UUID], None]
    if status == "completed":
        operation, settle = "complete", queue.complete
    elif status == "abandoned":
        operation, settle = "abandon", queue.abandon
    elif status == "suspended":
        operation, settle = "dead-letter", lambda token: queue.dead_letter(token, reason, description)
    else:
        raise not_implemented(f"the disposition {status}")
    for token in arguments.many("lock-tokens", UUID):
        if client.operation(f"{operation} {queue.name}"):
            queue.lose_lock(token)
        settle(token)
    return {}


_OPERATIONS: dict[str, Callable[["Connection", Queue, _Arguments], dict[str, Any]]] = {
    "renew-lock": _renew_locks,
    "renew-session-lock": _renew_session,
    "peek-message": _peek,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "update-disposition": _settle,
}
