"""Service Bus messages as Azure Functions hands them to a function: body and trigger metadata.

The names are those of the Service Bus extension 5.x (ServiceBusTriggerBindingStrategy), the forms those of the
Functions host (RpcMessageConversionExtensions). Two of their traits can surprise, and are kept so that they surprise
here first: ``EnqueuedTimeUtc`` and ``ExpiresAtUtc`` carry no zone, so Python sees naive datetimes (in UTC); and in a
batch, the array of an optional text, like the correlation ids, leaves out the messages that have none, so that the rest
move up.
"""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

from local.host.protos import CollectionBytes, CollectionSInt64, CollectionString, TypedData

_TEXTS = {
    "LockToken": "lock_token",
    "MessageId": "message_id",
    "ContentType": "content_type",
    "ReplyTo": "reply_to",
    "To": "to",
    "Subject": "subject",
    "Label": "subject",
    "CorrelationId": "correlation_id",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "PartitionKey": "partition_key",
    "DeadLetterSource": "dead_letter_source",
}
"""The metadata that are texts, and the SDK's names for them."""

_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def body(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


def one(message: ServiceBusReceivedMessage) -> tuple[TypedData, dict[str, TypedData]]:
    """A single message: its body and its metadata; what the message does not have is left out."""
    metadata = {
        name: TypedData(string=str(text))
        for name, attribute in _TEXTS.items()
        if (text := getattr(message, attribute)) is not None
    }
    metadata |= {name: TypedData(json=json.dumps(value)) for name, value in _values(message).items()}
    return TypedData(bytes=body(message)), metadata


def many(messages: Sequence[ServiceBusReceivedMessage]) -> tuple[TypedData, dict[str, TypedData]]:
    """A batch: its bodies and, of every metadatum, an array."""
    metadata = {}
    for name, attribute in _TEXTS.items():
        texts = [str(text) for message in messages if (text := getattr(message, attribute))]
        metadata[f"{name}Array"] = TypedData(collection_string=CollectionString(string=texts))
    values = [_values(message) for message in messages]
    for name in values[0]:
        array = [value[name] for value in values]
        metadata[f"{name}Array"] = (
            TypedData(collection_sint64=CollectionSInt64(sint64=array))
            if name == "SequenceNumber"
            else TypedData(json=json.dumps(array))
        )
    return TypedData(collection_bytes=CollectionBytes(bytes=[body(message) for message in messages])), metadata


def traceparent(message: ServiceBusReceivedMessage) -> str | None:
    """The W3C trace context that the sender left, as Azure's SDKs do (``Diagnostic-Id`` is their older name for it)."""
    properties = _properties(message)
    found = properties.get("traceparent") or properties.get("Diagnostic-Id")
    return found if isinstance(found, str) else None


def _values(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    enqueued = message.enqueued_time_utc or _NEVER
    expires = message.expires_at_utc or _NEVER
    properties = _properties(message)
    return {
        # The header counts earlier deliveries, Azure's metadatum this one too.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "SequenceNumber": message.sequence_number,
        "EnqueuedTimeUtc": enqueued.replace(tzinfo=None).isoformat(),
        "EnqueuedTime": enqueued.isoformat(),
        "ExpiresAtUtc": expires.replace(tzinfo=None).isoformat(),
        "ExpiresAt": expires.isoformat(),
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }


def _properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    properties: dict[Any, Any] = message.application_properties or {}
    return {str(_json(name)): _json(value) for name, value in properties.items()}


def _json(value: Any) -> Any:
    """The SDK leaves AMQP strings as bytes; what JSON has no form for (UUIDs) becomes text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)
