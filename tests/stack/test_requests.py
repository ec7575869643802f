"""A request's document when a stage runs twice: the run that ends late changes nothing, and no raw text stays."""

import pytest

from governance import requests
from governance.problems import Problem
from governance.request import Person, Request, Stage
from services.clock import utc_now, uuid7
from services.documents import ConditionFailed, Items, put
from tests.stack.cosmos_kit import Standin
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.cosmos_kit import standin as standin

GIVEN_UP = Problem(type="abandoned", detail="The request was given up.")
TTL = 3600


@pytest.fixture
async def stored(standin: Standin) -> Items:
    return Items(await standin.container("requests"))


async def accepted(stored: Items) -> Request:
    person = Person(oid=uuid7(), tenant_id=uuid7(), groups=[])
    request = Request(
        id=uuid7(),
        state="queued",
        created_at=utc_now(),
        person=person,
        team="sales",
        assistant="helper",
        assistant_version=1,
        trace_parent="00-11111111111111111111111111111111-2222222222222222-01",
        prompt="as it was typed",
    )
    await requests.accept(stored, request)
    return await loaded(stored, request)


async def loaded(stored: Items, request: Request) -> Request:
    found = await requests.load(stored, request.id)
    assert found is not None
    return found


async def test_when_several_are_loaded_then_each_is_as_it_would_be_alone(stored: Items, standin: Standin) -> None:
    first, second = await accepted(stored), await accepted(stored)
    ids = [second.id, uuid7(), first.id, "no/id", first.id]
    standin.control.counts.clear()
    assert await requests.load_each(stored, ids) == [second, None, first, None, first]
    assert standin.control.counts["query requests"] == 1
    assert await requests.load_each(stored, [first.id]) == [first]
    assert await requests.load_each(stored, ["no/id"]) == [None]


async def ran(stored: Items, request: Request, name: str, *changes: dict[str, object]) -> None:
    stage = Stage(started_at=utc_now(), milliseconds=1)
    await requests.save_stage(stored, request, name, stage, list(changes))


async def prompt_checked(stored: Items, request: Request) -> None:
    checked = put("/checked_prompt", "as the guardrails left it")
    await ran(stored, request, "check_prompt", put("/state", "running"), checked, {"op": "remove", "path": "/prompt"})


async def test_when_a_stage_is_saved_again_after_the_next_one_then_nothing_changes(stored: Items) -> None:
    request = await accepted(stored)
    await prompt_checked(stored, request)
    await ran(stored, request, "infer", put("/unchecked_answer", "raw"))
    await ran(stored, request, "check_answer", {"op": "remove", "path": "/unchecked_answer"}, put("/answer", "clean"))
    before = await loaded(stored, request)
    with pytest.raises(ConditionFailed):
        await ran(stored, request, "infer", put("/unchecked_answer", "raw, from the late run"))
    assert await loaded(stored, request) == before


async def test_when_a_request_changed_since_it_was_loaded_then_it_is_not_recorded(stored: Items) -> None:
    """Its audit event would tell of what it was, and raw text that came since would stay."""
    request = await accepted(stored)
    await prompt_checked(stored, request)
    before = await loaded(stored, request)
    await ran(stored, request, "infer", put("/unchecked_answer", "raw"))
    with pytest.raises(ConditionFailed):
        await requests.record(stored, before, GIVEN_UP, [], TTL)
    await requests.record(stored, await loaded(stored, request), GIVEN_UP, [], TTL)
    after = await loaded(stored, request)
    assert (after.state, after.unchecked_answer, after.outcome) == ("recorded", None, "abandoned")


async def test_when_a_queued_request_starts_while_the_sweep_looks_at_it_then_it_is_not_given_up(stored: Items) -> None:
    request = await accepted(stored)
    await prompt_checked(stored, request)
    with pytest.raises(ConditionFailed):
        await requests.record(stored, request, GIVEN_UP, [], TTL)
    assert (await loaded(stored, request)).state == "running"


async def test_when_a_request_is_recorded_twice_then_the_first_outcome_stays(stored: Items) -> None:
    request = await accepted(stored)
    await requests.record(stored, request, GIVEN_UP, [], TTL)
    with pytest.raises(ConditionFailed):
        await requests.record(stored, request, Problem(type="not-available", detail="Something else."), [], TTL)
    assert (await loaded(stored, request)).outcome == "abandoned"
