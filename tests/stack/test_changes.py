"""Changes of one document by several at once, with their events, against Cosmos DB and Service Bus: whatever gets lost,
the events tell of every change and of nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.audit import AuditEvent, events_in
from governance.changes import Journal, Outdated, change_event
from local.resources import queues
from local.servicebus.broker import serving
from local.standin import Control
from local.tls import Certificates
from services.bus import Bus, bus_client
from services.clock import uuid7
from services.documents import Document, StoreUnavailable
from tests.chains import in_a_chain
from tests.stack.cosmos_kit import Credential
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import Account, account

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "the-document"
BATCH = "batch config"


@dataclass(frozen=True)
class Office:
    """Two processes that change the same things."""

    account: Account
    journals: tuple[Journal, Journal]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(certificates: Certificates) -> AsyncIterator[Office]:
    async with (
        account(certificates) as cosmos,
        serving(queues(lock_seconds=30), Control(), port=0, data=None) as ready,
        AsyncExitStack() as exits,
    ):

        async def journal() -> Journal:
            bus = await exits.enter_async_context(bus_client(ready["connection_string"], None, Credential()))
            return Journal(await cosmos.store(), Bus(bus))

        yield Office(cosmos, (await journal(), await journal()))


@pytest.fixture
def partition(office: Office) -> str:
    """One of the test's own. Nothing is to go wrong yet."""
    office.account.control.faults.clear()
    return uuid7()


def named(partition: str, name: str) -> Document:
    return {"id": ID, "kind": partition, "name": name}


def event(before: str, after: str) -> AuditEvent:
    said = {"Before": {"name": before}, "After": {"name": after}}
    return change_event("team.set", actor="somebody", target=ID, reason=after, **said)


async def read(journal: Journal, partition: str) -> Document:
    document = await journal.store.config.read(ID, partition)
    assert document is not None
    return document


async def renamed(journal: Journal, before: Document, name: str) -> Document:
    """The document as whoever renamed it knows it."""
    document = named(before["kind"], name)
    etag = await journal.replace("config", before, document, event(before["name"], name))
    return {**document, "_etag": etag}


async def names(journal: Journal, partition: str, first: str) -> list[str]:
    """The names that it had, in order, as its events tell it."""
    query = "SELECT VALUE c.audit.event FROM c WHERE c.type = 'audit'"
    events: list[dict[str, Any]] = [each async for each in journal.store.config.query(query, partition=partition)]
    return [first, *(each["After"]["name"] for each in in_a_chain(events, {"name": first}))]


# -- whatever gets lost


type Told = Literal["made", "outdated", "unknown"]


async def keep_renaming(journal: Journal, partition: str, who: int, told: dict[str, Told]) -> None:
    """Three times, and notes what is said. Whoever is told that it was done goes on from there, without looking."""
    seen: Document | None = None
    for number in range(3):
        name = f"name {number} by {who}"
        try:
            seen = await renamed(journal, seen or await read(journal, partition), name)
            told[name] = "made"
        except Outdated:
            seen, told[name] = None, "outdated"
        except StoreUnavailable:
            seen, told[name] = None, "unknown"


FAULTS = st.lists(
    st.fixed_dictionaries({"kind": st.just("drop"), "times": st.integers(1, 2)})
    | st.fixed_dictionaries({"kind": st.just("status"), "status": st.sampled_from((408, 429, 449, 503))})
    | st.fixed_dictionaries({"kind": st.just("delay"), "seconds": st.just(0.02)}),
    min_size=1,
    max_size=4,
)


@pytest.mark.claim("A3")
@settings(max_examples=15, deadline=None, derandomize=True)
@given(faults=FAULTS)
async def test_when_several_change_it_at_once_and_answers_are_lost_then_its_events_are_a_chain(
    office: Office, faults: list[dict[str, Any]]
) -> None:
    partition = uuid7()
    await office.journals[0].store.config.create(named(partition, "at first"))
    told: dict[str, Told] = {}
    for fault in faults:
        office.account.fault(BATCH, **{"times": 1, **fault})
    try:
        await asyncio.gather(*(keep_renaming(office.journals[who % 2], partition, who, told) for who in range(3)))
    finally:
        office.account.control.faults.clear()
    was = await names(office.journals[0], partition, "at first")
    assert was[-1] == (await read(office.journals[1], partition))["name"]
    assert {name for name, said in told.items() if said == "made"} <= set(was)
    assert not {name for name, said in told.items() if said == "outdated"} & set(was)


@pytest.mark.claim("A3")
async def test_when_it_was_changed_again_before_the_first_one_hears_of_it_then_their_etag_is_outdated(
    office: Office, partition: str
) -> None:
    """Two answers to the first one's write are lost: meanwhile another one reads what was written, and changes it."""
    first, second = office.journals
    await first.store.config.create(named(partition, "at first"))
    control = office.account.control
    before = control.counts[BATCH]
    office.account.fault(BATCH, kind="drop", times=2)
    writing = asyncio.create_task(renamed(first, await read(first, partition), "first"))
    async with asyncio.timeout(10):
        while control.counts[BATCH] < before + 2:
            await asyncio.sleep(0.01)
    await renamed(second, await read(second, partition), "second")
    mine = await writing
    with pytest.raises(Outdated):
        await renamed(first, mine, "what second wrote was never seen")
    assert await names(first, partition, "at first") == ["at first", "first", "second"]


# -- several documents at once


def several(partition: str, *ids: str) -> tuple[list[Document], list[AuditEvent], list[Document]]:
    """Documents, their events, and one more document."""
    also = {**named(partition, "also"), "id": f"also {' '.join(ids)}"}
    return [{**named(partition, "new"), "id": each} for each in ids], [event("", each) for each in ids], [also]


async def kept(journal: Journal, partition: str) -> tuple[list[str], list[list[str]]]:
    """The ids of the documents, and what the events say was made: those that are kept together."""
    query = "SELECT * FROM c"
    found = [each async for each in journal.store.config.query(query, partition=partition)]
    ids = [each["id"] for each in found if each.get("type") != "audit"]
    events = [events_in(each) for each in found if each.get("type") == "audit"]
    return sorted(ids), sorted([told["After"]["name"] for told in each] for each in events)


@pytest.mark.claim("A3")
@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_when_several_are_made_at_once_then_each_has_its_event_whatever_answer_is_lost(
    office: Office, partition: str, lost: int
) -> None:
    if lost:
        office.account.fault(BATCH, kind="drop", times=lost)
    await office.journals[0].create_all("config", *several(partition, "a", "b", "c"))
    assert await kept(office.journals[0], partition) == (["a", "also a b c", "b", "c"], [["a", "b", "c"]])


@pytest.mark.claim("A3")
async def test_when_one_of_several_is_there_already_then_none_is_made(office: Office, partition: str) -> None:
    await office.journals[0].create_all("config", *several(partition, "b"))
    with pytest.raises(Outdated):
        await office.journals[1].create_all("config", *several(partition, "a", "b", "c"))
    assert await kept(office.journals[0], partition) == (["also b", "b"], [["b"]])
