"""Times and ids: UTC in ISO 8601 with microseconds and a Z, so that they sort as text; ids are UUIDv7."""

import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer


def utc_now() -> datetime:
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """``2026-11-22T09:30:00.000000Z``, always of this length."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


type Timestamp = Annotated[datetime, PlainSerializer(utc_text, when_used="json")]
"""A datetime in a model, stored as :func:`utc_text`."""


def in_utc(moment: datetime) -> datetime:
    """A time that does not say where it is one is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def uuid7() -> str:
    """RFC 9562, section 5.7: 48 bits of Unix milliseconds, then random bits."""
    random = secrets.randbits(74)
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))
