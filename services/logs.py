"""Log Analytics: events in through the Logs Ingestion API, and out through the Logs Query API."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from azure.core.exceptions import AzureError, HttpResponseError
from azure.monitor.ingestion.aio import LogsIngestionClient
from azure.monitor.query import LogsQueryStatus
from azure.monitor.query.aio import LogsQueryClient

TIMEOUT_SECONDS = 60.0


CALL_BYTES = 900_000
"""For one ingestion call: Azure takes 1,048,576 bytes, and the SDK's own splitting forgets the separators."""


MOST_QUERIES = 2
"""Of this process at once: Log Analytics answers five of an identity, which all processes share
(https://learn.microsoft.com/azure/azure-monitor/service-limits#log-queries-and-language)."""
WAIT_SECONDS = 5.0
"""For its turn."""


class LogsUnavailable(Exception):
    """Log Analytics did not take the events, or did not answer the query. Whoever called tries again later."""


class LogsBusy(LogsUnavailable):
    """Too many queries at once."""


class Rejected(NamedTuple):
    """A row that Log Analytics does not take, however often it is sent."""

    row: dict[str, Any]
    status: int


def in_calls(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The events in order, in lists whose JSON is within :data:`CALL_BYTES`."""
    call: list[dict[str, Any]] = []
    size = 0
    for event in events:
        bytes_ = len(json.dumps(event)) + 2
        if call and size + bytes_ > CALL_BYTES:
            yield call
            call, size = [], 0
        call.append(event)
        size += bytes_
    if call:
        yield call


class AuditLog:
    """The customer's trail. It can be added to and read; there is nothing here to change or delete it with."""

    def __init__(
        self, ingestion: LogsIngestionClient, query: LogsQueryClient, rule_id: str, stream: str, workspace: str
    ):
        self._ingestion = ingestion
        self._query = query
        self._rule_id = rule_id
        self._stream = stream
        self._workspace = workspace
        self._turns = asyncio.Semaphore(MOST_QUERIES)

    async def upload(self, rows: list[dict[str, Any]]) -> list[Rejected]:
        """Every row, in calls of less than 1 MB. Returns those that Log Analytics does not take, each found out alone.

        Raises :class:`LogsUnavailable`; some may then be there.
        """
        return [rejected for call in in_calls(rows) for rejected in await self._upload(call)]

    async def _upload(self, rows: list[dict[str, Any]]) -> list[Rejected]:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._ingestion.upload(self._rule_id, self._stream, rows)  # type: ignore[arg-type]
        except HttpResponseError as error:
            if error.status_code not in (400, 413):
                raise LogsUnavailable(f"status {error.status_code}") from None
            if len(rows) == 1 and error.status_code == 413 and len(json.dumps(rows)) < CALL_BYTES:
                raise LogsUnavailable("status 413 for a small row") from None
            if len(rows) == 1:
                return [Rejected(rows[0], error.status_code)]
            half = len(rows) // 2
            return [*await self._upload(rows[:half]), *await self._upload(rows[half:])]
        except (AzureError, TimeoutError, OSError) as error:
            raise LogsUnavailable(type(error).__name__) from None
        return []

    async def query(self, kql: str, over: timedelta) -> list[dict[str, Any]]:
        """The rows of the first table, by column name.

        Raises :class:`LogsUnavailable`, also for a partial answer, and :class:`LogsBusy`.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise LogsBusy from None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._query.query_workspace(self._workspace, kql, timespan=over)
        except HttpResponseError as error:
            raise (LogsBusy if error.status_code == 429 else LogsUnavailable)(f"status {error.status_code}") from None
        except (AzureError, TimeoutError, OSError) as error:
            raise LogsUnavailable(type(error).__name__) from None
        finally:
            self._turns.release()
        if answer.status is not LogsQueryStatus.SUCCESS:
            raise LogsUnavailable("the query was answered in part only")
        table = answer.tables[0]
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
