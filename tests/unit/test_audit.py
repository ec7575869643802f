"""An audit event as it is kept: what the table needs, what a column takes, what stays pending."""

import ast
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance.audit import (
    COLUMN_BYTES,
    TEXT,
    AuditEvent,
    audit_columns,
    measured,
    outbox_document,
    pending,
    pieces,
    rows_of,
)
from governance.refusals import REFUSAL
from services.clock import utc_now, uuid7


def event(**members: Any) -> AuditEvent:
    now = utc_now()
    known = {"TimeGenerated": now, "EventTime": now, "EventId": uuid7(), "EventType": "request", "Outcome": "answered"}
    return AuditEvent.model_validate({"Actor": "alice", **known, **members})


def test_when_the_table_is_made_then_it_has_a_column_of_the_right_type_for_each_member() -> None:
    columns = audit_columns()
    assert list(columns) == list(json.loads(event().model_dump_json()))
    assert columns["TimeGenerated"] == columns["EventTime"] == "datetime"
    assert columns["CostMicro"] == columns["InputTokens"] == columns["AssistantVersion"] == "long"
    assert columns["Verdicts"] == columns["Sources"] == columns["Before"] == "dynamic"
    assert columns["Prompt"] == columns["Answer"] == columns["Actor"] == "string"


def test_when_an_event_has_a_member_that_there_is_no_column_for_then_it_is_refused() -> None:
    with pytest.raises(ValidationError):
        event(Mood="good")


@given(st.text(max_size=200))
def test_when_a_text_is_kept_then_its_length_and_hash_are_told(text: str) -> None:
    assert measured(text) == (len(text), hashlib.sha256(text.encode()).hexdigest())
    assert measured(None) == (None, "")


LONG = st.builds(
    lambda shift, character, times: "a" * shift + character * times,
    st.integers(0, 4), st.sampled_from("xß語😀"), st.sampled_from((0, 1, 14_999, 15_000, 15_001, 60_000, 150_000)),
)  # fmt: skip


@pytest.mark.claim("A1")
@given(LONG)
def test_when_a_text_is_longer_than_a_column_then_its_pieces_are_it_and_each_fits(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert all(len(piece.encode()) <= COLUMN_BYTES for piece in found)
    assert all(found[:-1]), "only the last may be empty"


@pytest.mark.claim("A1")
@given(LONG, LONG)
def test_when_an_event_has_long_texts_then_its_rows_have_all_of_them_and_what_identifies_it(
    prompt: str, answer: str
) -> None:
    whole = pending(event(Prompt=prompt, Answer=answer, CostMicro=7, Revision=2))["event"]
    first, *further = rows_of(whole)
    assert first | {"Prompt": prompt, "Answer": answer, "Parts": 1} == whole
    assert "".join(row["Prompt"] for row in (first, *further)) == prompt
    assert "".join(row["Answer"] for row in (first, *further)) == answer
    assert [row["Part"] for row in (first, *further)] == list(range(1, first["Parts"] + 1))
    for row in further:
        assert (row["EventType"], row["EventId"], row["Revision"]) == (TEXT, whole["EventId"], 2)
        assert "CostMicro" not in row, "what is summed up is there once"


def test_when_an_event_is_put_in_an_outbox_then_it_is_pending_under_its_own_id() -> None:
    told = event()
    document = outbox_document(told, "config", "access")
    assert (document["id"], document["kind"], document["audit"]) == (told.EventId, "access", pending(told))
    assert document["type"] == "audit", "what shares its partition tells it apart"
    assert outbox_document(told, "control", "platform")["scope"] == "platform"
    assert (pending(told)["status"], pending(told)["revision"]) == ("pending", 1)
    assert AuditEvent.model_validate(pending(told)["event"]) == told
    assert pending(told)["event"]["EventTime"].endswith("Z")


DOCUMENTED = Path("docs/audit-events.md").read_text(encoding="utf-8")


def test_when_the_schema_has_changed_then_its_documentation_has_too() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (string|long|datetime|dynamic) \|", DOCUMENTED, re.MULTILINE)
    assert dict(rows) == audit_columns()


SUBJECTS = (
    "answer|assistant|audit|cap|collection|conversation|document|endpoint|escalation|policy|reaction|role|route|support|"
    "notice|queue|switch|team"
)


def types_in_code() -> set[str]:
    """Every type of event that the product makes: what stands in its code as one, or is a constant's value."""
    return {
        constant.value
        for folder in ("api", "governance", "pipeline", "routing")
        for file in Path(folder).glob("*.py")
        for constant in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(constant, ast.Constant)
        if isinstance(constant.value, str)
        if re.fullmatch(rf"({SUBJECTS})\.(?!csv|jsonl)[a-z]+", constant.value)
    } | {"request", REFUSAL, TEXT}


def test_when_there_is_a_new_type_of_event_then_it_is_documented() -> None:
    types = re.search(r"## Types(.*)## Columns", DOCUMENTED, re.DOTALL)
    assert types
    first_cells = re.findall(r"^\| (`[^|]+) \|", types[1], re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`([a-z.]+)`", cell)} == types_in_code()
