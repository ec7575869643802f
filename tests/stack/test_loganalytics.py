"""The Log Analytics stand-in against what uses it: azure-monitor-ingestion and azure-monitor-query, over TLS."""

import asyncio
import gzip
import io
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.ingestion.aio import LogsIngestionClient
from azure.monitor.query.aio import LogsQueryClient

from local.control import ControlClient
from local.loganalytics.server import INGESTION_AUDIENCE, MAX_UPLOAD_BYTES, QUERY_AUDIENCE
from local.tls import Certificates, issue

RULE, WORKSPACE, STREAM = "dcr-" + "0123456789abcdef" * 2, str(uuid5(NAMESPACE_DNS, "workspace")), "Custom-AuditEvents"
TABLES: dict[str, Any] = {
    "rule_id": RULE,
    "workspace_id": WORKSPACE,
    "streams": {
        STREAM: {
            "table": "AuditEvents_CL",
            "columns": {
                "TimeGenerated": "datetime",
                "EventId": "string",
                "CostMicro": "long",
                "Attempt": "int",
                "Score": "real",
                "Verdicts": "dynamic",
                "Truncated": "boolean",
                "Conversation": "guid",
            },
        }
    },
}
DAY = timedelta(days=1)


class StaticCredential:
    """A token that only the stand-in without an authority takes; remembers what it was asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("a token", int(time.time()) + 3600)

    async def close(self) -> None: ...

    async def __aenter__(self) -> "StaticCredential":
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Client:
    """The stand-in as the SDKs see it, as plain HTTP sees it, and its control port."""

    def __init__(self, ready: dict[str, str], certificates: Certificates, credential: Any = None) -> None:
        self.ready = ready
        self.certificates = certificates
        self.credential = credential or StaticCredential()
        self.control = ControlClient(ready["control"])
        # No retries: a test asks once and sees what comes back.
        options: Any = {"connection_verify": str(certificates.ca), "retry_total": 0}
        self.ingestion = LogsIngestionClient(ready["url"], self.credential, **options)
        self.query_client = LogsQueryClient(
            self.credential, endpoint=ready["url"], audience="https://api.loganalytics.io", **options
        )
        tls = ssl.create_default_context(cafile=str(certificates.ca))
        self.http = aiohttp.ClientSession(ready["url"], connector=aiohttp.TCPConnector(ssl=tls))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ingestion.close()
        await self.query_client.close()
        await self.http.close()

    async def upload(self, *records: dict[str, Any]) -> None:
        await self.ingestion.upload(RULE, STREAM, list(records))

    async def query(self, kql: str, timespan: Any = None, **more: Any) -> list[dict[str, Any]]:
        answer: Any = await self.query_client.query_workspace(WORKSPACE, kql, timespan=timespan, **more)
        (table,) = answer.tables
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        """Status and error code."""
        sent = {"Authorization": "Bearer a token", "Content-Type": "application/json"} | headers
        async with self.http.post(path, data=io.BytesIO(body), headers=sent) as answer:
            return answer.status, (await answer.json())["error"]["code"] if answer.status >= 400 else None


UPLOAD = f"/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01"
QUERY = f"/v1/workspaces/{WORKSPACE}/query"


@contextmanager
def running(module: str, certificates: Certificates, *options: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", module, "--tls", str(certificates.server), *map(str, options)]
    environment = os.environ | {"SSL_CERT_FILE": str(certificates.ca)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def ready_line(process: subprocess.Popen[bytes]) -> dict[str, str]:
    assert process.stdout is not None
    ready: dict[str, str] = json.loads(process.stdout.readline())
    return ready


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("loganalytics") / "tables.json"
    file.write_text(json.dumps(TABLES))
    return file


@pytest.fixture(scope="module")
def ready(tables: Path, certificates: Certificates) -> Iterator[dict[str, str]]:
    """The ready line of a running stand-in that takes any token."""
    with running("local.loganalytics", certificates, "--tables", tables) as process:
        yield ready_line(process)
        process.terminate()
        assert process.wait(timeout=5) == 0


@pytest.fixture
async def client(ready: dict[str, str], certificates: Certificates) -> AsyncIterator[Client]:
    async with Client(ready, certificates) as client:
        await client.control.reset()
        yield client
        await client.control.faults()
        await client.control.call("PUT", "/control/delay", json={"seconds": 0})


@pytest.fixture
def event() -> str:
    """The id of an event that only this test has."""
    return f"event-{uuid4()}"


async def test_when_rows_are_uploaded_then_the_query_sdk_reads_them_with_their_types(
    client: Client, event: str
) -> None:
    moment = datetime.now(UTC).replace(microsecond=120_000)
    record = {
        "TimeGenerated": moment.isoformat(),
        "EventId": event,
        "CostMicro": 2**53 + 1,
        "Attempt": 3,
        "Score": 0.1,
        "Verdicts": [{"rule": "Größe", "score": 0.5}],
        "Truncated": False,
        "Conversation": "6F9619FF-8B86-D011-B42D-00C04FC964FF",
    }
    await client.upload(record, {"EventId": event, "TimeGenerated": (moment - DAY).isoformat()})
    rows = await client.query(f"AuditEvents_CL | where EventId == '{event}' | order by TimeGenerated desc")
    assert rows[0] == record | {
        "TimeGenerated": moment,
        "Verdicts": '[{"rule":"Größe","score":0.5}]',
        "Conversation": record["Conversation"].lower(),  # type: ignore[attr-defined]
        "Type": "AuditEvents_CL",
    }
    empty = dict.fromkeys(("CostMicro", "Attempt", "Score", "Verdicts", "Truncated"))
    # The SDK makes a string of a guid, whatever it is.
    assert rows[1] == empty | {
        "TimeGenerated": moment - DAY,
        "EventId": event,
        "Conversation": "None",
        "Type": "AuditEvents_CL",
    }
    assert await client.control.counts() == {f"upload {STREAM}": 1, "rows AuditEvents_CL": 2, "query": 1}


async def test_when_the_sdks_ask_for_tokens_then_for_the_audiences_that_are_checked(client: Client) -> None:
    await client.upload({"EventId": "a"})
    await client.query("print 1")
    scopes = [f"{audience}/.default" for audience in (INGESTION_AUDIENCE, QUERY_AUDIENCE)]
    assert client.credential.scopes == scopes
    # Without an audience, the query SDK takes the endpoint for one: any but Azure's own needs it said.
    credential: Any = StaticCredential()
    verify = str(client.certificates.ca)
    async with LogsQueryClient(credential, endpoint=client.ready["url"], connection_verify=verify) as query:
        await query.query_workspace(WORKSPACE, "print 1", timespan=None)
    assert credential.scopes == [f"{client.ready['url']}/.default"]


async def test_when_azure_would_quietly_lose_something_then_it_is_lost_and_counted(client: Client, event: str) -> None:
    received = datetime.now(UTC)
    await client.upload(
        {"EventId": event, "Unheard": 1, "Of": 2, "CostMicro": "7", "Truncated": 1, "Attempt": 2**31},
        {"EventId": event + "é" * 33_000, "Verdicts": ["x" * 70_000]},
        {"EventId": event, "TimeGenerated": (received - 3 * DAY).isoformat()},
        {"EventId": event, "TimeGenerated": "yesterday"},
    )
    rows = await client.query(f"AuditEvents_CL | where EventId startswith '{event}' | order by TimeGenerated asc")
    assert len(rows) == 4
    assert all(received <= row["TimeGenerated"] <= datetime.now(UTC) for row in rows)
    assert {row[name] for row in rows for name in ("CostMicro", "Truncated", "Attempt")} == {None}
    cut = max((row for row in rows), key=lambda row: len(row["EventId"]))
    assert 64 * 1024 - 1 <= len(cut["EventId"].encode()) <= 64 * 1024
    assert len(cut["Verdicts"]) == 64 * 1024
    counts = await client.control.counts()
    losses = {"columns-undeclared": 2, "values-mistyped": 4, "values-truncated": 2, "times-replaced": 1}
    assert losses.items() <= counts.items()


@pytest.mark.parametrize(
    ("path", "body", "headers", "answer"),
    [
        (UPLOAD, b"[]", {}, (204, None)),
        (UPLOAD, b"[" + b" " * (MAX_UPLOAD_BYTES - 2) + b"]", {}, (204, None)),
        (UPLOAD, b"[" + b" " * (MAX_UPLOAD_BYTES - 1) + b"]", {}, (413, "ContentLengthLimitExceeded")),
        (UPLOAD, gzip.compress(b" " * 2**24), {"Content-Encoding": "gzip"}, (413, "ContentLengthLimitExceeded")),
        (UPLOAD, b"no gzip", {"Content-Encoding": "gzip"}, (400, "InvalidRequestBody")),
        (UPLOAD, b"", {}, (400, "InvalidRequestBody")),
        (UPLOAD, b'[{"Score": NaN}]', {}, (400, "InvalidRequestBody")),
        (UPLOAD, b"[" * 100_000, {}, (400, "InvalidRequestBody")),
        (UPLOAD, b'{"EventId": "a"}', {}, (400, "InvalidRequestBody")),
        (UPLOAD, b"[1]", {}, (400, "InvalidRequestBody")),
        (UPLOAD.replace("2023-01-01", "2021-11-01-preview"), b"[]", {}, (400, "InvalidApiVersion")),
        (UPLOAD.replace("Audit", "Other"), b"[]", {}, (404, "InvalidStream")),
        (UPLOAD.replace("dcr-0", "dcr-1"), b"[]", {}, (404, "NotFound")),
        (UPLOAD, b"[]", {"Authorization": ""}, (401, "AuthorizationRequiredError")),
        (QUERY, b'{"query": "print 1"}', {"Authorization": "Basic YTpi"}, (401, "AuthorizationRequiredError")),
        (QUERY, b'{"query": "print 1"}', {}, (200, None)),
        (QUERY, b'{"query": "print 1", "workspaces": ["b"]}', {}, (400, "BadArgumentError")),
        (QUERY, b'{"query": "print 1", "timespan": "a day"}', {}, (400, "BadArgumentError")),
        (QUERY, b'{"query": "print 1", "timespan": "P9999999D"}', {}, (400, "BadArgumentError")),
        (QUERY, b'{"query": "print 1"}', {"Prefer": "include-statistics=true"}, (400, "BadArgumentError")),
        (
            QUERY.replace(WORKSPACE, str(uuid5(NAMESPACE_DNS, "another"))),
            b'{"query": "print 1"}',
            {},
            (404, "PathNotFoundError"),
        ),
        ("/v1/$batch", b"{}", {}, (404, "NotServed")),
    ],
)
async def test_when_a_request_is_wrong_then_the_answer_says_so(
    client: Client, path: str, body: bytes, headers: dict[str, str], answer: tuple[int, str | None]
) -> None:
    assert await client.post(path, body, **headers) == answer


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "GET"])
@pytest.mark.parametrize("path", [UPLOAD, QUERY])
async def test_when_anything_is_to_be_changed_or_deleted_then_it_is_refused(
    client: Client, method: str, path: str
) -> None:
    async with client.http.request(method, path, headers={"Authorization": "Bearer a token"}) as answer:
        assert answer.status == 405
    assert await client.control.counts() == {"refused": 1}


async def test_when_small_records_fill_a_chunk_of_the_sdk_then_it_is_over_the_limit(client: Client) -> None:
    """The SDK sums up the records of a chunk without the separators: whoever sends many must make smaller batches."""
    with pytest.raises(HttpResponseError) as raised:
        await client.upload(*[{"EventId": "small"}] * 50_000)
    assert raised.value.status_code == 413


async def test_when_there_is_a_delay_then_rows_are_stored_but_not_seen_yet(client: Client, event: str) -> None:
    await client.control.call("PUT", "/control/delay", json={"seconds": 3600})
    await client.upload({"EventId": event})
    await client.control.call("PUT", "/control/delay", json={"seconds": 0})
    assert await client.query(f"AuditEvents_CL | where EventId == '{event}'") == []
    assert event in await client.control.dump()
    with pytest.raises(aiohttp.ClientResponseError, match="greater than or equal to 0"):
        await client.control.call("PUT", "/control/delay", json={"seconds": -1})


async def test_when_a_timespan_is_given_then_only_rows_of_that_time_are_seen(client: Client, event: str) -> None:
    now = datetime.now(UTC)
    hours = {f"{event}-{hour}": now - timedelta(hours=hour) for hour in (1, 5, 30)}
    await client.upload(*[{"EventId": name, "TimeGenerated": at.isoformat()} for name, at in hours.items()])
    kql = f"AuditEvents_CL | where EventId startswith '{event}' | order by TimeGenerated desc | project EventId"

    async def seen(timespan: Any) -> list[str]:
        return [row["EventId"].removeprefix(f"{event}-") for row in await client.query(kql, timespan)]

    assert await seen(None) == ["1", "5", "30"]
    assert await seen(DAY) == ["1", "5"]
    assert await seen((now - timedelta(hours=31), timedelta(hours=27))) == ["5", "30"]
    assert await seen((hours[f"{event}-5"], hours[f"{event}-1"])) == ["1", "5"]
    kql = f"AuditEvents_CL | where EventId startswith '{event}' and TimeGenerated < ago(3h) | project EventId"
    assert await seen(DAY) == ["5"]


@pytest.mark.parametrize(
    ("kql", "status", "said"),
    [
        ("AuditEvents_CL | wherex", 400, "SyntaxError"),
        (".show tables", 400, "SyntaxError"),
        ("// all\n.drop table AuditEvents_CL", 400, "SyntaxError"),
        ("AuditEvents_CL | where Nope == 1", 400, "SemanticError"),
        ("Nope_CL | count", 400, "SemanticError"),
        ("declare query_parameters(who:string); print who", 400, "SemanticError"),
        ("search 'x'", 501, "NotSupportedByStandIn"),
    ],
)
async def test_when_a_query_cannot_be_run_then_the_error_says_why(
    client: Client, kql: str, status: int, said: str
) -> None:
    with pytest.raises(HttpResponseError, match=said) as raised:
        await client.query(kql)
    assert raised.value.status_code == status


async def test_when_a_query_takes_too_long_then_it_is_stopped(client: Client) -> None:
    numbers = "range n from 1 to 1000000 step 1 | extend k = 1"
    kql = f"{numbers} | join kind=inner ({numbers}) on k | summarize sum((n * n1) % 7)"
    with pytest.raises(HttpResponseError) as raised:
        await client.query(kql, server_timeout=1)
    assert raised.value.status_code == 504


async def test_when_an_identity_runs_five_queries_then_the_sixth_is_refused(client: Client) -> None:
    await client.control.faults([{"operation": "query", "kind": "delay", "seconds": 1, "times": 5}])
    answers = await asyncio.gather(*[client.post(QUERY, b'{"query": "print 1"}') for _ in range(6)])
    assert sorted(answers, key=str) == [(200, None)] * 5 + [(429, "ThrottledError")]
    assert await client.post(QUERY, b'{"query": "print 1"}') == (200, None)
    await client.control.faults([{"operation": "query", "kind": "delay", "seconds": 0.3, "times": 5}])
    tokens = [f"Bearer {n % 2}" for n in range(6)]
    answers = await asyncio.gather(*[client.post(QUERY, b'{"query": "print 1"}', Authorization=t) for t in tokens])
    assert answers == [(200, None)] * 6


async def test_when_faults_are_set_then_they_happen(client: Client, event: str) -> None:
    kql = f"AuditEvents_CL | where EventId == '{event}'"
    await client.control.faults([{"operation": "upload *", "kind": "status", "status": 503, "times": 1}])
    with pytest.raises(HttpResponseError, match="Injected"):
        await client.upload({"EventId": event})
    assert await client.query(kql) == []
    await client.control.faults([{"operation": f"upload {STREAM}", "kind": "drop", "times": 1}])
    with pytest.raises(ServiceRequestError):
        await client.upload({"EventId": event})
    assert len(await client.query(kql)) == 1
    await client.control.faults([{"operation": "query", "kind": "drop"}])
    with pytest.raises(ServiceRequestError):
        await client.query(kql)
    await client.control.faults([{"operation": "query", "kind": "lock-lost"}])
    with pytest.raises(HttpResponseError, match="no locks"):
        await client.query(kql)


async def test_when_it_is_killed_then_what_was_acknowledged_is_still_there(
    tables: Path, certificates: Certificates, tmp_path: Path, event: str
) -> None:
    for start in range(2):
        with running(
            "local.loganalytics", certificates, "--tables", tables, "--data", tmp_path / "data", "--delay", 3600 * start
        ) as process:
            async with Client(ready_line(process), certificates) as client:
                kql = "AuditEvents_CL | project EventId"
                assert await client.query(kql) == [{"EventId": event}] * start
                await client.upload({"EventId": event})
                assert await client.query(kql) == [{"EventId": event}]
                process.kill()
    with running("local.loganalytics", certificates, "--tables", tables, "--data", tmp_path / "data") as process:
        async with Client(ready_line(process), certificates) as client:
            # The second one came with a delay of an hour.
            assert await client.query(kql) == [{"EventId": event}]
            assert (await client.control.dump()).count(event) == 2


async def test_when_a_managed_identity_uploads_then_it_reads_its_rows_with_tokens_that_are_checked(
    tables: Path, certificates: Certificates, tmp_path: Path, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = {"tenant_id": str(uuid4()), "client_id": str(uuid4()), "groups": [], "people": []}
    (tmp_path / "directory.json").write_text(json.dumps(directory))
    async with AsyncExitStack() as stack:
        file = tmp_path / "directory.json"
        identity = ready_line(stack.enter_context(running("local.entra", certificates, "--directory", file)))
        monkeypatch.setenv("IDENTITY_ENDPOINT", identity["identity_endpoint"])
        monkeypatch.setenv("IDENTITY_HEADER", identity["identity_header"])
        process = stack.enter_context(
            running("local.loganalytics", certificates, "--tables", tables, "--authority", identity["authority"])
        )
        credential = await stack.enter_async_context(ManagedIdentityCredential())
        client = await stack.enter_async_context(Client(ready_line(process), certificates, credential))

        await client.upload({"EventId": event})
        assert await client.query("AuditEvents_CL | project EventId") == [{"EventId": event}]

        for path, body, right, wrong in (
            (UPLOAD, b"[]", INGESTION_AUDIENCE, QUERY_AUDIENCE),
            (QUERY, b'{"query": "print 1"}', QUERY_AUDIENCE, INGESTION_AUDIENCE),
        ):
            token = (await credential.get_token(f"{right}/.default")).token
            assert (await client.post(path, body, Authorization=f"Bearer {token}"))[0] < 300
            token = (await credential.get_token(f"{wrong}/.default")).token
            assert (await client.post(path, body, Authorization=f"Bearer {token}"))[0] == 401
            assert (await client.post(path, body, Authorization="Bearer made-up"))[0] == 401
