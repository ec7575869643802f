"""How the broker says no: an AMQP error condition, and the status code that a management reply carries.

Conditions and codes: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot
"""

from local.servicebus.codec import Symbol
from local.servicebus.composites import Error


class Refused(Exception):
    """An operation is refused; the client learns the condition and the description."""

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = Symbol(condition)
        self.description = description
        self.status = status

    def error(self) -> Error:
        return Error(self.condition, self.description)


def not_implemented(what: str) -> Refused:
    return Refused("amqp:not-implemented", f"{what}: not supported by this stand-in.", 501)


def not_allowed(why: str) -> Refused:
    return Refused("amqp:not-allowed", why)


def not_found(address: str) -> Refused:
    return Refused("amqp:not-found", f"The messaging entity '{address}' could not be found.", 404)


def unauthorized(why: str) -> Refused:
    return Refused("amqp:unauthorized-access", why, 401)


def message_not_found() -> Refused:
    return Refused("com.microsoft:message-not-found", "The message was not found.", 404)


def message_lock_lost() -> Refused:
    return Refused(
        "com.microsoft:message-lock-lost",
        "The lock supplied is invalid. Either the lock expired, or the message was removed from the queue.",
        410,
    )


def session_lock_lost() -> Refused:
    return Refused("com.microsoft:session-lock-lost", "The session lock has expired. Accept the session again.", 410)


def session_cannot_be_locked(session_id: str) -> Refused:
    return Refused(
        "com.microsoft:session-cannot-be-locked", f"The session '{session_id}' is locked by another receiver.", 409
    )


def no_session_in_time() -> Refused:
    return Refused("com.microsoft:timeout", "No session with messages became available within the timeout.", 408)


def failed_with(status: int) -> Refused:
    """What a fault of this HTTP-like status is in AMQP: busy for 429 and 503, full for 507, else an internal error."""
    if status in (429, 503):
        return Refused("com.microsoft:server-busy", "The request was terminated because the server is busy.", status)
    if status == 507:
        return Refused("amqp:resource-limit-exceeded", "The maximum entity size has been reached.", status)
    return Refused("amqp:internal-error", "The service was unable to process the request.", status)
