"""Cost caps as governors hold them, over HTTP, while people ask."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from local.readback import query_logs
from tests.e2e.administration import NEW
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually, once

OFFER = "What makes a good offer?"


class Board:
    """Gus of the governance board, and the cap of Sales."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self._token = asking.stack.token("gus")

    async def read(self, team: str = "sales") -> Any:
        reply = await self.asking.call("GET", f"/api/caps/{team}", token=self._token)
        assert (reply.status, reply.headers["Etag"]) == (200, reply.body["etag"])
        return reply.body

    async def set(self, limit: int, *, headers: dict[str, str] | None = None, **settings: Any) -> Reply:
        headers = headers or {"If-Match": (await self.read())["etag"]}
        body = {"limit_micro": limit, "currency": "EUR", "reason": "a test", **settings}
        return await self.asking.call("PUT", "/api/caps/sales", token=self._token, headers=headers, json=body)

    async def reset(self, team: str = "sales") -> Reply:
        path = f"/api/caps/{team}/reset"
        return await self.asking.call("POST", path, token=self._token, json={"reason": "a test"})

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of the kind that are in the trail of Sales, the oldest first."""
        await self.asking.kit.run_timer("sweep")
        of_sales = f"AuditEvents_CL | where EventType == '{kind}' and Team == 'sales'"
        kql = f"{of_sales} | summarize arg_max(TimeGenerated, *) by EventId"
        events = sorted(await query_logs(self.asking.stack, kql), key=lambda event: str(event["EventTime"]))
        return [event | {name: json.loads(event[name]) for name in ("Before", "After")} for event in events]


@asynccontextmanager
async def in_session(asking: Asking) -> AsyncIterator[Board]:
    """The cap is as before, and nothing spent, after."""
    board = Board(asking)
    try:
        yield board
    finally:
        assert (await board.set(5_000_000)).status == 200
        assert (await board.reset()).status == 200


@pytest_asyncio.fixture
async def board(asking: Asking) -> AsyncIterator[Board]:
    async with in_session(asking) as board:
        yield board


@pytest_asyncio.fixture
async def swept(impatient: Asking) -> AsyncIterator[Board]:
    """Of the stack whose sweep sends every event."""
    async with in_session(impatient) as board:
        yield board


@pytest.mark.claim("C1", "A3")
async def test_when_a_governor_lowers_and_raises_a_cap_then_it_holds_at_once(board: Board) -> None:
    assert (await board.asking.ask(OFFER)).status == 200
    spent = (await board.read())["now"]["spent_micro"]
    lowered = await board.set(spent)
    assert (lowered.status, lowered.body["now"]["left_micro"], lowered.body["now"]["stopped"]) == (200, 0, True)
    async with board.asking.no_model_call():
        (await board.asking.ask(OFFER)).is_problem(402, "team-cap-reached")
    stale = await board.set(1, headers={"If-Match": '"stale"'})
    stale.is_problem(412, "outdated")
    (await board.set(1, headers=NEW)).is_problem(412, "outdated")
    assert (await board.set(5_000_000)).status == 200
    assert (await board.asking.ask(OFFER)).status == 200

    async def told() -> None:
        events = (await board.told("cap.set"))[-2:]
        assert [event["After"]["limit_micro"] for event in events] == [spent, 5_000_000]
        assert [event["Before"]["limit_micro"] for event in events] == [5_000_000, spent]

    await eventually(told)


@pytest.mark.claim("C1", "C3")
async def test_when_an_endpoint_charges_more_than_it_may_then_all_is_charged_and_told_and_the_team_is_stopped(
    swept: Board,
) -> None:
    before = (await swept.read())["now"]["spent_micro"]
    async with swept.asking.scripted("Offer a discount.", usage={"prompt_tokens": 4000, "completion_tokens": 500}):
        answer = (await swept.asking.ask(OFFER)).body
    assert answer["cost"]["micro_units"] == 900  # 4,000 at 0.15 and 500 at 0.60 for a million
    now = (await swept.read())["now"]
    assert (now["spent_micro"], now["reserved_micro"], now["stopped"]) == (before + 900, 0, True)
    attempt = once(await swept.asking.kit.attempts(answer["request_id"]))
    assert now["overrun_micro"] == 900 - attempt.amount_micro
    async with swept.asking.no_model_call():
        problem = (await swept.asking.ask(OFFER)).is_problem(402, "team-cap-reached")
    assert problem["detail"].startswith("A model cost your team more than it may.")

    async def told() -> None:
        told = {(event["RequestId"], event["CostMicro"]) for event in await swept.told("cap.overrun")}
        assert (answer["request_id"], 900) in told

    await eventually(told)
    after = await swept.reset()
    assert (after.status, after.body["now"]["spent_micro"], after.body["now"]["stopped"]) == (200, 0, False)
    assert (await swept.asking.ask(OFFER)).status == 200


@pytest.mark.claim("C1")
async def test_when_a_threshold_is_reached_then_the_trail_says_so_once(swept: Board) -> None:
    await swept.reset()
    assert (await swept.asking.ask(OFFER)).status == 200
    spent = (await swept.read())["now"]["spent_micro"]
    before = len(await swept.told("cap.threshold"))
    assert (await swept.set(spent * 100 // 85, thresholds=[50, 80, 100])).status == 200

    async def told() -> None:
        events = (await swept.told("cap.threshold"))[before:]
        assert {event["After"]["threshold_percent"] for event in events} == {50, 80}
        assert {event["Team"] for event in events} == {"sales"}
        assert len(events) == 2

    await eventually(told)


@pytest.mark.parametrize(
    "settings",
    [{"limit_micro": -1}, {"limit_micro": 10**16}, {"limit_micro": 0.5}, {"currency": "euro"}, {"period": "year"},
     {"time_zone": "Mars/Olympus"}, {"time_zone": "../etc"}, {"thresholds": [0]}, {"thresholds": [101]}, {"more": 1}],
)  # fmt: skip
async def test_when_a_cap_makes_no_sense_then_it_is_said(board: Board, settings: dict[str, Any]) -> None:
    async with board.asking.nothing_written():
        reply = await board.set(1, headers=NEW, **settings)
    reply.is_problem(400, "malformed")
