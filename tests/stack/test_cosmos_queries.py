"""The Cosmos DB stand-in against the real SDK: queries, their pages, and what is refused."""

from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy

from tests.stack.cosmos_kit import Standin, large_bodies, refusal, rows
from tests.stack.cosmos_kit import budgets as budgets
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin


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
        ("SELECT VALUE c.id FROM c WHERE c.id IN (@id, 'r1', 3, 'r3', 'x')", ["r1", "r2", "r3"]),
        ("SELECT VALUE c.id FROM c WHERE c.id IN (c.id)", ["r0", "r1", "r2", "r3", "r4"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.n DESC", ["r2", "r1", "r4", "r0", "r3"]),
        ("SELECT TOP 2 VALUE c.id FROM c ORDER BY c.id DESC", ["r4", "r3"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["r1", "r2"]),
        ("SELECT VALUE COUNT(1) FROM c", [5]),
        ("SELECT VALUE SUM(c.n) FROM c", [4]),
        ("SELECT DISTINCT VALUE c.n FROM c", [0, 1, 2]),
        ("SELECT VALUE c.id FROM c WHERE ARRAY_LENGTH(c.tags) >= 3", ["r3", "r4"]),
        (
            "SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'x')",
            ["r1", "r2", "r3", "r4"],
        ),
        ("SELECT VALUE c.id FROM c WHERE false", []),
    ],
)
async def test_when_a_partition_is_queried_then_only_its_items_answer(
    five: ContainerProxy, query: str, expected: list[Any]
) -> None:
    assert await rows(five, query, values={"n": 1, "id": "r2"}) == expected


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
        "SELECT * FROM c WHERE EXISTS(SELECT VALUE 1 FROM t IN c.tags)",
        "SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.v, [1, 2])",
        "SELECT FROM",
    ],
)
async def test_when_a_query_is_not_supported_then_it_is_refused(five: ContainerProxy, query: str) -> None:
    assert (await refusal(rows(five, query))).status_code == 400


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], ["everyones"]),
        (["g1"], ["everyones", "first"]),
        (["g2"], ["everyones", "first", "second"]),
        (["g3", "g0"], ["everyones"]),
        (["everyone"], ["everyones"]),
    ],
)
async def test_when_an_array_is_walked_then_what_shares_an_element_with_a_parameter_is_found(
    budgets: ContainerProxy, groups: list[str], expected: list[str]
) -> None:
    audiences: dict[str, Any] = {
        "everyones": "everyone",
        "first": ["g1", "g2"],
        "second": ["g2"],
        "nobodys": [],
        "malformed": {"g": "g1"},
    }
    for name, audience in audiences.items():
        await budgets.create_item({"id": name, "team": "red", "published": {"audience": audience}})
    await budgets.create_item({"id": "unpublished", "team": "red"})
    await budgets.create_item({"id": "elsewhere", "team": "blue", "published": {"audience": ["g1", "g2"]}})
    usable = """SELECT VALUE c.id FROM c WHERE (c.published.audience = 'everyone'
        OR EXISTS(SELECT VALUE g FROM g IN c.published.audience WHERE ARRAY_CONTAINS(@groups, g)))"""

    assert await rows(budgets, usable, values={"groups": groups}) == expected
    for name in [*audiences, "unpublished", "elsewhere"]:
        found = await rows(budgets, f"{usable} AND c.id = @id", values={"groups": groups, "id": name})
        assert found == [name] * (name in expected)


async def test_when_a_property_is_called_like_a_keyword_then_brackets_name_it(budgets: ContainerProxy) -> None:
    for name, group in (("a", "g1"), ("b", "g2"), ("c", ["g1"])):
        await budgets.create_item({"id": name, "team": "red", "group": group})
    await budgets.create_item({"id": "d", "team": "red"})

    query = 'SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(@groups, c["group"])'

    assert await rows(budgets, query, values={"groups": ["g1", "g3"]}) == ["a"]
    assert (
        await refusal(rows(budgets, query.replace('c["group"]', "c.group"), values={"groups": []}))
    ).status_code == 400


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
