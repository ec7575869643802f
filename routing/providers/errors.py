"""How a model fails to answer, whatever the provider. No message holds anything that was said."""

import email.utils
from collections.abc import Mapping
from typing import ClassVar, Literal

from governance.reservations import Usage
from services.clock import in_utc, utc_now

GATEWAY_STATUSES = (408, 502, 504)
"""Said by what stands before a model, which may have run all the same."""
MISPLACED = (401, 403, 404, 410)
"""The endpoint is not what it was configured to be, whatever it is asked; so is one that redirects."""

NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "LocalProtocolError")
"""What httpx calls it when nothing has reached the provider."""
CONNECT_SECONDS = 5.0
"""For a connection: who does not take it by then is not there, and the next endpoint may be."""

UNKNOWN = Usage()
"""What nobody knows is charged as it was reserved."""


class ModelError(Exception):
    """The model did not answer. The message names the kind of failure."""

    then: Literal["again", "elsewhere", "stop"] = "again"
    """What may help: the same call once more, another endpoint, or nothing."""
    used: Usage | None = None
    """What the provider may have charged for; None if it was not asked, or made nothing of it."""
    retry_after_seconds: float | None = None


class ModelRefused(ModelError):
    """The provider answered with an error: nothing was generated, nothing is charged."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        if status < 400 or status in MISPLACED:
            self.then = "elsewhere"
        elif status not in (409, 429) and status < 500:
            self.then = "stop"  # it may be for what was asked, and nobody else is to be tried with that


class ModelUnreachable(ModelError):
    """The request never reached the provider."""


class ModelOutcomeUnknown(ModelError):
    """The request was sent and no answer came: the provider may have charged for it."""

    used = UNKNOWN


class EmptyAnswer(ModelError):
    """The model answered with nothing."""

    then = "elsewhere"

    def __init__(self, used: Usage) -> None:
        super().__init__("an empty answer")
        self.used = used


class Final(ModelError):
    """The provider read what was asked, and makes no answer of it. Azure charges for having read it, so that counts as
    used: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs."""

    then = "stop"
    kind: ClassVar[str]

    def __init__(self, used: Usage = UNKNOWN) -> None:
        super().__init__(self.kind)
        self.used = used


class ModelDeclined(Final):
    """The model, or the provider's content filter, refuses to answer. Nobody else is asked."""

    kind = "declined"


class ContextTooLong(Final):
    """The question and the longest answer do not fit the model's context."""

    kind = "too long"


class NotOffered(ModelError):
    """The provider has nothing of the kind."""

    then = "elsewhere"


def refused(status: int, headers: Mapping[str, str]) -> ModelError:
    """What a status of no special meaning says. Below 300 it is of a stream in which an error comes later."""
    if status == 413:
        return ContextTooLong()
    unknown = status < 300 or status in GATEWAY_STATUSES
    error: ModelError = ModelOutcomeUnknown(f"status {status}") if unknown else ModelRefused(status)
    error.retry_after_seconds = _retry_after(headers)
    return error


def unconnected(error: Exception) -> ModelError:
    """What it says that an SDK has no connection (any more)."""
    cause = type(error.__cause__).__name__
    if cause in NOT_SENT:
        return ModelUnreachable(cause)
    return ModelOutcomeUnknown(type(error).__name__)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, section 10.2.3; the milliseconds are Azure OpenAI's and OpenAI's own."""
    milliseconds, value = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    if milliseconds.isascii() and milliseconds.isdigit():
        return int(milliseconds) / 1000
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (in_utc(moment) - utc_now()).total_seconds())
