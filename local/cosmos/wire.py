"""What the REST API looks like on the wire: errors, resource ids, the headers that carry JSON.

https://learn.microsoft.com/rest/api/cosmos-db/
"""

import base64
import hashlib
import json
import struct
from typing import Any
from urllib.parse import parse_qsl, unquote

MAX_ITEM_BYTES = 2 * 1024 * 1024
"""https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits"""

_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class CosmosError(Exception):
    """An answer other than success. ``substatus`` tells apart what shares a status."""

    def __init__(self, status: int, message: str, substatus: int = 0, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.substatus = substatus
        self.headers = headers or {}

    def body(self) -> bytes:
        return dumps({"code": _CODES.get(self.status, "Error"), "message": self.message})


def bad_request(message: str, substatus: int = 0) -> CosmosError:
    return CosmosError(400, message, substatus)


def not_supported(what: str) -> CosmosError:
    """The refusal of what Azure has and this stand-in doesn't."""
    return CosmosError(400, f"Not supported by this stand-in: {what}.")


def not_found() -> CosmosError:
    return CosmosError(404, "Entity with the specified id does not exist in the system.")


def conflict() -> CosmosError:
    return CosmosError(409, "Entity with the specified id already exists in the system.")


def precondition_failed() -> CosmosError:
    return CosmosError(412, "Operation cannot be performed because one of the specified precondition is not met.")


def too_large() -> CosmosError:
    return CosmosError(413, "Request size is too large.")


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def loads(text: bytes | str) -> Any:
    """JSON as RFC 8259 has it. Raises :class:`CosmosError`, 400."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request("The request body or a header is not valid JSON.") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def resource_id(name: str, size: int, above: bytes = b"") -> bytes:
    """A resource's internal id, below that of the resource that holds it: the same for the same name at every start."""
    return above + hashlib.sha256(name.encode()).digest()[:size]


def item_resource_id(container: bytes, sequence: int) -> str:
    return encoded_id(container + struct.pack("<Q", sequence))


def encoded_id(resource: bytes) -> str:
    return base64.b64encode(resource, b"+-").decode()


def partition_key(header: str | None) -> str | None:
    """The logical partition that the partition key header names, as canonical text; None without the header.

    The header is a JSON array of one value; ``{}`` in it stands for "the item has no such property".
    """
    if header is None:
        return None
    values = loads(header)
    if not isinstance(values, list) or len(values) != 1:
        raise not_supported("a partition key of other than one value")
    return partition_of(values[0])


def partition_of(value: Any) -> str:
    """The canonical text of a partition key value."""
    if isinstance(value, list) or (isinstance(value, dict) and value):
        raise bad_request("A partition key value is a string, a number, a boolean or null.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


def bearer_token(header: str | None) -> str:
    """The token in ``type=aad&ver=1.0&sig=<token>`` (URL-encoded). Keys are refused: local authentication is off.

    https://learn.microsoft.com/azure/cosmos-db/how-to-connect-role-based-access-control
    """
    fields = dict(parse_qsl(unquote(header or "").replace("+", "%2B")))
    match fields:
        case {"type": "aad", "ver": "1.0", "sig": token}:
            return token
        case {"type": "master"}:
            raise CosmosError(401, "Local Authorization is disabled. Use an AAD token to authorize all requests.")
        case _:
            raise CosmosError(401, "Required Header authorization is missing. Ensure a valid token is passed.")


def session_lsn(header: str | None) -> int | None:
    """The log sequence number in a session token (``0:-1#12``: partition key range, version, number)."""
    if not header:
        return None
    try:
        return int(header.partition(",")[0].split("#")[1])
    except (IndexError, ValueError) as error:
        raise bad_request("The session token is not valid.") from error
