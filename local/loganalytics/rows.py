"""From the JSON of an upload to rows: what Azure keeps of each record, and what it quietly does not."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from local.loganalytics.schema import KqlType

MAX_VALUE_BYTES = 64 * 1024
"""https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api"""

OLDEST, NEWEST = timedelta(days=-2), timedelta(days=1)
"""A ``TimeGenerated`` outside of this, seen from now, is replaced by now:
https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns#timegenerated"""


class MalformedUpload(Exception):
    """Not a JSON array of objects. The message says what it is instead, and quotes none of it."""


@dataclass
class Losses:
    """What was not kept as it was sent: how many values, by column."""

    undeclared: Counter[str] = field(default_factory=Counter)
    mistyped: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    times_replaced: int = 0


def parse(body: bytes) -> list[dict[str, Any]]:
    """The records of an upload. Raises :class:`MalformedUpload`."""
    try:
        records = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedUpload(f"the body is not JSON ({type(error).__name__})") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise MalformedUpload("the body is not a JSON array of objects")
    return records


def convert(
    records: list[dict[str, Any]], columns: dict[str, KqlType], received: datetime
) -> tuple[list[list[Any]], Losses]:
    """Rows in the order of ``columns``, of values that JSON can carry and DuckDB casts to the column's type."""
    losses = Losses()
    rows = []
    for record in records:
        losses.undeclared.update(record.keys() - columns.keys())
        row = {name: _convert(name, record.get(name), kind, losses) for name, kind in columns.items()}
        row["TimeGenerated"] = _time_generated(row["TimeGenerated"], received, losses)
        rows.append(list(row.values()))
    return rows, losses


def _convert(name: str, value: Any, kind: KqlType, losses: Losses) -> Any:
    if value is not None:
        try:
            converted = _CONVERTERS[kind](value)
        except (ValueError, OverflowError):
            losses.mistyped[name] += 1
        else:
            if kind in ("string", "dynamic") and len(utf8 := converted.encode()) > MAX_VALUE_BYTES:
                losses.truncated[name] += 1
                text = utf8[:MAX_VALUE_BYTES].decode(errors="ignore")
                # A dynamic value that was cut is no longer JSON; a dynamic can hold what is left as a string.
                return text if kind == "string" else json.dumps(text, ensure_ascii=False)
            return converted
    # KQL's strings are never null.
    return "" if kind == "string" else None


def _time_generated(value: str | None, received: datetime, losses: Losses) -> str:
    if value is None:
        return _utc(received)
    if not OLDEST <= datetime.fromisoformat(value).replace(tzinfo=UTC) - received <= NEWEST:
        losses.times_replaced += 1
        return _utc(received)
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")
    value.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return value


def _whole(bits: int) -> Callable[[Any], int]:
    def whole(value: Any) -> int:
        if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"not a whole number of {bits} bits")
        return value

    return whole


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(number := float(value)):
        raise ValueError("not a finite number")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _datetime(value: Any) -> str:
    """ISO 8601; UTC where it does not say otherwise."""
    moment = datetime.fromisoformat(_string(value))
    return _utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _dynamic(value: Any) -> str:
    return _string(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _guid(value: Any) -> str:
    return str(UUID(_string(value)))


_CONVERTERS: dict[KqlType, Callable[[Any], Any]] = {
    "string": _string,
    "int": _whole(32),
    "long": _whole(64),
    "real": _real,
    "boolean": _boolean,
    "datetime": _datetime,
    "dynamic": _dynamic,
    "guid": _guid,
}
