"""Where the rows are: DuckDB, in a file or in memory. Its methods block; call them in a thread.

Each table is kept with one more column, when its rows become visible. Queries see it through a view.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from local.loganalytics.schema import KqlType, Rule, Stream
from local.loganalytics.timespans import Interval

VISIBLE_AT = "_visible_at"

_DUCKDB_TYPES: dict[KqlType, str] = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
    "guid": "UUID",
}

# A query must not reach files or the network, and no extension is fetched behind anyone's back.
_SANDBOX: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Store:
    def __init__(self, rule: Rule, folder: Path | None) -> None:
        """Opens what is in ``folder``, or starts empty. Raises :class:`ValueError` if the columns don't fit."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._rule = rule
        self._duckdb = duckdb.connect(folder / "loganalytics.duckdb" if folder else ":memory:", config=_SANDBOX)
        self._duckdb.execute("CREATE SCHEMA IF NOT EXISTS stored")
        for stream in rule.streams.values():
            self._create(stream)

    def _create(self, stream: Stream) -> None:
        """Make the table, or add the columns that it lacks; as in Azure, a column keeps its type."""
        table = _stored(stream)
        self._duckdb.execute(f"CREATE TABLE IF NOT EXISTS {table} ({VISIBLE_AT} TIMESTAMP)")
        existing = {name: kind for name, kind, *_ in self._duckdb.execute(f"DESCRIBE {table}").fetchall()}
        for name, kql_type in stream.columns.items():
            kind = _DUCKDB_TYPES[kql_type]
            if existing.get(name, kind) != kind:
                raise ValueError(f"{stream.table}.{name} is kept as {existing[name]}; it cannot become {kind}")
            self._duckdb.execute(f'ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "{name}" {kind}')

    def append(self, stream: Stream, rows: list[list[Any]], visible_at: datetime) -> None:
        """Store all the rows, or none; when it returns, they outlive the process.

        They go in as one JSON document: a statement per row takes thirty times as long.
        """
        names = ", ".join(f'"{name}"' for name in stream.columns)
        values = ", ".join(
            f"CAST(cells ->> {index} AS {_DUCKDB_TYPES[kind]})" for index, kind in enumerate(stream.columns.values())
        )
        self._duckdb.cursor().execute(
            f"INSERT INTO {_stored(stream)} ({VISIBLE_AT}, {names}) "  # noqa: S608 - names are checked by the schema
            f"SELECT $1, {values} FROM (SELECT unnest(CAST($2 AS JSON[])) AS cells)",
            [_naive(visible_at), json.dumps(rows, ensure_ascii=False)],
        )

    def session(self, now: datetime, interval: Interval | None) -> duckdb.DuckDBPyConnection:
        """A connection that sees the tables as a query made ``now`` does, within ``interval``."""
        session = self._duckdb.cursor()
        session.execute("SET TimeZone = 'UTC'")
        conditions = [f"{VISIBLE_AT} <= '{_naive(now)}'"]
        if interval is not None:
            conditions.append(f"TimeGenerated BETWEEN '{_naive(interval.start)}' AND '{_naive(interval.end)}'")
        for stream in self._rule.streams.values():
            names = ", ".join(f'"{name}"' for name in stream.columns)
            session.execute(
                f'CREATE TEMP VIEW "{stream.table}" AS '  # noqa: S608 - names are checked by the schema
                f"SELECT {names}, '{stream.table}' AS \"Type\" FROM {_stored(stream)} WHERE {' AND '.join(conditions)}"
            )
        return session

    def columns(self) -> dict[str, list[str]]:
        """The columns of each table that a query sees."""
        return {stream.table: [*stream.columns, "Type"] for stream in self._rule.streams.values()}

    def dump(self) -> str:
        """All rows as JSON lines, also those that no query sees yet."""
        lines: list[str] = []
        for stream in self._rule.streams.values():
            rows = self._duckdb.cursor().execute(
                f"SELECT to_json(r) FROM (SELECT '{stream.table}' AS \"Type\", * FROM {_stored(stream)}) r"  # noqa: S608
            )
            lines += (line for (line,) in rows.fetchall())
        return "".join(f"{line}\n" for line in lines)

    def close(self) -> None:
        self._duckdb.close()


def _stored(stream: Stream) -> str:
    return f'stored."{stream.table}"'


def _naive(moment: datetime) -> datetime:
    """DuckDB's TIMESTAMP has no zone; ours are all UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None)
