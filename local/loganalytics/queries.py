"""KQL in, the tables of an answer out. Blocks; call it in a thread.

The translation is duckdb-kql's. What Azure's KQL has and it does not raises
:class:`duckdb_kql.KqlUnsupportedError`: that is the stand-in's limit, not an error of the query. So does what it would
quietly answer otherwise than Azure: names in the wrong case, and some escapes and kinds of string.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import duckdb_kql
from duckdb_kql.types import kusto_type

_CONTROL_COMMAND = re.compile(r"\s*(//[^\n]*\n\s*)*\.")

_KQL_STRING = re.compile(
    r"""//[^\n]*|@"[^"]*"|@'[^']*'|(?P<plain>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<other>\b[hH]@?["']|```)"""
)
_SQL_NAME = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")+)\"""")


class ControlCommand(Exception):
    """A management command (``.show``, ``.set``, ...). The Logs Query API has queries only."""


def run(
    session: duckdb.DuckDBPyConnection, columns: dict[str, list[str]], kql: str, now: datetime
) -> list[dict[str, Any]]:
    """The ``tables`` of the answer.

    Raises :class:`ControlCommand`, :class:`duckdb_kql.errors.KqlError` and :class:`duckdb.Error`;
    :class:`duckdb.InterruptException` after ``session.interrupt()``.
    """
    if _CONTROL_COMMAND.match(kql):
        raise ControlCommand("a query does not begin with a dot")
    _refuse_unknown_strings(kql)
    sql = duckdb_kql.to_sql(kql, schema=columns, allow_write=False, query_now=now)
    _refuse_wrong_case(str(sql), columns)
    if sql.unbound:
        raise duckdb_kql.KqlSchemaError(", ".join(sql.unbound), "a query parameter with neither value nor default")
    result = session.execute(str(sql), sql.parameters or None)
    names = [column[0] for column in result.description or ()]
    types = [kusto_type(column[1]) for column in result.description or ()]
    encoders = [_encoder(kind, str(column[1])) for kind, column in zip(types, result.description or (), strict=True)]
    rows = [
        [None if value is None else encode(value) for encode, value in zip(encoders, row, strict=True)]
        for row in result.fetchall()
    ]
    described = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
    return [{"name": "PrimaryResult", "columns": described, "rows": rows}]


def _refuse_unknown_strings(kql: str) -> None:
    for match in _KQL_STRING.finditer(kql):
        if match["other"]:
            raise duckdb_kql.KqlUnsupportedError("string", hint="obfuscated and multi-line strings")
        for escaped in re.finditer(r"\\(.)", match["plain"] or ""):
            if escaped[1] not in "\\\"'nrt":
                raise duckdb_kql.KqlUnsupportedError(escaped[0], hint="an escape; write the character itself")


def _refuse_wrong_case(sql: str, columns: dict[str, list[str]]) -> None:
    """KQL's names are case-sensitive; DuckDB would find the column all the same."""
    exact = {name.lower(): name for table, names in columns.items() for name in (table, *names)}
    for match in _SQL_NAME.finditer(sql):
        if match[1] and exact.get(match[1].lower(), match[1]) != match[1]:
            hint = f"it differs from {exact[match[1].lower()]} by case only, and DuckDB cannot tell them apart"
            raise duckdb_kql.KqlUnsupportedError(match[1], hint=hint)


def _encoder(kind: str, duckdb_type: str) -> Callable[[Any], Any]:
    if duckdb_type == "JSON[]":
        return lambda values: _dynamic([value and json.loads(value) for value in values])
    return _ENCODERS.get(kind, lambda value: value)


def _datetime(value: date | datetime) -> str:
    if not isinstance(value, datetime):
        return f"{value.isoformat()}T00:00:00Z"
    if value.tzinfo:
        value = value.astimezone(UTC).replace(tzinfo=None)
    text = value.isoformat()
    return (text.rstrip("0") if value.microsecond else text) + "Z"


def _timespan(value: timedelta) -> str:
    """.NET's ``[-][d.]hh:mm:ss[.fffffff]``."""
    length = abs(value)
    minutes, seconds = divmod(length.seconds, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    if length.days:
        text = f"{length.days}.{text}"
    if length.microseconds:
        text += f".{length.microseconds:06}0"
    return f"-{text}" if value < timedelta(0) else text


def _real(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _dynamic(value: Any) -> str | None:
    """Objects, arrays, numbers and booleans as JSON text; a string as it is."""
    if isinstance(value, str):
        value = json.loads(value)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_scalar)


def _scalar(value: Any) -> Any:
    return _datetime(value) if isinstance(value, date) else str(value)


_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "datetime": _datetime,
    "timespan": _timespan,
    "real": _real,
    "dynamic": _dynamic,
    "decimal": str,
    "guid": str,
}
