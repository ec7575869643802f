"""The Cosmos DB stand-in against the real SDK: what the product relies on, and what it must not get away with."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.identity.aio import ManagedIdentityCredential
from cryptography.hazmat.primitives.asymmetric import rsa

from local.cosmos.config import Containers
from local.cosmos.gateway import Gateway
from local.cosmos.server import Server
from local.cosmos.store import Container
from local.standin import Control, Fault, serving
from local.tls import Certificates, issue, server_context

SPEC = {
    "database": "assistants",
    "containers": [
        {"id": "budgets", "partition_key": "/team"},
        {"id": "requests", "partition_key": "/id", "default_ttl": -1},
        {"id": "notes", "partition_key": "/a/b", "default_ttl": 60},
        {
            "id": "ordered",
            "partition_key": "/team",
            "composite_indexes": [
                [{"path": "/day", "order": "descending"}, {"path": "/id", "order": "ascending"}],
            ],
        },
    ],
}


NO_RETRIES = {"retry_total": 0, "retry_read": 0, "retry_connect": 0}
INCREMENT = [{"op": "incr", "path": "/n", "value": 1}]

large_bodies = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
"""aiohttp says so of what the SDK sends."""


class Clock:
    """The stand-in's time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Credential:
    """A token of no authority: for a stand-in that was given none."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("any", int(time.time()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Standin:
    """The stand-in in this process, with clients."""

    def __init__(self, url: str, control: Control, control_url: str, clock: Clock, stack: AsyncExitStack) -> None:
        self.url = url
        self.control = control
        self.control_url = control_url
        self.clock = clock
        self._stack = stack

    async def client(self, **options: Any) -> CosmosClient:
        return await self._stack.enter_async_context(CosmosClient(self.url, Credential(), **options))

    async def container(self, name: str = "budgets", **options: Any) -> ContainerProxy:
        client = await self.client(**options)
        return client.get_database_client("assistants").get_container_client(name)

    async def inspect(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.control_url + path) as answer:
            return await answer.json()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def running(certificates: Certificates, consistency: Any = "Strong", lag: float = 0.0) -> AsyncIterator[Standin]:
    spec = Containers.model_validate(SPEC)
    clock, control = Clock(), Control()
    containers = [Container(container, b"data", clock=clock, lag=lag) for container in spec.containers]
    app = Server(Gateway(spec.database, b"data", containers, consistency), control, None).app()
    async with (
        serving(app, ssl_context=server_context(certificates.server)) as url,
        serving(control.app()) as control_url,
        AsyncExitStack() as stack,
    ):
        yield Standin(url, control, control_url, clock, stack)


@pytest.fixture
async def standin(certificates: Certificates) -> AsyncIterator[Standin]:
    async with running(certificates) as standin:
        yield standin


@pytest.fixture
async def budgets(standin: Standin) -> ContainerProxy:
    return await standin.container()


async def refusal(call: Any) -> exceptions.CosmosHttpResponseError:
    with pytest.raises(exceptions.CosmosHttpResponseError) as error:
        await call
    return error.value


async def rows(container: ContainerProxy, query: str, team: str | None = "red", **options: Any) -> list[Any]:
    if team is not None:
        options["partition_key"] = team
    parameters = [{"name": f"@{name}", "value": value} for name, value in options.pop("values", {}).items()]
    return [row async for row in container.query_items(query, parameters=parameters, **options)]


# items


async def test_when_an_item_is_created_then_it_is_read_back_with_system_properties(budgets: ContainerProxy) -> None:
    created = await budgets.create_item({"id": "cap", "team": "red", "limit": 5, "_etag": "mine", "ü": "€"})
    read = await budgets.read_item("cap", "red")

    assert read == created
    assert read | {"limit": 5, "ü": "€"} == read
    assert {"_rid", "_self", "_etag", "_ts"} <= read.keys()
    assert read["_etag"] != "mine"


async def test_when_an_item_exists_then_a_create_conflicts_in_its_partition_only(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "cap", "team": "red"})

    assert isinstance(
        await refusal(budgets.create_item({"id": "cap", "team": "red"})), exceptions.CosmosResourceExistsError
    )
    await budgets.create_item({"id": "cap", "team": "blue"})


async def test_when_an_item_is_written_again_then_its_etag_changes_and_its_identity_stays(
    budgets: ContainerProxy,
) -> None:
    first = await budgets.upsert_item({"id": "cap", "team": "red", "n": 1})
    second = await budgets.upsert_item({"id": "cap", "team": "red", "n": 2})
    third = await budgets.replace_item("cap", {"id": "cap", "team": "red", "m": 3})

    assert len({first["_etag"], second["_etag"], third["_etag"]}) == 3
    assert first["_rid"] == second["_rid"] == third["_rid"]
    assert "n" not in await budgets.read_item("cap", "red")


async def test_when_an_item_is_missing_then_it_is_not_found(budgets: ContainerProxy) -> None:
    for call in (
        budgets.read_item("cap", "red"),
        budgets.replace_item("cap", {"id": "cap", "team": "red"}),
        budgets.delete_item("cap", "red"),
        budgets.patch_item("cap", "red", [{"op": "set", "path": "/n", "value": 1}]),
    ):
        assert isinstance(await refusal(call), exceptions.CosmosResourceNotFoundError)


async def test_when_an_item_is_deleted_then_it_is_gone(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "cap", "team": "red"})
    await budgets.delete_item("cap", "red")

    assert (await refusal(budgets.read_item("cap", "red"))).status_code == 404


async def test_when_the_etag_is_an_old_one_then_no_write_happens(budgets: ContainerProxy) -> None:
    old = (await budgets.create_item({"id": "cap", "team": "red", "n": 1}))["_etag"]
    new = (await budgets.upsert_item({"id": "cap", "team": "red", "n": 2}))["_etag"]
    item = {"id": "cap", "team": "red", "n": 3}
    only_if = {"etag": old, "match_condition": MatchConditions.IfNotModified}

    for call in (
        budgets.replace_item("cap", item, **only_if),
        budgets.upsert_item(item, **only_if),
        budgets.delete_item("cap", "red", **only_if),
        budgets.patch_item("cap", "red", [{"op": "incr", "path": "/n", "value": 1}], **only_if),
    ):
        assert isinstance(await refusal(call), exceptions.CosmosAccessConditionFailedError)

    assert (await budgets.read_item("cap", "red"))["n"] == 2
    await budgets.replace_item("cap", item, etag=new, match_condition=MatchConditions.IfNotModified)


async def test_when_an_upsert_with_an_etag_finds_no_item_then_it_creates_one(budgets: ContainerProxy) -> None:
    await budgets.upsert_item({"id": "cap", "team": "red"}, etag='"old"', match_condition=MatchConditions.IfNotModified)

    assert await budgets.read_item("cap", "red")


async def test_when_an_item_has_not_changed_then_a_conditional_read_has_no_body(budgets: ContainerProxy) -> None:
    etag = (await budgets.create_item({"id": "cap", "team": "red"}))["_etag"]

    assert not await budgets.read_item("cap", "red", etag=etag, match_condition=MatchConditions.IfModified)
    assert await budgets.read_item("cap", "red", etag='"other"', match_condition=MatchConditions.IfModified)


async def test_when_the_response_is_not_wanted_then_it_is_empty(budgets: ContainerProxy) -> None:
    assert not await budgets.create_item({"id": "cap", "team": "red"}, no_response=True)
    assert await budgets.read_item("cap", "red")


@pytest.mark.parametrize(
    "name",
    ["a b", "ünï€", "a+b", "a%20b", "a%2Fb", "100%", "it's", 'say "x"', "a&b=c;d", "a:b|c", "{}", "x" * 255],
)
async def test_when_an_id_has_awkward_characters_then_all_operations_find_it(
    budgets: ContainerProxy, name: str
) -> None:
    await budgets.create_item({"id": name, "team": name})

    assert (await budgets.read_item(name, name))["id"] == name
    await budgets.patch_item(name, name, [{"op": "set", "path": "/n", "value": 1}])
    assert await rows(budgets, "SELECT VALUE c.n FROM c WHERE c.id = @id", name, values={"id": name}) == [1]
    await budgets.delete_item(name, name)


@pytest.mark.parametrize("value", [5, 5.5, True, None, "", "5"])
async def test_when_partition_keys_are_of_other_types_then_they_are_told_apart(
    budgets: ContainerProxy, value: Any
) -> None:
    for other in (5, 5.5, True, None, "", "5"):
        await budgets.create_item({"id": "cap", "team": other, "mine": other is value})

    assert (await budgets.read_item("cap", value))["mine"]


async def test_when_the_partition_key_is_a_nested_property_then_it_is_found(standin: Standin) -> None:
    notes = await standin.container("notes")
    await notes.create_item({"id": "n", "a": {"b": "x"}})

    assert await notes.read_item("n", "x")


@pytest.mark.parametrize(
    "item",
    [
        {"id": "a/b", "team": "red"},
        {"id": "x" * 1024, "team": "red"},
        {"id": 5, "team": "red"},
        {"team": "red"},
        {"id": "a", "team": ["red"]},
        {"id": "a", "team": "red", "ttl": 0},
        {"id": "a", "team": "red", "ttl": "60"},
        {"id": "a", "team": "red", "n": float("nan")},
    ],
)
async def test_when_an_item_is_not_valid_then_it_is_refused(standin: Standin, item: Any) -> None:
    headers = {
        "authorization": "type%3Daad%26ver%3D1.0%26sig%3Dany",
        "x-ms-documentdb-partitionkey": json.dumps([item["team"]]),
    }
    url = f"{standin.url}/dbs/assistants/colls/budgets/docs"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url, data=json.dumps(item), ssl=False) as answer,
    ):
        assert answer.status == 400


@large_bodies
async def test_when_an_item_is_over_two_megabytes_then_it_is_too_large(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "fits", "team": "red", "text": "x" * (2 * 1024 * 1024 - 500)})
    grows = [{"op": "set", "path": "/more", "value": "x" * 1000}]

    too_large = {"id": "big", "team": "red", "text": "x" * (2 * 1024 * 1024)}
    assert (await refusal(budgets.create_item(too_large))).status_code == 413
    assert (await refusal(budgets.patch_item("fits", "red", grows))).status_code == 413


async def test_when_an_items_time_is_over_then_it_is_gone(standin: Standin) -> None:
    requests = await standin.container("requests")
    notes = await standin.container("notes")
    await requests.create_item({"id": "short", "ttl": 5})
    await requests.create_item({"id": "kept"})
    await requests.create_item({"id": "renewed", "ttl": 5})
    await notes.create_item({"id": "default", "a": {"b": "x"}})
    await notes.create_item({"id": "never", "a": {"b": "x"}, "ttl": -1})
    standin.clock.now += 4.9
    await requests.read_item("short", "short")
    await requests.upsert_item({"id": "renewed", "ttl": 50})

    standin.clock.now += 10

    assert (await refusal(requests.read_item("short", "short"))).status_code == 404
    assert await rows(requests, "SELECT VALUE c.id FROM c", None) == ["kept", "renewed"]
    await requests.create_item({"id": "short"})
    assert sorted(await rows(notes, "SELECT VALUE c.id FROM c", "x")) == ["default", "never"]
    standin.clock.now += 60
    assert await rows(notes, "SELECT VALUE c.id FROM c", "x") == ["never"]
    assert "default" not in standin.control.dump()


async def test_when_the_container_has_no_default_then_a_ttl_does_nothing(
    standin: Standin, budgets: ContainerProxy
) -> None:
    await budgets.create_item({"id": "cap", "team": "red", "ttl": 1})

    standin.clock.now += 100

    assert await budgets.read_item("cap", "red")


# patches


async def test_when_an_item_is_patched_then_the_operations_apply_in_order(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "cap", "team": "red", "n": 1, "list": [1, 2], "o": {"x": 1}, "gone": 1})

    patched = await budgets.patch_item(
        "cap",
        "red",
        [
            {"op": "incr", "path": "/n", "value": 5},
            {"op": "incr", "path": "/fresh", "value": -2},
            {"op": "set", "path": "/o/deep", "value": {"y": None}},
            {"op": "replace", "path": "/o/x", "value": 9},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "add", "path": "/list/0", "value": 0},
            {"op": "set", "path": "/list/1", "value": "one"},
            {"op": "remove", "path": "/list/2"},
            {"op": "remove", "path": "/gone"},
            {"op": "add", "path": "/slash~1name", "value": True},
        ],
    )

    expected = {"n": 6, "fresh": -2, "o": {"x": 9, "deep": {"y": None}}, "list": [0, "one", 3], "slash/name": True}
    assert patched | expected == patched
    assert "gone" not in patched
    assert await budgets.read_item("cap", "red") == patched


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": "/missing", "value": 1}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "incr", "path": "/text", "value": 1}],
        [{"op": "incr", "path": "/n", "value": "1"}],
        [{"op": "set", "path": "/missing/deep", "value": 1}],
        [{"op": "set", "path": "/text/deep", "value": 1}],
        [{"op": "set", "path": "/list/1", "value": 1}],
        [{"op": "add", "path": "/list/2", "value": 1}],
        [{"op": "set", "path": "/id", "value": "other"}],
        [{"op": "set", "path": "/team", "value": "blue"}],
        [{"op": "set", "path": "/_etag", "value": "x"}],
        [{"op": "move", "from": "/n", "path": "/m"}],
        [{"op": "set", "path": f"/p{n}", "value": n} for n in range(11)],
        [],
    ],
)
async def test_when_a_patch_cannot_be_done_then_none_of_it_is(budgets: ContainerProxy, operations: Any) -> None:
    item = await budgets.create_item({"id": "cap", "team": "red", "n": 1, "text": "x", "list": [1]})
    good = [{"op": "incr", "path": "/n", "value": 1}] if 0 < len(operations) < 10 else []

    assert (await refusal(budgets.patch_item("cap", "red", good + operations))).status_code == 400
    assert await budgets.read_item("cap", "red") == item


async def test_when_a_filter_predicate_fails_then_nothing_is_patched(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "cap", "team": "red", "spent": 40, "reserved": 0, "limit": 100})
    reserve = [{"op": "incr", "path": "/reserved", "value": 35}]
    fits = 'FROM c WHERE c.spent + c.reserved + 35 <= c["limit"]'

    await budgets.patch_item("cap", "red", reserve, filter_predicate=fits)
    error = await refusal(budgets.patch_item("cap", "red", reserve, filter_predicate=fits))

    assert isinstance(error, exceptions.CosmosAccessConditionFailedError)
    assert (await budgets.read_item("cap", "red"))["reserved"] == 35


async def test_when_a_filter_predicate_is_wrong_then_it_is_refused(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "cap", "team": "red"})
    operation = [{"op": "set", "path": "/n", "value": 1}]

    error = await refusal(budgets.patch_item("cap", "red", operation, filter_predicate="FROM c WHERE c.n = @n"))

    assert error.status_code == 400


# batches


async def test_when_a_batch_succeeds_then_each_operation_has_its_result(budgets: ContainerProxy) -> None:
    await budgets.create_item({"id": "old", "team": "red"})
    etag = (await budgets.create_item({"id": "cap", "team": "red", "n": 1}))["_etag"]

    results = await budgets.execute_item_batch(
        [
            ("create", ({"id": "new", "team": "red"},)),
            ("upsert", ({"id": "other", "team": "red"},)),
            ("upsert", ({"id": "other", "team": "red", "n": 2},)),
            (
                "patch",
                ("cap", [{"op": "incr", "path": "/n", "value": 1}]),
                {"filter_predicate": "FROM c WHERE c.n = 1", "if_match_etag": etag},
            ),
            ("replace", ("new", {"id": "new", "team": "red", "n": 3})),
            ("read", ("cap",)),
            ("delete", ("old",)),
        ],
        partition_key="red",
    )

    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 200, 204]
    assert results[5]["resourceBody"]["n"] == 2
    assert results[5]["eTag"] == (await budgets.read_item("cap", "red"))["_etag"]
    assert sorted(await rows(budgets, "SELECT VALUE c.id FROM c")) == ["cap", "new", "other"]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("create", ({"id": "cap", "team": "red"},)), 409),
        (("read", ("missing",)), 404),
        (("replace", ("missing", {"id": "missing", "team": "red"})), 404),
        (("delete", ("missing",)), 404),
        (("delete", ("cap",), {"if_match_etag": '"old"'}), 412),
        (("upsert", ({"id": "cap", "team": "red"},), {"if_match_etag": '"old"'}), 412),
        (("patch", ("cap", [{"op": "remove", "path": "/missing"}])), 400),
        (
            (
                "patch",
                ("cap", [{"op": "incr", "path": "/n", "value": 1}]),
                {"filter_predicate": "FROM c WHERE c.n > 1"},
            ),
            412,
        ),
        (("create", ({"id": "bad", "team": "red", "ttl": 0},)), 400),
        (("read", ("cap",), {"if_match_etag": '"x"'}), 400),
    ],
)
async def test_when_one_operation_of_a_batch_fails_then_none_happens(
    budgets: ContainerProxy, operation: Any, status: int
) -> None:
    before = await budgets.create_item({"id": "cap", "team": "red", "n": 1})

    with pytest.raises(exceptions.CosmosBatchOperationError) as failure:
        await budgets.execute_item_batch(
            [
                ("create", ({"id": "reservation", "team": "red"},)),
                ("patch", ("cap", [{"op": "incr", "path": "/n", "value": 0}])),
                operation,
                ("create", ({"id": "last", "team": "red"},)),
            ],
            partition_key="red",
        )

    assert failure.value.error_index == 2
    assert failure.value.status_code == status
    assert [result["statusCode"] for result in failure.value.operation_responses] == [424, 424, status, 424]
    assert await rows(budgets, "SELECT * FROM c") == [before]


@pytest.mark.parametrize(
    "operations",
    [
        [("create", ({"id": str(n), "team": "red"},)) for n in range(101)],
        [("create", ({"id": "a", "team": "blue"},))],
        [("read", ("a",), {"if_none_match_etag": '"x"'})],
        [],
    ],
)
async def test_when_a_batch_is_not_acceptable_then_it_is_refused_as_a_whole(
    budgets: ContainerProxy, operations: Any
) -> None:
    error = await refusal(budgets.execute_item_batch(operations, partition_key="red"))

    assert error.status_code == 400
    assert not isinstance(error, exceptions.CosmosBatchOperationError)


async def test_when_fifty_compete_then_one_wins_and_increments_add_up(budgets: ContainerProxy) -> None:
    etag = (await budgets.create_item({"id": "cap", "team": "red", "n": 0}))["_etag"]
    replace = [
        budgets.replace_item(
            "cap", {"id": "cap", "team": "red", "n": 0}, etag=etag, match_condition=MatchConditions.IfNotModified
        )
        for _ in range(50)
    ]
    outcomes = await asyncio.gather(*replace, return_exceptions=True)
    lost = [outcome for outcome in outcomes if isinstance(outcome, exceptions.CosmosAccessConditionFailedError)]

    below_30 = "FROM c WHERE c.n < 30"
    patches = [budgets.patch_item("cap", "red", INCREMENT, filter_predicate=below_30) for _ in range(50)]
    refused = [o for o in await asyncio.gather(*patches, return_exceptions=True) if isinstance(o, Exception)]

    assert len(lost) == 49
    assert len(refused) == 20
    assert (await budgets.read_item("cap", "red"))["n"] == 30


# queries


@pytest.fixture
async def five(budgets: ContainerProxy) -> ContainerProxy:
    """Five items of team red, one of team blue."""
    for number in range(5):
        await budgets.create_item({"id": f"r{number}", "team": "red", "n": number % 3, "tags": ["x"] * number})
    await budgets.create_item({"id": "b0", "team": "blue", "n": 0})
    return budgets


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE c.id FROM c WHERE c.n = @n", ["r1", "r4"]),
        ("SELECT c.id, c.n AS number FROM c WHERE c.id IN ('r1', 'b0')", [{"id": "r1", "number": 1}]),
        ("SELECT VALUE c.id FROM c ORDER BY c.n DESC", ["r2", "r1", "r4", "r0", "r3"]),
        ("SELECT TOP 2 VALUE c.id FROM c ORDER BY c.id DESC", ["r4", "r3"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["r1", "r2"]),
        ("SELECT VALUE COUNT(1) FROM c", [5]),
        ("SELECT VALUE SUM(c.n) FROM c", [4]),
        ("SELECT DISTINCT VALUE c.n FROM c", [0, 1, 2]),
        ("SELECT VALUE c.id FROM c WHERE ARRAY_LENGTH(c.tags) >= 3", ["r3", "r4"]),
        ("SELECT VALUE c.id FROM c WHERE false", []),
    ],
)
async def test_when_a_partition_is_queried_then_only_its_items_answer(
    five: ContainerProxy, query: str, expected: list[Any]
) -> None:
    assert await rows(five, query, values={"n": 1}) == expected


async def test_when_all_partitions_are_queried_then_a_filter_answers(five: ContainerProxy) -> None:
    assert await rows(five, "SELECT VALUE c.id FROM c WHERE c.n = 0", None) == ["r0", "r3", "b0"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM c ORDER BY c.n",
        "SELECT VALUE COUNT(1) FROM c",
        "SELECT DISTINCT VALUE c.n FROM c",
        "SELECT TOP 1 * FROM c",
        "SELECT * FROM c OFFSET 0 LIMIT 1",
    ],
)
async def test_when_a_query_over_partitions_needs_a_plan_then_it_is_refused(five: ContainerProxy, query: str) -> None:
    assert (await refusal(rows(five, query, None))).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "SELECT c.n FROM c GROUP BY c.n",
        "SELECT VALUE t FROM c JOIN t IN c.tags",
        "SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.v, [1, 2])",
        "SELECT FROM",
    ],
)
async def test_when_a_query_is_not_supported_then_it_is_refused(five: ContainerProxy, query: str) -> None:
    assert (await refusal(rows(five, query))).status_code == 400


async def test_when_several_keys_order_then_a_composite_index_is_needed(standin: Standin) -> None:
    ordered = await standin.container("ordered")
    for name, day in (("a", 1), ("b", 2), ("c", 2)):
        await ordered.create_item({"id": name, "team": "red", "day": day})

    assert await rows(ordered, "SELECT VALUE c.id FROM c ORDER BY c.day DESC, c.id") == ["b", "c", "a"]
    assert await rows(ordered, "SELECT VALUE c.id FROM c ORDER BY c.day, c.id DESC") == ["a", "c", "b"]
    error = await refusal(rows(ordered, "SELECT VALUE c.id FROM c ORDER BY c.day, c.id"))
    assert "composite index" in str(error)


@pytest.mark.parametrize(
    ("query", "team"),
    [
        ("SELECT VALUE c.id FROM c", "red"),
        ("SELECT VALUE c.id FROM c", None),
        ("SELECT VALUE c.id FROM c ORDER BY c.n DESC", "red"),
        ("SELECT TOP 4 VALUE c.id FROM c", "red"),
        ("SELECT DISTINCT VALUE c.n FROM c", "red"),
    ],
)
async def test_when_a_query_is_read_in_pages_then_the_token_leads_on(
    five: ContainerProxy, query: str, team: str | None
) -> None:
    options: dict[str, Any] = {"partition_key": team} if team else {}
    read: list[Any] = []
    token: str | None = None
    pages = 0
    while True:
        # A new iterator each time: as if the page were asked for by another process.
        iterator: Any = five.query_items(query, max_item_count=2, **options).by_page(token)
        read += [row async for row in await anext(iterator)]
        pages += 1
        token = iterator.continuation_token
        if token is None:
            break

    assert read == await rows(five, query, team)
    assert pages == -(-len(read) // 2)


async def test_when_items_change_between_pages_then_none_is_missed_or_repeated(five: ContainerProxy) -> None:
    iterator: Any = five.query_items("SELECT VALUE c.id FROM c", partition_key="red", max_item_count=2).by_page()
    first = [row async for row in await anext(iterator)]
    await five.delete_item("r0", "red")
    await five.delete_item("r3", "red")
    await five.create_item({"id": "r5", "team": "red"})

    rest = [row async for page in iterator async for row in page]

    assert first + rest == ["r0", "r1", "r2", "r4", "r5"]


async def test_when_a_token_belongs_to_another_query_then_it_is_refused(five: ContainerProxy) -> None:
    iterator: Any = five.query_items("SELECT VALUE c.id FROM c", partition_key="red", max_item_count=2).by_page()
    await anext(iterator)

    for query, team, token in (
        ("SELECT VALUE c.n FROM c", "red", iterator.continuation_token),
        ("SELECT VALUE c.id FROM c", "blue", iterator.continuation_token),
        ("SELECT VALUE c.id FROM c", "red", "bm90IGEgdG9rZW4="),
    ):
        other = five.query_items(query, partition_key=team, max_item_count=2).by_page(token)
        assert (await refusal(anext(other))).status_code == 400


@large_bodies
async def test_when_a_page_would_exceed_four_megabytes_then_it_ends_early(budgets: ContainerProxy) -> None:
    for number in range(3):
        await budgets.create_item({"id": str(number), "team": "red", "text": "x" * 1_900_000})

    pages = budgets.query_items("SELECT * FROM c", partition_key="red").by_page()
    sizes = [len([row async for row in page]) async for page in pages]

    assert sizes == [2, 1]


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


class Process:
    """The stand-in as it is run."""

    def __init__(self, certificates: Certificates, folder: Path, *options: object) -> None:
        containers = folder / "containers.json"
        containers.write_text(json.dumps(SPEC))
        command = ["-m", "local.cosmos", "--containers", containers, "--tls", certificates.server, *options]
        self._process = subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout
        self.ready = json.loads(self._process.stdout.readline())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        self._process.communicate()
        return self._process.returncode


@asynccontextmanager
async def connected(process: Process, credential: Any = None) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient(process.ready["url"], credential or Credential()) as client:
        yield client.get_database_client("assistants").get_container_client("budgets")


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
        self.asked: list[str] = []
        self.audience: str | None = None
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
        self.asked.append(request.query["resource"])
        expires = int(time.time()) + 3600
        claims = {
            "aud": self.audience or request.query["resource"],
            "iss": str(request.url.with_path("/t/v2.0").with_query(None)),
            "exp": expires,
        }
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "k"})
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(expires),
                "resource": request.query["resource"],
                "token_type": "Bearer",
            }
        )


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Identity, str]]:
    identity = Identity()
    async with serving(identity.app) as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        yield identity, f"{url}/t"


@pytest.fixture
def guarded(certificates: Certificates, tmp_path: Path, identity: tuple[Identity, str]) -> Iterator[Process]:
    process = Process(certificates, tmp_path, "--authority", identity[1])
    yield process
    process.stop()


async def test_when_a_managed_identity_connects_then_its_token_is_taken_and_it_is_quick(
    guarded: Process, identity: tuple[Identity, str]
) -> None:
    started = time.perf_counter()
    async with ManagedIdentityCredential() as credential, connected(guarded, credential) as container:
        await container.create_item({"id": "cap", "team": "red"})
        elapsed = time.perf_counter() - started
        async with aiohttp.ClientSession() as http, http.get(guarded.ready["control"] + "/control/dump") as answer:
            dump = await answer.text()

    assert identity[0].asked == ["https://127.0.0.1"]
    assert dump.startswith('budgets\t{"id":"cap","team":"red"')
    assert elapsed < 1.0


async def test_when_a_token_is_for_another_service_then_it_is_unauthorized(
    guarded: Process, identity: tuple[Identity, str]
) -> None:
    identity[0].audience = "https://servicebus.azure.net"
    async with ManagedIdentityCredential() as credential:
        client = CosmosClient(guarded.ready["url"], credential)
        error = await refusal(client.__aenter__())
        await client.close()

    assert error.status_code == 401


async def test_when_a_token_is_for_cosmos_then_it_is_taken(guarded: Process, identity: tuple[Identity, str]) -> None:
    identity[0].audience = "https://cosmos.azure.com"
    async with ManagedIdentityCredential() as credential, connected(guarded, credential) as container:
        await container.create_item({"id": "cap", "team": "red"})
