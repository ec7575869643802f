"""The questions in docs/operations.md, asked of a trail: each finds what it says, and events with several rows once."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from governance.audit import AuditEvent, pending, rows_of
from local.loganalytics import queries
from local.loganalytics.rows import convert
from local.loganalytics.store import Store
from local.resources import AUDIT_STREAM, audit_table
from services.clock import uuid7

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
SAMPLES = dict(re.findall(r"\n([^\n]+\?)\n\n```kql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))
"""By the question."""
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ALICE = "00000000-0000-0000-0000-0000000000a1"


def rows(minute: int, kind: str = "request", **columns: Any) -> list[dict[str, Any]]:
    """As they are uploaded: twice, since that may happen."""
    at = NOON + timedelta(minutes=minute)
    known = {"TimeGenerated": at, "EventTime": at, "EventId": uuid7(), "EventType": kind, "Outcome": "answered"}
    used = {"Actor": ALICE, "Team": "sales", "Assistant": "helper", "Model": "large", "Residency": "azure"}
    event = AuditEvent.model_validate(known | (used if kind == "request" else {"Actor": "gus"}) | columns)
    return rows_of(pending(event)["event"]) * 2


WITHHELD = uuid7()
TRAIL = [
    *rows(0, Prompt="What?" + "ß" * 40_000, Answer="That.", CostMicro=3_000_000, Currency="EUR"),
    *rows(1, Prompt="More?", Answer="No.", CostMicro=1_500_000, Currency="EUR", Residency="external", Provider="else"),
    *(row for n in range(5) for row in rows(10 + n, Actor="bob", Outcome="refused", Reason="policy-blocked")),
    *rows(20, EventId=WITHHELD, Answer="Wrong.", CostMicro=10, Currency="EUR"),
    *rows(20, EventId=WITHHELD, Outcome="withheld", Reason="stopped", CostMicro=10, Currency="EUR", Revision=2),
    *rows(21, "switch.set", Target="assistant:helper", Reason="it is wrong", After={"stopped": True}),
    *rows(22, "cap.set", Target="cap:sales", Reason="the budget"),
    *rows(23, "cap.threshold", Team="sales", After={"threshold_percent": 80}),
    *rows(24, "cap.overrun", Team="sales", After={"overrun_micro": 7}),
    *rows(25, "audit.read", Actor="audrey", Target="audit"),
    *rows(26, "support.read", Actor="victor", Target="get_health", Grant="g"),
]


@pytest.fixture(scope="module")
def trail() -> Store:
    rule = audit_table()
    stream = rule.streams[AUDIT_STREAM]
    store = Store(rule, None)
    converted, losses = convert(TRAIL, stream.columns, NOON + timedelta(hours=1))
    assert not losses.undeclared
    store.append(stream, converted, NOON)
    return store


def answer(trail: Store, kql: str) -> list[dict[str, Any]]:
    now = NOON + timedelta(hours=2)
    (table,) = queries.run(trail.session(now, None), trail.columns(), kql, now)
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


FOUND: dict[str, list[dict[str, Any]]] = {
    "What did a person ask, and what were they told?": [
        {"Outcome": "withheld", "Answer": ""}, {"Prompt": "More?", "Answer": "No."}, {"Answer": "That."},
    ],
    "What was blocked, by assistant and reason?": [
        {"Assistant": "helper", "Reason": "policy-blocked", "Requests": 5, "People": 1},
    ],
    "Who is blocked again and again?": [{"Actor": "bob", "Blocked": 5}],
    "Who pulled or released a kill switch, and why?": [{"Actor": "gus", "Reason": "it is wrong"}],
    "Which answers did a stop hold back?": [{"Outcome": "withheld", "CostMicro": 10}],
    "Who changed an assistant, a policy, a role, a team or a cap?": [
        {"EventType": "cap.overrun"}, {"EventType": "cap.threshold"},
        {"EventType": "cap.set", "Reason": "the budget"}, {"EventType": "switch.set"},
    ],
    "What did each team spend, by day and model?": [{"Team": "sales", "Cost": 4.50001, "Requests": 3}],
    "Which team is near its cap, or over it?": [{"Over": 7, "Reached": None}, {"Over": None, "Reached": 80}],
    "What went to a model outside Azure?": [{"Provider": "else", "Residency": "external", "Requests": 1}],
    "Who looked at the trail, what did support do, and was an event lost on its way here?": [
        {"EventType": "support.read", "Grant": "g"}, {"EventType": "audit.read", "Actor": "audrey"},
    ],
}  # fmt: skip


def test_when_questions_are_documented_then_there_are_ten_and_each_is_tried() -> None:
    assert list(SAMPLES) == list(FOUND)
    assert len(SAMPLES) == 10


@pytest.mark.claim("A1", "A3")
@pytest.mark.parametrize("question", list(FOUND))
def test_when_a_question_is_asked_then_it_finds_what_it_says(trail: Store, question: str) -> None:
    told = answer(trail, SAMPLES[question])
    assert len(told) == len(FOUND[question]), told
    for row, expected in zip(told, FOUND[question], strict=True):
        assert {name: row[name] for name in expected} == expected
