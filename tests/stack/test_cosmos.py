"""The Cosmos DB stand-in against the real SDK: items, patches and transactional batches."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from azure.core import MatchConditions
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy

from tests.stack.cosmos_kit import (
    INCREMENT,
    Standin,
    large_bodies,
    refusal,
    rows,
)
from tests.stack.cosmos_kit import budgets as budgets
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin

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
