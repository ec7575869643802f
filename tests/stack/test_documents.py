"""What Cosmos DB says, by the names that the product gives it; and why the account must be Strong."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from governance.changes import Conflict, Journal
from governance.switches import PLATFORM, Stopped, check_switches, set_switch
from local.tls import Certificates
from services.documents import (
    BatchRefused,
    ConditionFailed,
    ConsistencyTooWeak,
    ItemExists,
    ItemMissing,
    Items,
    Store,
    StoreUnavailable,
    require_strong,
)
from tests.stack.caps_kit import Unreachable
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import Account, account

DOCUMENT: dict[str, Any] = {"id": "cap", "team": "sales", "n": 1}
TO_TWO = [{"op": "set", "path": "/n", "value": 2}]


@pytest.fixture
async def strong(certificates: Certificates) -> AsyncIterator[Account]:
    async with account(certificates) as strong:
        yield strong


@pytest.fixture
async def budgets(strong: Account) -> Items:
    budgets = (await strong.store()).budgets
    await budgets.create(DOCUMENT)
    return budgets


async def number(budgets: Items) -> int:
    document = await budgets.read("cap", "sales")
    assert document is not None
    return int(document["n"])


async def test_when_there_is_no_item_then_reading_gives_none_and_changing_fails(budgets: Items) -> None:
    assert await budgets.read("cap", "finance") is None
    with pytest.raises(ItemMissing):
        await budgets.patch("cap", "finance", TO_TWO)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "cap/", "/cap", "../budgets", "c\\ap", "cap?", "cap#", "x" * 1024, "é" * 512]
)
async def test_when_no_item_can_have_the_name_then_there_is_none(budgets: Items, name: str) -> None:
    assert await budgets.read(name, "sales") is None


@pytest.mark.parametrize("name", ["%63ap", "Cap", "...", "x" * 1023, "é" * 511])
async def test_when_an_item_could_have_the_name_then_it_is_looked_for(budgets: Items, name: str) -> None:
    assert await budgets.read(name, "sales") is None
    await budgets.create({**DOCUMENT, "id": name})
    assert await budgets.read(name, "sales") is not None


async def test_when_there_is_an_item_then_it_is_not_created_again(budgets: Items) -> None:
    with pytest.raises(ItemExists):
        await budgets.create({**DOCUMENT, "n": 2})
    assert await number(budgets) == 1


async def test_when_a_condition_does_not_hold_then_nothing_is_changed(budgets: Items) -> None:
    with pytest.raises(ConditionFailed):
        await budgets.patch("cap", "sales", TO_TWO, where="from c where c.n = 5")
    with pytest.raises(ConditionFailed):
        await budgets.patch("cap", "sales", TO_TWO, etag='"another"')
    assert await number(budgets) == 1


async def test_when_the_conditions_hold_then_the_changed_item_is_returned(budgets: Items) -> None:
    before = await budgets.read("cap", "sales")
    assert before is not None
    after = await budgets.patch("cap", "sales", TO_TWO, where="from c where c.n = 1", etag=before["_etag"])
    assert after["n"] == 2


async def test_when_a_batch_is_carried_out_then_the_etag_of_each_item_is_told_in_order(budgets: Items) -> None:
    another = {"id": "another", "team": "sales", "n": 1}
    await budgets.create({**another, "id": "gone"})

    etags = await budgets.batch(
        "sales",
        [("create", (another,)), ("delete", ("gone",)), ("patch", ("cap", TO_TWO)), ("upsert", ({**another, "n": 3},))],
    )

    now = {name: await budgets.read(name, "sales") for name in ("another", "gone", "cap")}
    assert now["another"] is not None
    assert now["cap"] is not None
    assert now["gone"] is None
    assert etags[1:] == ["", now["cap"]["_etag"], now["another"]["_etag"]]
    assert etags[0] not in etags[1:]


async def test_when_an_item_was_written_in_a_batch_then_its_etag_is_the_condition_of_the_next(budgets: Items) -> None:
    (first,) = await budgets.batch("sales", [("patch", ("cap", TO_TWO))])

    (second,) = await budgets.batch("sales", [("patch", ("cap", TO_TWO), {"if_match_etag": first})])

    assert second != first
    with pytest.raises(BatchRefused) as refused:
        await budgets.batch("sales", [("patch", ("cap", TO_TWO), {"if_match_etag": first})])
    assert refused.value.status == 412


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("create", (DOCUMENT,)), 409),
        (("patch", ("cap", TO_TWO), {"filter_predicate": "from c where c.n = 5"}), 412),
        (("patch", ("no-such-item", TO_TWO)), 404),
    ],
)
async def test_when_one_operation_of_a_batch_fails_then_it_is_named_and_none_is_done(
    budgets: Items, operation: tuple[Any, ...], status: int
) -> None:
    with pytest.raises(BatchRefused) as refused:
        await budgets.batch("sales", [("patch", ("cap", TO_TWO)), operation])
    assert (refused.value.index, refused.value.status) == (1, status)
    assert await number(budgets) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"status": 403}])
async def test_when_cosmos_fails_then_the_store_is_not_available(
    strong: Account, budgets: Items, fault: dict[str, Any]
) -> None:
    strong.fault("* budgets", **fault)
    with pytest.raises(StoreUnavailable):
        await budgets.read("cap", "sales")
    with pytest.raises(StoreUnavailable):
        await budgets.batch("sales", [("patch", ("cap", TO_TWO))])
    with pytest.raises(StoreUnavailable):
        _ = [document async for document in budgets.query("SELECT * FROM c", partition="sales")]


async def test_when_no_answer_comes_then_the_store_is_not_available_and_the_change_may_be_made(
    strong: Account, budgets: Items
) -> None:
    strong.fault("patch budgets", kind="drop")
    with pytest.raises(StoreUnavailable):
        await budgets.patch("cap", "sales", TO_TWO)
    assert await number(budgets) == 2


async def test_when_cosmos_is_busy_then_the_call_is_made_again(strong: Account, budgets: Items) -> None:
    strong.fault("patch budgets", status=429, seconds=0.05, times=2)
    await budgets.patch("cap", "sales", TO_TWO)
    assert (await number(budgets), strong.control.counts["patch budgets"]) == (2, 3)


async def test_when_an_error_is_told_then_it_holds_nothing_of_the_item(strong: Account, budgets: Items) -> None:
    strong.fault("create budgets", status=500)
    with pytest.raises(StoreUnavailable) as failed:
        await budgets.create({**DOCUMENT, "id": "another", "text": "in confidence"})
    assert "confidence" not in repr(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


async def test_when_the_account_is_strong_then_it_is_taken(strong: Account) -> None:
    await require_strong(await strong.client())


async def test_when_the_account_is_weaker_then_it_is_refused(certificates: Certificates) -> None:
    async with account(certificates, consistency="Session") as weak:
        with pytest.raises(ConsistencyTooWeak, match="is Session, it must be Strong"):
            await require_strong(await weak.client())


async def stop(store: Store) -> None:
    await set_switch(Journal(store, Unreachable()), PLATFORM, stopped=True, reason="a drill", actor="ivan")


@pytest.mark.claim("K3")
async def test_when_a_stop_is_acknowledged_then_every_other_client_sees_it(strong: Account) -> None:
    mine, others = await strong.store(), await strong.store()
    await check_switches(others.control, "helper")
    await stop(mine)
    with pytest.raises(Stopped):
        await check_switches(others.control, "helper")


async def test_when_the_account_were_weaker_then_another_client_would_miss_an_acknowledged_stop(
    certificates: Certificates,
) -> None:
    """Which is why it is refused."""
    async with account(certificates, consistency="Session", lag=60) as weak:
        mine, others = await weak.store(), await weak.store()
        await check_switches(others.control, "helper")
        with pytest.raises(Conflict):  # it does not even see what it wrote itself
            await stop(mine)
        await check_switches(others.control, "helper")
