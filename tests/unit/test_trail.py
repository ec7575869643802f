"""An export reads the trail a page at a time, and waits for those who read it too."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from governance import trail
from governance.audit import AuditEvent
from governance.trail import TooManyQueries, Wanted, export_trail
from services.clock import uuid7
from services.logs import AuditLog, LogsBusy, LogsUnavailable

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WANTED = Wanted(begin=NOW - timedelta(days=1), end=NOW)


class Log:
    """Gives one page after the other, or raises what stands in its place."""

    def __init__(self, *pages: int | Exception) -> None:
        self._pages = list(pages)
        self.asked: list[str] = []

    async def query(self, kql: str, _over: timedelta) -> list[dict[str, Any]]:
        self.asked.append(kql)
        page = self._pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return [row() for _ in range(page)]


def row() -> dict[str, Any]:
    return AuditEvent(
        TimeGenerated=NOW, EventTime=NOW, EventId=uuid7(), EventType="request", Outcome="answered", Actor="alice"
    ).model_dump(mode="json")


async def exported(log: Log) -> int:
    return len([event async for event in export_trail(cast(AuditLog, log), WANTED, None)])


async def test_when_there_are_more_events_than_a_page_then_all_of_them_come() -> None:
    log = Log(trail.EXPORT_PAGE + 1, trail.EXPORT_PAGE + 1, 3)
    assert await exported(log) == 2 * trail.EXPORT_PAGE + 3
    assert len(set(log.asked)) == 3, "each page begins where the one before ended"


async def test_when_others_are_reading_then_the_next_page_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "EXPORT_PAUSE_SECONDS", 0.0)
    assert await exported(Log(trail.EXPORT_PAGE + 1, LogsBusy(), LogsBusy(), 1)) == trail.EXPORT_PAGE + 1


async def test_when_others_are_reading_at_its_beginning_then_it_says_so() -> None:
    with pytest.raises(TooManyQueries):
        await exported(Log(LogsBusy()))


async def test_when_log_analytics_goes_away_then_the_export_fails_and_does_not_just_end() -> None:
    with pytest.raises(LogsUnavailable):
        await exported(Log(trail.EXPORT_PAGE + 1, LogsUnavailable()))
