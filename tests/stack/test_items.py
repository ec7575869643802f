"""Several items at once, of one partition: reading them, and changing each for itself."""

import pytest
from azure.cosmos.aio import ContainerProxy

from local.standin import Fault
from services.documents import Items, Patch, StoreUnavailable, put
from tests.stack.cosmos_kit import Standin
from tests.stack.cosmos_kit import budgets as budgets
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin


@pytest.fixture
async def items(budgets: ContainerProxy) -> Items:
    """a, b and c of team red, d of team blue; each with its revision."""
    items = Items(budgets)
    for number, item_id in enumerate("abc"):
        await items.create({"id": item_id, "team": "red", "revision": number})
    await items.create({"id": "d", "team": "blue", "revision": 3})
    return items


def marked(item_id: str, revision: int) -> Patch:
    return Patch(item_id, [put("/marked", True)], f"from c where c.revision = {revision}")


async def found(items: Items) -> list[str]:
    """The ids of the items that are marked."""
    query = "SELECT VALUE c.id FROM c WHERE c.marked"
    return [str(each) async for each in items.query(query, partition="red")]


@pytest.mark.parametrize(
    ("ids", "there"),
    [("a", "a"), ("x", ""), ("ab", "ab"), ("cxa", "ac"), ("ad", "a"), ("aa", "a"), (["a", "", "b/c"], "a")],
)
async def test_when_several_are_read_then_those_come_that_there_are(
    items: Items, ids: str | list[str], there: str
) -> None:
    read = await items.read_each(list(ids), "red")
    assert sorted(each["id"] for each in read) == list(there)


async def test_when_all_are_as_they_should_be_then_all_are_changed_in_one_call(items: Items, standin: Standin) -> None:
    before = standin.control.counts.copy()
    assert await items.patch_each("red", [marked("a", 0), marked("b", 1)]) == []
    assert await found(items) == ["a", "b"]
    calls = standin.control.counts - before
    assert calls["patches budgets"] == 1
    assert not calls["patch budgets"]


async def test_when_some_are_not_as_they_should_be_then_the_others_are_changed_and_they_are_told(items: Items) -> None:
    patches = [marked("a", 0), marked("b", 7), marked("x", 0), marked("c", 2)]
    assert await items.patch_each("red", patches) == ["b", "x"]
    assert await found(items) == ["a", "c"]


async def test_when_there_is_nothing_to_change_then_nothing_is_called(items: Items, standin: Standin) -> None:
    before = standin.control.counts.copy()
    assert await items.patch_each("red", []) == []
    assert standin.control.counts == before


async def test_when_it_is_one_then_it_is_changed_if_it_is_as_it_should_be(items: Items) -> None:
    assert await items.patch_each("red", [marked("a", 0)]) == []
    assert await items.patch_each("red", [marked("b", 0)]) == ["b"]
    assert await found(items) == ["a"]


async def test_when_the_store_is_away_then_it_says_so(items: Items, standin: Standin) -> None:
    standin.control.faults.append(Fault(operation="patches budgets", kind="status", status=400))
    with pytest.raises(StoreUnavailable):
        await items.patch_each("red", [marked("a", 0), marked("b", 1)])
    assert await found(items) == []
