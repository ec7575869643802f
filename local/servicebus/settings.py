"""The queues to serve: what the file given with ``--entities`` says."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class QueueSettings(BaseModel):
    """One queue. The names differ from Bicep's only where a unit is said; times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lock_seconds: float = Field(default=60, gt=0, le=300)
    """How long a message or a session stays locked; Azure takes 5 at least, a test may want less."""
    max_delivery_count: int = Field(default=10, ge=1, le=2000)
    """Failed deliveries after which a message is dead-lettered."""
    sessions: bool = False
    duplicate_detection_seconds: float | None = Field(default=None, gt=0, le=7 * 86400)
    """How long a message id is remembered; None: not at all."""
    ttl_seconds: float | None = Field(default=None, gt=0)
    """A message's longest life; it may ask for a shorter one."""
    dead_letter_on_expiry: bool = False


class Entities(BaseModel):
    """The file: ``{"queues": {"requests": {"lock_seconds": 30, ...}, ...}}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queues: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([\w./-]*[A-Za-z0-9_])?$")], QueueSettings]
