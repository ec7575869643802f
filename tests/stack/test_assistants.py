"""Who may ask an assistant, as the store decides it: finding and listing against Cosmos DB, by Microsoft's SDK."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.access import groups_in_use
from local.tls import Certificates
from routing.assistants import (
    ASSISTANT,
    Assistant,
    AssistantUnknown,
    assistant_in_use,
    find_assistant,
    list_assistants,
)
from services.documents import Items
from tests.audiences import EVERYONE, Made, assistants, callers, cards, put_in_place
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.store_kit import account

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUPS = tuple(f"{digit * 8}-abcd-4ef0-8a1b-c2d3e4f5a6b7" for digit in "1a2")
ADMINS = str(uuid4())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def config(certificates: Certificates) -> AsyncIterator[Items]:
    async with account(certificates) as account_:
        yield (await account_.store()).config


def card(assistant: Assistant) -> dict[str, object]:
    return assistant.model_dump(include={"id", "version", "name", "description"})


async def unknown(config: Items, assistant_id: str, somebody: frozenset[str]) -> None:
    with pytest.raises(AssistantUnknown):
        await find_assistant(config, assistant_id, somebody)


@pytest.mark.claim("I3")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(made=assistants(GROUPS, ("red", "blue"), 6), groups=st.lists(callers(GROUPS), min_size=1, max_size=3))
async def test_when_assistants_have_any_audiences_then_what_is_listed_is_what_is_found_and_the_model_says_it(
    config: Items, made: list[Made], groups: list[frozenset[str]]
) -> None:
    await put_in_place(config, made)
    for somebody in groups:
        assert [card(each) for each in await list_assistants(config, somebody)] == cards(made, somebody)
        for each in made:
            if each.may_be_asked(somebody):
                assert card(await find_assistant(config, each.id, somebody)) == each.card
            else:
                await unknown(config, each.id, somebody)


@pytest.mark.claim("I3")
@settings(max_examples=50, deadline=None, derandomize=True)
@given(made=assistants(GROUPS, ("red", "blue"), 6))
async def test_when_a_tokens_groups_must_be_asked_for_then_they_are_those_of_the_audiences_in_use(
    config: Items, made: list[Made]
) -> None:
    await put_in_place(config, made)
    audiences = [each.audience for each in made if each.state == "published" and each.audience != EVERYONE]
    assert await groups_in_use(config, ADMINS) == {ADMINS} | {typed.lower() for each in audiences for typed in each}


@pytest.mark.claim("I3")
async def test_when_an_id_is_of_something_else_or_written_otherwise_then_it_is_of_no_assistant(config: Items) -> None:
    everyones = Made("helper", "Helper", "published", 1, 1, EVERYONE, "red", EVERYONE, "red")
    await put_in_place(config, [everyones])
    event = {
        "kind": ASSISTANT,
        "id": "event",
        "type": "audit",
        "state": "published",
        "published": {"audience": EVERYONE},
    }
    await config.create(event)
    somebody = frozenset(GROUPS)
    assert [each.id for each in await list_assistants(config, somebody)] == ["helper"]
    for other in ("helper:1", "helper:2", "event", "Helper", "HELPER", "helper ", "", "%", "helper' OR '1'='1"):
        await unknown(config, other, somebody)


@pytest.mark.claim("I3")
async def test_when_a_question_was_accepted_then_the_version_that_was_asked_is_used_while_it_may_be_asked(
    config: Items,
) -> None:
    await put_in_place(
        config,
        [
            Made(state, state, state, 1, 2, (GROUPS[0],), "red", (), "red")
            for state in ("draft", "published", "retired")
        ],
    )
    mine = frozenset(GROUPS[:1])
    for version in (1, 2):  # the one in use, and another that is kept
        assistant = await assistant_in_use(config, "published", version, mine)
        assert (assistant.id, assistant.version) == ("published", version)
    for other in ("draft", "retired", "no-such-assistant"):
        with pytest.raises(AssistantUnknown):
            await assistant_in_use(config, other, 1, mine)
    for version, groups in ((1, frozenset(GROUPS[1:])), (1, frozenset[str]()), (9, mine)):
        with pytest.raises(AssistantUnknown):
            await assistant_in_use(config, "published", version, groups)
