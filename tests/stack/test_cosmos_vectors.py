"""The Cosmos DB stand-in against the real SDK: vector search."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy

from local.tls import Certificates
from tests.stack.cosmos_kit import Process, Standin, connected, refusal, rows
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin

NEAREST = "SELECT TOP @n VALUE c.id FROM c ORDER BY VectorDistance(c.vector, @v)"
EAST = [1, 0, 0]


@pytest.fixture
async def chunks(standin: Standin) -> ContainerProxy:
    """Three vectors of team red, from the nearest to the farthest from EAST; one of team blue, one item without."""
    container = await standin.container("chunks")
    turned: dict[str, list[float]] = {"far": [-2, 0, 0], "near": [5, 0.1, 0], "between": [1, 1, 0]}
    groups = {"far": ["g1"], "near": ["g1", "g2"], "between": ["g2"]}
    for name, vector in turned.items():
        await container.create_item({"id": name, "team": "red", "vector": vector, "groups": groups[name]})
    await container.create_item({"id": "without", "team": "red"})
    await container.create_item({"id": "elsewhere", "team": "blue", "vector": EAST})
    return container


@pytest.mark.parametrize(
    ("most", "expected"), [(1, ["near"]), (2, ["near", "between"]), (9, ["near", "between", "far"])]
)
async def test_when_a_partition_is_searched_then_the_nearest_of_it_come_first(
    chunks: ContainerProxy, most: int, expected: list[str]
) -> None:
    assert await rows(chunks, NEAREST, values={"n": most, "v": EAST}) == expected


async def test_when_the_distance_is_selected_then_it_is_the_cosine(chunks: ContainerProxy) -> None:
    query = "SELECT TOP 3 c.id, VectorDistance(c.vector, @v) AS score FROM c ORDER BY VectorDistance(c.vector, @v)"

    found = await rows(chunks, query, values={"v": [2, 0, 0]})

    assert [each["id"] for each in found] == ["near", "between", "far"]
    assert [each["score"] for each in found] == pytest.approx([5 / math.hypot(5, 0.1), math.sqrt(0.5), -1])


async def test_when_two_are_as_near_then_the_older_comes_first(chunks: ContainerProxy) -> None:
    await chunks.create_item({"id": "younger", "team": "red", "vector": [50, 1, 0]})

    assert await rows(chunks, NEAREST, values={"n": 2, "v": EAST}) == ["near", "younger"]


@pytest.mark.parametrize(
    "condition",
    [
        "EXISTS(SELECT VALUE g FROM g IN c.groups WHERE ARRAY_CONTAINS(@groups, g))",
        "(ARRAY_CONTAINS(c.groups, @groups[0]) OR ARRAY_CONTAINS(c.groups, @groups[1]))",
    ],
)
@pytest.mark.parametrize(
    ("groups", "expected"),
    [(["g1"], ["near", "far"]), (["g2"], ["near", "between"]), (["g1", "g2"], ["near", "between"]), (["g3"], [])],
)
async def test_when_a_search_has_a_condition_then_what_fails_it_takes_no_place(
    chunks: ContainerProxy, condition: str, groups: list[str], expected: list[str]
) -> None:
    query = f"SELECT TOP 2 VALUE c.id FROM c WHERE {condition} ORDER BY VectorDistance(c.vector, @v)"  # noqa: S608

    assert await rows(chunks, query, values={"v": EAST, "groups": groups}) == expected


async def test_when_an_item_changes_then_the_next_search_finds_it_as_it_is(chunks: ContainerProxy) -> None:
    search: dict[str, Any] = {"query": NEAREST, "values": {"n": 1, "v": EAST}}
    assert await rows(chunks, **search) == ["near"]

    await chunks.patch_item("near", "red", [{"op": "set", "path": "/vector", "value": [0, 1, 0]}])
    assert await rows(chunks, **search) == ["between"]
    await chunks.delete_item("between", "red")
    assert await rows(chunks, **search) == ["near"]
    await chunks.upsert_item({"id": "far", "team": "red", "vector": EAST})
    assert await rows(chunks, **search) == ["far"]
    await chunks.patch_item("far", "red", [{"op": "remove", "path": "/vector"}])
    assert await rows(chunks, **search) == ["near"]


async def test_when_a_search_is_read_in_pages_then_they_are_one_result(chunks: ContainerProxy) -> None:
    parameters: list[dict[str, Any]] = [{"name": "@n", "value": 3}, {"name": "@v", "value": EAST}]
    pages: Any = chunks.query_items(NEAREST, parameters=parameters, partition_key="red", max_item_count=1).by_page()

    assert [[row async for row in page] async for page in pages] == [["near"], ["between"], ["far"]]


async def test_when_the_policy_is_read_then_it_is_what_the_container_was_made_with(chunks: ContainerProxy) -> None:
    properties = await chunks.read()

    assert properties["vectorEmbeddingPolicy"]["vectorEmbeddings"][0] == {
        "path": "/vector",
        "dataType": "float32",
        "distanceFunction": "cosine",
        "dimensions": 3,
    }
    assert properties["indexingPolicy"]["vectorIndexes"] == [
        {"path": "/vector", "type": "quantizedFlat"},
        {"path": "/deep/vector", "type": "diskANN"},
    ]
    assert {"path": "/vector/*"} in properties["indexingPolicy"]["excludedPaths"]


async def test_when_a_vector_lies_deeper_then_it_is_found_there(chunks: ContainerProxy) -> None:
    await chunks.create_item({"id": "deep", "team": "red", "deep": {"vector": [1, 1]}})
    query = "SELECT TOP 5 VALUE c.id FROM c ORDER BY VectorDistance(c.deep.vector, [0, 1])"

    assert await rows(chunks, query) == ["deep"]


@pytest.mark.parametrize(
    ("query", "vector", "complaint"),
    [
        (NEAREST, [1, 0], "has 3 dimensions"),
        (NEAREST, "east", "not an array of numbers"),
        (NEAREST, [1, 0, "0"], "not an array of numbers"),
        ("SELECT TOP @n * FROM c ORDER BY VectorDistance(c.other, @v)", EAST, "no vector policy for /other"),
        ("SELECT VALUE VectorDistance(c.other, @v) FROM c WHERE @n = 1", EAST, "no vector policy for /other"),
        ("SELECT TOP @n * FROM c ORDER BY VectorDistance(c.vector, @w)", EAST, "@w has no value"),
    ],
)
async def test_when_a_search_is_not_supported_then_it_is_refused(
    chunks: ContainerProxy, query: str, vector: Any, complaint: str
) -> None:
    error = await refusal(rows(chunks, query, values={"n": 1, "v": vector}))

    assert (error.status_code, complaint in str(error)) == (400, True)


async def test_when_a_search_is_over_several_partitions_then_it_is_refused(chunks: ContainerProxy) -> None:
    assert (await refusal(rows(chunks, NEAREST, None, values={"n": 1, "v": EAST}))).status_code == 400


@pytest.mark.parametrize("vector", [[1, 0], [1, 0, 0, 0], [], "east", [1, 0, None], {"x": 1}])
async def test_when_a_vector_is_not_as_the_policy_has_it_then_the_item_is_refused(
    chunks: ContainerProxy, vector: Any
) -> None:
    item = {"id": "odd", "team": "red", "vector": vector}

    assert (await refusal(chunks.create_item(item))).status_code == 400
    assert await rows(chunks, "SELECT * FROM c WHERE c.id = 'odd'") == []


async def test_when_a_partition_is_searched_then_each_of_its_vectors_costs(
    chunks: ContainerProxy, standin: Standin
) -> None:
    async def charge(query: str, **values: Any) -> float:
        before = (await standin.inspect("/control/charges")).get("query chunks", 0.0)
        await rows(chunks, query, values=values)
        return float((await standin.inspect("/control/charges"))["query chunks"] - before)

    plain = await charge("SELECT TOP 1 VALUE c.id FROM c WHERE c.id = 'near'")
    few = await charge(NEAREST, n=1, v=EAST)
    for number in range(500):
        await chunks.create_item({"id": str(number), "team": "red", "vector": [0, 0, 1]})

    assert plain <= few < await charge(NEAREST, n=1, v=EAST)


async def test_when_a_partition_holds_two_thousand_vectors_then_the_nearest_that_may_be_seen_are_found(
    standin: Standin,
) -> None:
    container = await standin.container("chunks")
    chance = random.Random(7)  # noqa: S311
    vectors = [[chance.gauss(0, 1) for _ in range(3)] for _ in range(2_000)]
    for first in range(0, len(vectors), 100):
        batch = [
            ("create", ({"id": str(n), "team": "red", "vector": vectors[n], "groups": [f"g{n % 2}"]},))
            for n in range(first, first + 100)
        ]
        await container.execute_item_batch(batch, "red")
    query = """SELECT TOP 5 VALUE c.id FROM c WHERE EXISTS(SELECT VALUE g FROM g IN c.groups
        WHERE ARRAY_CONTAINS(@groups, g)) ORDER BY VectorDistance(c.vector, @v)"""

    found = await rows(container, query, values={"v": EAST, "groups": ["g1"]})

    cosines = {n: vectors[n][0] / math.hypot(*vectors[n]) for n in range(1, 2_000, 2)}
    assert [int(each) for each in found] == sorted(cosines, key=lambda n: -cosines[n])[:5]


async def test_when_the_process_starts_again_then_what_it_kept_is_searched(
    certificates: Certificates, tmp_path: Path
) -> None:
    for expected in ([], ["kept"]):
        process = Process(certificates, tmp_path, "--data", tmp_path / "data")
        try:
            async with connected(process, name="chunks") as chunks:
                assert await rows(chunks, NEAREST, values={"n": 1, "v": EAST}) == expected
                await chunks.upsert_item({"id": "kept", "team": "red", "vector": EAST})
        finally:
            assert process.stop() == 0
