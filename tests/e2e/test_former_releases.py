"""What a former release wrote is read by this one: an update finds its documents, and its messages wait."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local.stack import Stack
from moving.folder import containers
from services.clock import uuid7
from services.version import VERSION
from tests.e2e.asking import Asking
from tests.e2e.kit import opened
from tests.e2e.librarian import Librarian
from tests.e2e.talk import Talk
from tests.releases.make import QUESTION, RELEASES, SETTINGS, SHELF, WAITING

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENT = {"ORPHAN_AFTER_SECONDS": "1e9", "STUCK_AFTER_SECONDS": "1e9"}
"""An update takes minutes, not the years since a release: the sweep is not to give up what it left."""
KEPT = sorted(folder.name for folder in RELEASES.iterdir() if (folder / "messages.json").exists())
READERS = {
    "alice": ("/api/assistants", "/api/conversations", "/api/me/audit"),
    "paula": ("/api/collections", f"/api/collections/{SHELF}", "/api/assistants/sales-helper/versions"),
    "gus": ("/api/caps", "/api/costs", "/api/endpoints", "/api/policies/standard", "/api/routes", "/api/switches"),
    "adam": ("/api/teams", "/api/roles", "/api/support-grants"),
}


def lines(release: str, name: str) -> list[Any]:
    return [json.loads(line) for line in (RELEASES / release / f"{name}.jsonl").read_text().splitlines()]


@pytest_asyncio.fixture(scope="module", params=KEPT, loop_scope="session")
async def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Asking]]:
    """A release, and people who find what it left. Only the models' address is another one."""
    folder: Path = tmp_path_factory.mktemp("found")
    async with Stack(folder, settings={**SETTINGS, **PATIENT}, seeded=False) as stack, opened(stack) as kit:
        models = f"{stack.standins['models'].url}/v1"
        for name, items in containers(kit.store).items():
            if not (RELEASES / request.param / f"{name}.jsonl").exists():
                continue  # it came later
            for document in lines(request.param, name):
                await items.create(document | ({"base_url": models} if "base_url" in document else {}))
        yield request.param, Asking(kit)


async def test_when_there_is_a_version_then_what_it_writes_is_kept() -> None:
    assert VERSION in KEPT, "run python -m tests.releases.make when a version is released"


async def test_when_a_release_left_documents_then_everybody_sees_what_is_theirs(found: tuple[str, Asking]) -> None:
    release, asking = found
    for person, paths in READERS.items():
        for path in paths:
            reply = await asking.call("GET", path, token=asking.stack.token(person))
            assert reply.status == 200, (path, reply.text)
    for request in lines(release, "requests"):
        if request.get("state") == "released" and "answer" in request:
            assert (await asking.status(request["id"])).body["answer"] == request["answer"]


async def test_when_a_release_had_accepted_a_question_then_this_one_answers_it(found: tuple[str, Asking]) -> None:
    release, asking = found
    messages = json.loads((RELEASES / release / "messages.json").read_text())
    (message,) = messages["requests"]
    await asking.kit.bus.send("requests", message, message_id=uuid7())
    reply = await asking.ended(message["request_id"])
    assert reply.status == 200, reply.text
    assert WAITING in reply.body["answer"]
    event = await asking.audited(message["request_id"])
    assert (event["Outcome"], event["Prompt"]) == ("answered", WAITING)


async def test_when_a_release_left_a_conversation_and_a_document_then_they_go_on(found: tuple[str, Asking]) -> None:
    release, asking = found
    talk = Talk(asking)
    (talk.id,) = (each["id"] for each in lines(release, "conversations") if each["type"] == "conversation")
    await talk.say("And a better one?")
    assert [QUESTION in each["content"] for each in await talk.told_the_model()].count(True) >= 1
    (source, *_) = await Librarian(asking, SHELF).sources("Where do visitors park their cars?")
    assert (source["title"], source["collection"]) == ("guide.md", SHELF)
