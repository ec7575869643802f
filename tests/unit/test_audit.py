"""An audit event as it is kept: what the table needs, what a column takes, what stays pending."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance.audit import COLUMN_BYTES, AuditEvent, audit_columns, cut, outbox_document, pending
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
def test_when_a_text_is_short_then_it_is_kept_whole(text: str) -> None:
    assert cut(text) == (text, len(text), hashlib.sha256(text.encode()).hexdigest())


@given(st.integers(0, 4), st.sampled_from("xß語😀"))
def test_when_a_text_is_longer_than_a_column_then_its_beginning_is_kept_and_the_whole_is_named(
    shift: int, character: str
) -> None:
    text = "a" * shift + character * COLUMN_BYTES
    beginning, characters, digest = cut(text)
    assert text.startswith(beginning)
    assert COLUMN_BYTES - 4 < len(beginning.encode()) <= COLUMN_BYTES
    assert (characters, digest) == (len(text), hashlib.sha256(text.encode()).hexdigest())


def test_when_an_event_is_put_in_an_outbox_then_it_is_pending_under_its_own_id() -> None:
    told = event()
    document = outbox_document(told, "config", "access")
    assert (document["id"], document["kind"], document["audit"]) == (told.EventId, "access", pending(told))
    assert document["type"] == "audit", "what shares its partition tells it apart"
    assert outbox_document(told, "control", "platform")["scope"] == "platform"
    assert (pending(told)["status"], pending(told)["revision"]) == ("pending", 1)
    assert AuditEvent.model_validate(pending(told)["event"]) == told
    assert pending(told)["event"]["EventTime"].endswith("Z")
