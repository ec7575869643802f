"""The Cosmos DB stand-in against the real SDK: the account, who may call, replicas that lag, faults, the process."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import jwt
import pytest
from aiohttp import web
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.identity.aio import ManagedIdentityCredential
from cryptography.hazmat.primitives.asymmetric import rsa

from local.cosmos.__main__ import AUDIENCES
from local.standin import Fault, serving
from local.tls import Certificates
from local.tokens import BearerCheck
from tests.stack.cosmos_kit import (
    INCREMENT,
    NO_RETRIES,
    Process,
    Standin,
    connected,
    refusal,
    rows,
    running,
)
from tests.stack.cosmos_kit import budgets as budgets
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin

# the account


async def test_when_the_account_is_read_then_it_names_its_consistency(certificates: Certificates) -> None:
    for consistency in ("Strong", "Session"):
        async with running(certificates, consistency) as standin:
            account = await (await standin.client())._get_database_account()

            assert account.ConsistencyPolicy == {"defaultConsistencyLevel": consistency}
            assert [place["databaseAccountEndpoint"] for place in account.WritableLocations] == [f"{standin.url}/"]


async def test_when_databases_and_containers_are_read_then_they_are_as_configured(standin: Standin) -> None:
    client = await standin.client()
    database = client.get_database_client("assistants")

    assert (await database.read())["id"] == "assistants"
    notes = await database.get_container_client("notes").read()
    assert notes["partitionKey"]["paths"] == ["/a/b"]
    assert notes["defaultTtl"] == 60
    ranges = [feed_range async for feed_range in database.get_container_client("notes").read_feed_ranges()]
    assert len(ranges) == 1


async def test_when_something_is_not_there_then_it_is_not_found(standin: Standin) -> None:
    client = await standin.client()
    missing = client.get_database_client("assistants").get_container_client("missing")

    assert (await refusal(missing.read())).status_code == 404
    assert (await refusal(missing.create_item({"id": "a"}))).status_code == 404
    assert (await refusal(client.get_database_client("missing").read())).status_code == 404


async def test_when_a_client_manages_databases_or_containers_then_it_is_forbidden(standin: Standin) -> None:
    client = await standin.client()
    database = client.get_database_client("assistants")

    for call in (
        client.create_database("other"),
        client.delete_database("assistants"),
        database.create_container("other", PartitionKey("/id")),
        database.create_container_if_not_exists("other", PartitionKey("/id")),
        database.delete_container("budgets"),
        database.replace_container("budgets", PartitionKey("/team"), default_ttl=5),
        anext(client.list_databases()),
        anext(database.list_containers()),
    ):
        assert (await refusal(call)).status_code == 403


async def test_when_a_feature_is_not_supported_then_it_is_refused(standin: Standin, budgets: ContainerProxy) -> None:
    for call in (
        anext(budgets.query_items_change_feed()),
        anext(budgets.read_all_items()),
        budgets.scripts.execute_stored_procedure("x", partition_key="red"),
        budgets.get_throughput(),
        budgets.create_item({"id": "a", "team": "red"}, pre_trigger_include="x"),
        budgets.upsert_item({"id": "a", "team": "red"}, etag="x", match_condition=MatchConditions.IfModified),
        budgets.delete_all_items_by_partition_key("red"),
    ):
        assert (await refusal(call)).status_code == 400

    assert "a" not in await rows(budgets, "SELECT VALUE c.id FROM c")


async def test_when_a_weaker_account_is_asked_for_strong_then_it_refuses(certificates: Certificates) -> None:
    async with running(certificates, "Session") as standin:
        container = await standin.container(consistency_level="Strong")

        assert (await refusal(container.create_item({"id": "a", "team": "red"}))).status_code == 400


async def test_when_a_key_or_nothing_authenticates_then_it_is_unauthorized(standin: Standin) -> None:
    client = CosmosClient(standin.url, "a2V5")
    error = await refusal(client.__aenter__())
    await client.close()
    async with aiohttp.ClientSession() as http, http.get(standin.url, ssl=False) as answer:
        anonymous = answer.status

    assert error.status_code == 401
    assert "Local Authorization is disabled" in str(error)
    assert anonymous == 401


# lag


async def test_when_the_account_lags_then_only_a_client_with_the_session_sees_a_write(
    certificates: Certificates,
) -> None:
    async with running(certificates, "Session", lag=30) as standin:
        writer, reader = await standin.container(), await standin.container()
        for name in ("switch", "gone"):
            await writer.create_item({"id": name, "team": "red", "stopped": False})
        standin.clock.now += 31
        assert not (await reader.read_item("switch", "red"))["stopped"]

        await writer.upsert_item({"id": "switch", "team": "red", "stopped": True})
        await writer.delete_item("gone", "red")
        await writer.create_item({"id": "new", "team": "red", "stopped": True})

        everything = "SELECT VALUE c.id FROM c WHERE c.stopped = @stopped"
        assert (await writer.read_item("switch", "red"))["stopped"]
        assert sorted(await rows(writer, everything, values={"stopped": True})) == ["new", "switch"]
        assert not (await reader.read_item("switch", "red"))["stopped"]
        assert (await reader.read_item("gone", "red"))["id"] == "gone"
        assert (await refusal(reader.read_item("new", "red"))).status_code == 404
        assert await rows(reader, everything, values={"stopped": False}) == ["switch", "gone"]
        assert await rows(reader, everything, None, values={"stopped": True}) == []

        standin.clock.now += 31

        assert (await reader.read_item("switch", "red"))["stopped"]
        assert (await refusal(reader.read_item("gone", "red"))).status_code == 404
        assert sorted(await rows(reader, everything, values={"stopped": True})) == ["new", "switch"]


async def test_when_a_lagging_reader_writes_then_the_condition_is_checked_against_the_newest(
    certificates: Certificates,
) -> None:
    async with running(certificates, "Session", lag=30) as standin:
        writer, reader = await standin.container(), await standin.container()
        await writer.create_item({"id": "cap", "team": "red", "n": 1})
        standin.clock.now += 31
        stale = (await reader.read_item("cap", "red"))["_etag"]
        await writer.upsert_item({"id": "cap", "team": "red", "n": 2})
        assert (await reader.read_item("cap", "red"))["_etag"] == stale

        replace = reader.replace_item(
            "cap", {"id": "cap", "team": "red"}, etag=stale, match_condition=MatchConditions.IfNotModified
        )

        assert (await refusal(replace)).status_code == 412


# counts, charges, faults


async def test_when_operations_are_done_then_they_are_counted_and_charged(
    standin: Standin, budgets: ContainerProxy
) -> None:
    await budgets.create_item({"id": "cap", "team": "red", "n": 1, "text": "x" * 1024})
    charged = budgets.client_connection.last_response_headers["x-ms-request-charge"]
    await budgets.read_item("cap", "red")
    await budgets.patch_item("cap", "red", [{"op": "incr", "path": "/n", "value": 1}])
    await budgets.execute_item_batch([("read", ("cap",)), ("delete", ("cap",))], partition_key="red")
    await rows(budgets, "SELECT * FROM c")

    counts = await standin.inspect("/control/counts")
    charges = await standin.inspect("/control/charges")

    kinds = ("create", "read", "patch", "batch", "query")
    assert {f"{kind} budgets": 1 for kind in kinds}.items() <= counts.items()
    assert 5.5 < charges["create budgets"] < 7
    assert charges["create budgets"] == pytest.approx(float(charged))
    assert 2 < charges["read budgets"] < 2.5
    assert charges["query budgets"] == 5.6
    assert charges["batch budgets"] > 5

    async with aiohttp.ClientSession() as http, http.post(standin.control_url + "/control/charges/reset") as answer:
        assert answer.status == 204
    assert await standin.inspect("/control/charges") == {}


async def test_when_the_account_is_strong_then_a_read_costs_twice(certificates: Certificates) -> None:
    charged = {}
    for consistency in ("Strong", "Session"):
        async with running(certificates, consistency) as standin:
            container = await standin.container()
            await container.create_item({"id": "cap", "team": "red"})
            await container.read_item("cap", "red")
            charged[consistency] = (await standin.inspect("/control/charges"))["read budgets"]

    assert charged == {"Strong": 2.0, "Session": 1.0}


async def test_when_the_rate_is_limited_for_a_while_then_the_sdk_waits_and_goes_on(
    standin: Standin, budgets: ContainerProxy
) -> None:
    standin.control.faults = [Fault(operation="create *", kind="status", status=429, seconds=0.01, times=2)]

    await budgets.create_item({"id": "cap", "team": "red"})

    assert standin.control.counts["create budgets"] == 3


async def test_when_the_rate_stays_limited_then_the_sdk_gives_up(standin: Standin, budgets: ContainerProxy) -> None:
    standin.control.faults = [Fault(operation="read budgets", kind="status", status=429)]

    error = await refusal(budgets.read_item("cap", "red"))

    assert error.status_code == 429
    assert error.sub_status == 3200


@pytest.mark.parametrize("status", [408, 410, 449, 500, 503])
async def test_when_a_status_is_injected_then_nothing_was_done(
    standin: Standin, budgets: ContainerProxy, status: int
) -> None:
    await budgets.read()
    standin.control.faults = [Fault(operation="batch *", kind="status", status=status)]

    error = await refusal(budgets.execute_item_batch([("create", ({"id": "a", "team": "red"},))], partition_key="red"))

    assert error.status_code == status
    standin.control.faults = []
    assert await rows(budgets, "SELECT * FROM c") == []


@pytest.mark.parametrize("fault", [Fault(kind="drop"), Fault(kind="delay", seconds=0.2)])
async def test_when_an_answer_is_lost_or_late_then_the_operation_was_done(standin: Standin, fault: Fault) -> None:
    budgets = await standin.container(**NO_RETRIES)
    await budgets.create_item({"id": "cap", "team": "red", "n": 1})
    standin.control.faults = [fault.model_copy(update={"operation": "patch *"})]

    with pytest.raises(AzureError):
        await budgets.patch_item("cap", "red", INCREMENT, read_timeout=0.05)

    assert (await budgets.read_item("cap", "red"))["n"] == 2


async def test_when_the_sdk_may_retry_and_an_answer_is_lost_then_it_repeats_even_an_increment(
    standin: Standin, budgets: ContainerProxy
) -> None:
    await budgets.create_item({"id": "cap", "team": "red", "n": 1})
    standin.control.faults = [Fault(operation="patch *", kind="drop", times=1)]

    await budgets.patch_item("cap", "red", INCREMENT)

    assert (await budgets.read_item("cap", "red"))["n"] == 3


# the process


async def test_when_the_process_is_killed_then_nothing_acknowledged_is_lost(
    certificates: Certificates, tmp_path: Path
) -> None:
    process = Process(certificates, tmp_path, "--data", tmp_path / "data")
    acknowledged: list[int] = []
    enough = asyncio.Event()

    async def write(container: ContainerProxy) -> None:
        for number in range(100_000):
            await container.execute_item_batch(
                [
                    ("create", ({"id": f"a{number}", "team": "red"},)),
                    ("create", ({"id": f"b{number}", "team": "red"},)),
                    ("upsert", ({"id": "last", "team": "red", "n": number},)),
                ],
                partition_key="red",
            )
            acknowledged.append(number)
            if number == 100:
                enough.set()

    async with connected(process) as container:
        writer = asyncio.create_task(write(container))
        await enough.wait()
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    process = Process(certificates, tmp_path, "--data", tmp_path / "data")
    try:
        async with connected(process) as container:
            last = (await container.read_item("last", "red"))["n"]
            names = await rows(container, "SELECT VALUE c.id FROM c", max_item_count=1000)
            await container.create_item({"id": "after", "team": "red"})
    finally:
        assert process.stop() == 0
    assert last >= acknowledged[-1]
    assert sorted(names) == sorted([f"{kind}{number}" for kind in "ab" for number in range(last + 1)] + ["last"])


class Identity:
    """An authority and the managed identity's endpoint: signs tokens for whatever resource is asked for."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.authority = self.endpoint = ""
        self.asked: list[str] = []
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/t/v2.0/.well-known/openid-configuration", self._metadata),
                web.get("/keys", self._keys),
                web.get("/token", self._token),
            ]
        )

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": str(request.url.with_path("/keys"))})

    async def _keys(self, _: web.Request) -> web.Response:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return web.json_response({"keys": [{**key, "kid": "k", "use": "sig", "alg": "RS256"}]})

    async def _token(self, request: web.Request) -> web.Response:
        resource = request.query["resource"]
        self.asked.append(resource)
        answer = {"access_token": self.token(resource), "expires_on": str(int(time.time()) + 3600)}
        return web.json_response(answer | {"resource": resource, "token_type": "Bearer"})

    def token(self, audience: str) -> str:
        claims = {"aud": audience, "iss": f"{self.authority}/v2.0", "exp": int(time.time()) + 3600}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "k"})


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    identity = Identity()
    async with serving(identity.app) as url:
        identity.authority = f"{url}/t"
        identity.endpoint = f"{url}/token"
        yield identity


async def test_when_a_managed_identity_connects_then_its_token_is_taken_and_it_is_quick(
    certificates: Certificates, tmp_path: Path, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", identity.endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    process = Process(certificates, tmp_path, "--authority", identity.authority)
    try:
        started = time.perf_counter()
        async with ManagedIdentityCredential() as credential, connected(process, credential) as container:
            await container.create_item({"id": "cap", "team": "red"})
            elapsed = time.perf_counter() - started
            async with aiohttp.ClientSession() as http, http.get(process.ready["control"] + "/control/dump") as answer:
                dump = await answer.text()
    finally:
        assert process.stop() == 0

    assert identity.asked == ["https://127.0.0.1"]
    assert dump.startswith('budgets\t{"id":"cap","team":"red"')
    assert elapsed < 1.0


@pytest.mark.parametrize(
    ("audience", "status"),
    [("https://cosmos.azure.com", 200), ("https://127.0.0.1", 200), ("https://servicebus.azure.net", 401)],
)
async def test_when_a_token_is_signed_by_the_authority_then_its_audience_decides(
    certificates: Certificates, identity: Identity, audience: str, status: int
) -> None:
    check = BearerCheck(identity.authority, AUDIENCES)
    headers = {"authorization": quote(f"type=aad&ver=1.0&sig={identity.token(audience)}")}
    async with (
        running(certificates, check=check) as standin,
        aiohttp.ClientSession(headers=headers) as http,
        http.get(standin.url, ssl=False) as answer,
    ):
        assert answer.status == status
