"""``host.json`` and app settings: what the app tells its host.

See https://learn.microsoft.com/azure/azure-functions/functions-host-json. Settings that change what a function sees and
are not served here are refused; those without effect on one machine are named and ignored.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class Refused(Exception):
    """The app asks for something that this host does not do. The message names it."""


def resolved(text: str) -> str:
    """``%NAME%`` replaced by the app setting NAME, wherever it stands. Raises :class:`Refused` if it is not set."""
    return re.sub(r"%([^%]+)%", lambda name: setting(name[1]), text)


def setting(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise Refused(f"the app setting {name} is not set") from None


def _time_span(value: Any) -> Any:
    """.NET's ``[d.]hh:mm:ss``."""
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})", str(value))
    if match is None:
        raise ValueError("not a time span of the form hh:mm:ss")
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class Http(_Settings):
    route_prefix: str = "api"


class ServiceBus(_Settings):
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus (extension 5.x)"""

    prefetch_count: int = Field(default=0, ge=0)
    max_concurrent_calls: int = Field(default=16, ge=1)
    """How many invocations of one function at a time, for one message each."""
    max_message_batch_size: int = Field(default=1000, ge=1)
    max_auto_lock_renewal_duration: Annotated[timedelta, BeforeValidator(_time_span)] = timedelta(minutes=5)
    auto_complete_messages: Literal[True] = True
    """Settling by the function itself is not served."""

    # Ignored: the transport and the retries of Azure's own client.
    transport_type: Any = None
    client_retry_options: Any = None


class DurableTask(_Settings):
    """https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-bindings#hostjson-settings"""

    hub_name: str = "TestHubName"
    max_concurrent_activity_functions: int = Field(default=10 * (os.cpu_count() or 1), ge=1)
    max_concurrent_orchestrator_functions: int = Field(default=10 * (os.cpu_count() or 1), ge=1)

    # Ignored: the stack brings its own backend; tracing goes nowhere here.
    storage_provider: Any = None
    tracing: Any = None


class Extensions(_Settings):
    http: Http = Http()
    service_bus: ServiceBus = ServiceBus()
    durable_task: DurableTask = DurableTask()


class HostJson(_Settings):
    version: Literal["2.0"]
    extensions: Extensions = Extensions()

    # Ignored: Azure's log levels, its bundle of bindings, its limits of time and health.
    logging: Any = None
    telemetry_mode: Any = None
    extension_bundle: Any = None
    function_timeout: Any = None
    health_monitor: Any = None

    @classmethod
    def read(cls, app: Path) -> "HostJson":
        """Raises :class:`Refused`."""
        try:
            return cls.model_validate_json((app / "host.json").read_bytes())
        except ValidationError as error:
            raise Refused(f"host.json: {error}") from error
        except OSError as error:
            raise Refused(f"host.json can't be read: {error.strerror}") from error
