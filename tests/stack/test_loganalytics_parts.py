"""The parts of the Log Analytics stand-in: what is kept of a record, KQL on the store, timespans, the tables file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from duckdb_kql.errors import KqlUnsupportedError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from local.loganalytics.queries import run
from local.loganalytics.rows import MalformedUpload, convert, parse
from local.loganalytics.schema import Rule
from local.loganalytics.store import Store
from local.loganalytics.timespans import parse_timespan

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
COLUMNS: dict[str, Any] = {
    "TimeGenerated": "datetime",
    "EventId": "string",
    "CostMicro": "long",
    "Attempt": "int",
    "Score": "real",
    "Verdicts": "dynamic",
    "Truncated": "boolean",
    "Conversation": "guid",
}


def rule_of(columns: dict[str, Any]) -> Rule:
    stream = {"table": "AuditEvents_CL", "columns": columns}
    return Rule.model_validate(
        {"rule_id": "dcr-" + "0" * 32, "workspace_id": "0" * 32, "streams": {"Custom-AuditEvents": stream}}
    )


class Log:
    """A table in memory, asked at ``NOW``."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        rule = rule_of(COLUMNS)
        self.store = Store(rule, None)
        (stream,) = rule.streams.values()
        rows, self.losses = convert(records, stream.columns, NOW)
        self.store.append(stream, rows, NOW)

    def ask(self, kql: str) -> Any:
        (table,) = run(self.store.session(NOW, None), self.store.columns(), kql, NOW)
        return table["rows"]


@pytest.fixture(scope="module")
def log() -> Log:
    """Four events, an hour apart; the last one twice, and one that says nothing."""
    records: list[dict[str, Any]] = [
        {
            "TimeGenerated": (NOW - timedelta(hours=hours)).isoformat(),
            "EventId": event,
            "CostMicro": cost,
            "Verdicts": [{"rule": rule, "score": cost}, {"rule": "pii"}],
            "Truncated": truncated,
        }
        for hours, event, cost, rule, truncated in (
            (4, "red brick", 10, "topic", True),
            (3, "blue brick", 20, "topic", False),
            (2, "green-door", 30, "format", False),
            (1, "wall", 40, "format", False),
            (0, "wall", 50, "format", True),
        )
    ]
    return Log([*records, {"EventId": "blank", "TimeGenerated": (NOW - timedelta(hours=30)).isoformat()}])


@pytest.mark.parametrize(
    ("kql", "rows"),
    [
        ("AuditEvents_CL | where EventId has 'brick' | count", [[2]]),
        ("AuditEvents_CL | where EventId has 'ric' | count", [[0]]),
        ("AuditEvents_CL | where EventId contains 'RIC' | count", [[2]]),
        ("AuditEvents_CL | where EventId in ('wall', 'green-door') | count", [[3]]),
        ("AuditEvents_CL | where TimeGenerated between (ago(3h) .. ago(1h)) | count", [[3]]),
        ("AuditEvents_CL | where TimeGenerated > datetime(2030-05-17T10:30:00Z) | count", [[2]]),
        ("AuditEvents_CL | where CostMicro != 10 | count", [[5]]),
        ("AuditEvents_CL | where isnull(CostMicro) and isnull(Verdicts) and isempty(EventId) == false | count", [[1]]),
        (
            "AuditEvents_CL | summarize arg_max(TimeGenerated, *) by EventId | where EventId == 'wall'"
            " | project CostMicro, TimeGenerated, Type",
            [[50, "2030-05-17T12:00:00Z", "AuditEvents_CL"]],
        ),
        (
            "AuditEvents_CL | summarize n = count(), d = dcount(EventId), s = sum(CostMicro), a = avg(CostMicro),"
            " p = percentile(CostMicro, 50), m = max(TimeGenerated), c = countif(Truncated)",
            [[6, 5, 150, 30.0, 30, "2030-05-17T12:00:00Z", 2]],
        ),
        (
            "AuditEvents_CL | summarize n = count() by bin(TimeGenerated, 1d) | order by TimeGenerated asc",
            [["2030-05-16T00:00:00Z", 1], ["2030-05-17T00:00:00Z", 5]],
        ),
        (
            "AuditEvents_CL | extend rule = tostring(Verdicts[0].rule) | summarize n = count() by rule"
            " | order by rule asc",
            [["", 1], ["format", 3], ["topic", 2]],
        ),
        (
            "AuditEvents_CL | where EventId == 'red brick' | project Verdicts[0].rule, Verdicts[0].score, Verdicts[1]",
            [["topic", "10", '{"rule":"pii"}']],
        ),
        ("print parse_json('{\"a\":[1,2]}').a[1]", [["2"]]),
        (
            "AuditEvents_CL | mv-expand verdict = Verdicts | where tostring(verdict.rule) == 'pii' | count",
            [[5]],
        ),
        (
            "AuditEvents_CL | where EventId has 'brick' | summarize make_list(Verdicts[1])",
            [['[{"rule":"pii"},{"rule":"pii"}]']],
        ),
        ("AuditEvents_CL | distinct EventId | where EventId startswith 'w'", [["wall"]]),
        ("AuditEvents_CL | order by CostMicro desc | take 2 | project CostMicro", [[50], [40]]),
        ("AuditEvents_CL | top 1 by CostMicro desc | project CostMicro", [[50]]),
        (
            "datatable(EventId:string)['wall', 'lost'] | join kind=leftanti AuditEvents_CL on EventId",
            [["lost"]],
        ),
        ("let wanted = 'wall'; AuditEvents_CL | where EventId == wanted | count", [[2]]),
        (
            "declare query_parameters(wanted:string = 'wall'); AuditEvents_CL | where EventId == wanted | count",
            [[2]],
        ),
        (r"""print "it's \"é😀\" \\ ; -- ", @"C:\u", 'a\nb'""", [['it\'s "é😀" \\ ; -- ', "C:\\u", "a\nb"]]),
        (
            "print 1.5, true, 90m, datetime(2030-01-02) - datetime(2030-01-01T00:00:00.5), -25h, real(nan)",
            [[1.5, True, "01:30:00", "23:59:59.5000000", "-1.01:00:00", "NaN"]],
        ),
    ],
)
def test_when_kql_is_asked_then_it_is_answered(log: Log, kql: str, rows: list[list[Any]]) -> None:
    assert log.ask(kql) == rows


@pytest.mark.parametrize(
    "kql",
    [
        "AuditEvents_CL | where eventid == 'wall'",
        "auditevents_cl | count",
        r'AuditEvents_CL | where EventId == "caf\u00e9"',
        r"AuditEvents_CL | where EventId == 'caf\xe9'",
        'print h"secret"',
        "print ```a```",
        "AuditEvents_CL | where * has 'x'",
        "AuditEvents_CL | evaluate bag_unpack(Verdicts)",
        "externaldata(a:string)['https://localhost/a.csv']",
    ],
)
def test_when_kql_would_be_answered_otherwise_than_in_azure_then_it_is_refused(log: Log, kql: str) -> None:
    with pytest.raises(KqlUnsupportedError):
        log.ask(kql)


def test_when_rows_have_a_delay_then_queries_see_them_after_it(log: Log) -> None:
    store = Store(rule_of(COLUMNS), None)
    (stream,) = rule_of(COLUMNS).streams.values()
    rows, _ = convert([{}], stream.columns, NOW)
    store.append(stream, rows, NOW + timedelta(seconds=90))
    for seconds, seen in ((0, 0), (89.9, 0), (90, 1)):
        now = NOW + timedelta(seconds=seconds)
        (table,) = run(store.session(now, None), store.columns(), "AuditEvents_CL | count", now)
        assert table["rows"] == [[seen]]


def test_when_columns_change_then_new_ones_are_added_and_types_stay(tmp_path: Path) -> None:
    first = {"TimeGenerated": "datetime", "EventId": "string"}
    Store(rule_of(first), tmp_path).close()
    store = Store(rule_of(first | {"Attempt": "int"}), tmp_path)
    assert store.columns() == {"AuditEvents_CL": ["TimeGenerated", "EventId", "Attempt", "Type"]}
    store.close()
    with pytest.raises(ValueError, match="EventId is kept as VARCHAR"):
        Store(rule_of(first | {"EventId": "long"}), tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("EventId", "a\0b", "a\0b"),
        ("EventId", 1, ""),
        ("EventId", "\ud800", ""),
        ("CostMicro", -(2**63), -(2**63)),
        ("CostMicro", 2**63, None),
        ("CostMicro", 1.0, None),
        ("CostMicro", True, None),
        ("Attempt", 2**31 - 1, 2**31 - 1),
        ("Score", 3, 3.0),
        ("Score", 1e308 * 10, None),
        ("Score", "1.5", None),
        ("Truncated", "true", None),
        ("TimeGenerated", "2030-05-17T14:00:00.1234567+02:00", "2030-05-17T12:00:00.123456Z"),
        ("TimeGenerated", "2030-05-17T11:00:00", "2030-05-17T11:00:00Z"),
        ("TimeGenerated", "0001-01-01T00:00:00+14:00", "2030-05-17T12:00:00Z"),
        ("TimeGenerated", "2030-05-15T11:59:59Z", "2030-05-17T12:00:00Z"),
        ("TimeGenerated", "2030-05-18T12:00:01Z", "2030-05-17T12:00:00Z"),
        ("Verdicts", {"a": [1, None]}, '{"a":[1,null]}'),
        ("Verdicts", "text", "text"),
        ("Verdicts", ["\ud800"], None),
        ("Conversation", "6f9619ff8b86d011b42d00c04fc964ff", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("Conversation", "none", None),
    ],
)
def test_when_a_value_is_uploaded_then_what_fits_the_column_is_kept(name: str, value: Any, kept: Any) -> None:
    log = Log([{name: value}])
    assert log.ask(f"AuditEvents_CL | project {name}") == [[kept]]
    assert log.losses.mistyped.total() + log.losses.times_replaced == (kept in (None, "", "2030-05-17T12:00:00Z"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)


@settings(max_examples=25, deadline=None)
@given(records=st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "Undeclared"]), json_values), max_size=3))
def test_when_anything_is_uploaded_then_each_record_is_a_row_and_what_fits_comes_back(
    records: list[dict[str, Any]],
) -> None:
    rows = Log(records).ask("AuditEvents_CL | project EventId, CostMicro, Score, Verdicts")
    assert len(rows) == len(records)
    for record, (event, cost, score, verdicts) in zip(records, rows, strict=True):
        if isinstance(record.get("EventId"), str):
            assert event == record["EventId"]
        if type(record.get("CostMicro")) is int and abs(record["CostMicro"]) < 2**63:
            assert cost == record["CostMicro"]
        if type(record.get("Score")) is float and abs(record["Score"]) < float("inf"):
            assert score == record["Score"]
        if isinstance(record.get("Verdicts"), str):
            assert verdicts == record["Verdicts"]


@settings(max_examples=60, deadline=None)
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_when_a_body_is_read_then_it_is_records_or_malformed(body: bytes) -> None:
    try:
        records = parse(body)
    except MalformedUpload:
        return
    assert all(isinstance(record, dict) for record in records)


@given(length=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9000)))
def test_when_a_duration_is_of_the_query_sdk_then_it_ends_now(length: timedelta) -> None:
    start, end = parse_timespan(f"PT{length.total_seconds()}S", NOW)
    assert end == NOW
    assert abs(start - (NOW - length)) <= timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("P1D", (-24, 0)),
        ("P1W", (-168, 0)),
        ("P1DT1H30M", (-25.5, 0)),
        ("2030-05-17T10:00:00Z/2030-05-17T11:00:00Z", (-2, -1)),
        ("2030-05-17T10:00:00/PT1H", (-2, -1)),
        ("PT1H/2030-05-17T13:00:00+02:00", (-2, -1)),
    ],
)
def test_when_a_timespan_is_iso_8601_then_it_is_an_interval(text: str, hours: tuple[float, float]) -> None:
    assert parse_timespan(text, NOW) == tuple(NOW + timedelta(hours=hour) for hour in hours)


@pytest.mark.parametrize("text", ["", "yesterday", "1 day", "P1Y", "P1M", "-P1D", "P", "PT1H/", "/PT1H", "P1D/P1D"])
def test_when_a_timespan_is_anything_else_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timespan(text, NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": {"EventId": "string"}}, "TimeGenerated"),
        ({"columns": COLUMNS | {"TimeGenerated": "string"}}, "TimeGenerated"),
        ({"columns": COLUMNS | {"eventid": "string"}}, "case only"),
        ({"columns": COLUMNS | {"TenantId": "string"}}, "for itself"),
        ({"columns": COLUMNS | {"_Item": "string"}}, "pattern"),
        ({"columns": COLUMNS | {"When": "timespan"}}, "Input should be"),
        ({"table": "AuditEvents"}, "pattern"),
        ({"retention": 30}, "Extra inputs"),
    ],
)
def test_when_azure_would_not_take_a_table_then_it_is_refused(change: dict[str, Any], said: str) -> None:
    rule = rule_of(COLUMNS).model_dump(mode="json")
    rule["streams"]["Custom-AuditEvents"] |= change
    with pytest.raises(ValidationError, match=said):
        Rule.model_validate(rule)
