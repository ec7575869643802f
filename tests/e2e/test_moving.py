"""Leaving and moving: all that a deployment keeps is exported, and another one, which is empty, goes on with it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local import resources
from local.process import ROOT
from local.stack import Stack
from moving.folder import containers
from tests.e2e.asking import Asking
from tests.e2e.kit import eventually, opened
from tests.e2e.librarian import Librarian
from tests.e2e.talk import Talk

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTINGS = {"REDACTION_KEY": "a key that moves along, of 32 characters or more", "AUDIT_PENDING_AFTER_SECONDS": "0"}
TEXT = b"# Cars\n\nVisitors park their cars behind the warehouse and get a ticket from the gatekeeper.\n"
ON_PARKING = "Where do visitors park their cars?"
SHOWN = (
    ("alice", "/api/assistants"),
    ("alice", "/api/conversations"),
    ("paula", "/api/assistants/sales-helper/draft"),
    ("gus", "/api/policies/standard"),
    ("gus", "/api/caps"),
    ("gus", "/api/routes"),
    ("adam", "/api/teams"),
    ("adam", "/api/roles"),
)
"""What the people see before and after."""


@dataclass
class Ran:
    code: int | None
    said: str


async def moving(stack: Stack, *arguments: object) -> Ran:
    """The command, as whoever runs it in Azure would: with the app's settings."""
    ca = str(stack.certificate_authority)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "moving", *map(str, arguments),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca, **stack.describe()["settings"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return Ran(process.returncode, said.decode())


async def shown(asking: Asking, shelf: Librarian) -> dict[str, Any]:
    """What people see, without ETags, which are new in another account."""
    seen = {}
    for person, path in (*SHOWN, ("paula", shelf.path)):
        reply = await asking.call("GET", path, token=asking.stack.token(person))
        seen[path] = (reply.status, _without_etags(reply.body))
    return seen


def _without_etags(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _without_etags(value) for name, value in body.items() if name != "etag"}
    return [_without_etags(each) for each in body] if isinstance(body, list) else body


@dataclass
class Moved:
    """The deployment that was left, and what it held."""

    asking: Asking
    shelf: Librarian
    talk: Talk
    shown: dict[str, Any]
    read: Any
    sources: list[dict[str, Any]]
    folder: Path
    refused: Ran
    checked: Ran
    exported: Ran


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def moved(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Moved]:
    folder = tmp_path_factory.mktemp("export") / "everything"
    async with Stack(tmp_path_factory.mktemp("left"), settings=SETTINGS) as stack, opened(stack) as kit:
        asking = Asking(kit)
        shelf, talk = Librarian(asking), Talk(asking)
        await shelf.open()
        await shelf.indexed(TEXT, name="guide.md")
        answered = await talk.say("My name is Jane Doe. What makes a good offer?")
        sources = await shelf.sources(ON_PARKING)
        await kit.change(answered["request_id"], "/state", "running")
        refused = await moving(stack, "export", folder)
        await kit.change(answered["request_id"], "/state", "released")

        async def at_rest() -> Ran:
            await kit.run_timer("sweep")
            ran = await moving(stack, "check")
            assert ran.code == 0, ran.said
            return ran

        checked = await eventually(at_rest, within=60)
        read = (await talk.read()).body
        yield Moved(
            asking,
            shelf,
            talk,
            await shown(asking, shelf),
            read,
            sources,
            folder,
            refused,
            checked,
            await moving(stack, "export", folder),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def arrived(moved: Moved, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Asking, Ran]]:
    """Another deployment, empty but for what was imported."""
    fresh = tmp_path_factory.mktemp("arrived")
    async with Stack(fresh, settings=SETTINGS, seeded=False) as stack, opened(stack) as kit:
        yield Asking(kit), await moving(stack, "import", moved.folder)


async def test_when_something_is_under_way_then_nothing_is_exported(moved: Moved) -> None:
    assert moved.refused.code == 1
    assert "1 requests without an answer" in moved.refused.said
    assert moved.checked.said == "Nothing is under way.\n"


@pytest.mark.claim("T5")
async def test_when_everything_is_exported_then_every_container_and_file_is_there_in_plain_json(moved: Moved) -> None:
    assert moved.exported.code == 0, moved.exported.said
    names = {each.id for each in resources.containers().containers} & containers(moved.asking.kit.store).keys()
    assert {"config", "budgets", "requests", "conversations", "chunks", "control", "usage"} <= names
    for name in names:
        lines = (moved.folder / f"{name}.jsonl").read_text().splitlines()
        assert all({"id", "_ts"} <= json.loads(line).keys() for line in lines)
        assert f"{len(lines):>8} {name}\n" in moved.exported.said
    files = [path.read_bytes() for path in (moved.folder / "blobs").iterdir()]
    assert files == [TEXT]
    assert moved.folder.stat().st_mode & 0o077 == 0


@pytest.mark.claim("T5")
async def test_when_a_fresh_deployment_imports_it_then_everything_is_as_before(
    moved: Moved, arrived: tuple[Asking, Ran]
) -> None:
    asking, ran = arrived
    assert ran.code == 0, ran.said
    shelf = Librarian(asking, moved.shelf.id)
    assert await shown(asking, shelf) == moved.shown
    talk = Talk(asking)
    talk.id = moved.talk.id
    assert (await talk.read()).body == moved.read
    for endpoint in ("own-model", "own-embeddings"):
        await _at_new_address(asking, endpoint)
    assert await shelf.sources(ON_PARKING) == moved.sources
    await talk.say("And a better one?")
    assert any("What makes a good offer?" in message["content"] for message in (await talk.told_the_model())[:-1])
    (await asking.ask("May I?", person="carol", assistant="ledger")).is_problem(402, "team-cap-reached")


@pytest.mark.claim("T5")
async def test_when_an_import_is_repeated_then_nothing_is_written_over(
    moved: Moved, arrived: tuple[Asking, Ran]
) -> None:
    asking, _ = arrived
    mark = moved.folder / "import.json"
    through = mark.read_text()
    again = await moving(asking.stack, "import", moved.folder)
    assert (again.code, again.said) == (0, "This folder was imported already: nothing was done.\n")

    mark.write_text(json.dumps({**json.loads(through), "completed_at": None}))  # it broke off at its very end
    gone_on = await moving(asking.stack, "import", moved.folder)
    assert gone_on.code == 0
    assert "imported" not in gone_on.said

    mark.unlink()
    refused = await moving(asking.stack, "import", moved.folder)
    assert refused.code == 1
    assert refused.said.startswith("NotEmpty: ")
    mark.write_text(through)


async def test_when_an_export_was_changed_or_is_not_whole_then_it_is_not_imported(
    moved: Moved, arrived: tuple[Asking, Ran], tmp_path: Path
) -> None:
    stack = arrived[0].stack
    assert "there is no export.json" in (await moving(stack, "import", tmp_path)).said
    (tmp_path / "export.json").write_bytes((moved.folder / "export.json").read_bytes())
    (tmp_path / "config.jsonl").write_text('{"kind": "role", "id": "role:governor"}\n')
    ran = await moving(stack, "import", tmp_path)
    assert ran.code == 1
    assert "config.jsonl is not what was exported" in ran.said


async def _at_new_address(asking: Asking, endpoint: str) -> None:
    """The models of the deployment that was left are not these."""
    path, token = f"/api/endpoints/{endpoint}", asking.stack.token("gus")
    there = await asking.call("GET", path, token=token)
    settings = {name: value for name, value in there.body.items() if name != "id"}
    settings["base_url"] = f"{asking.stack.standins['models'].url}/v1"
    changed = await asking.call(
        "PUT",
        path,
        token=token,
        headers={"If-Match": there.headers["Etag"]},
        json={"settings": settings, "reason": "moved"},
    )
    assert changed.status == 200, changed.text
