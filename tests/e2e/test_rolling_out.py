"""Another version rolls out, and back: what the old one began, an answer or the indexing of a document, is ended, once,
and nobody is refused."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from local.process import ROOT
from local.stack import GROUPS, Stack
from tests.e2e.asking import Asking
from tests.e2e.kit import Answer, Kit, counted, ended_once, in_order, opened
from tests.e2e.librarian import Librarian

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRODUCT = ("api", "pipeline", "guardrails", "grounding", "routing", "governance", "services")
AT_ONCE = 4
NEW = "answer_request_2"
HANDBOOK = b"# Offers\n\nAn offer holds for forty days.\n\n# Delivery\n\nChairs are delivered within nine days."


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product with another orchestrator, which new requests take. The former one is there for those under way."""
    app = tmp_path_factory.mktemp("next")
    for name in PRODUCT:
        shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, app)
    orchestrator = app / "pipeline" / "answer_request.py"
    former = orchestrator.read_text()
    _, decorator, body = former.partition("@bp.orchestration_trigger")
    again = body.replace("def answer_request(", f"def {NEW}(").replace(
        "for stage in STAGES", 'for stage in ("check_prompt", "infer", "check_answer")'
    )
    assert again.count("ground") == 0
    orchestrator.write_text(former + "\n\n" + decorator + again)
    start = app / "pipeline" / "start.py"
    start.write_text(start.read_text().replace('"answer_request"', f'"{NEW}"'))
    return app


@pytest_asyncio.fixture(loop_scope="session")
async def kit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kit]:
    async with Stack(tmp_path_factory.mktemp("rolling")) as stack, opened(stack) as kit:
        yield kit


async def rolled(kit: Kit, app: Path, shelf: Librarian) -> tuple[list[Answer], str]:
    """Instances of another version in place of all there are, while questions and a document are at the models.

    Returns the answers and the document's id.
    """
    stack, calls = kit.stack, await kit.model_calls()
    before = {group: stack.instances(group) for group in GROUPS}
    late = {"kind": "delay", "seconds": 2}
    await stack.control("models").faults(
        [{"operation": "embeddings", "times": 1, **late}, {"operation": "chat", "times": AT_ONCE, **late}]
    )
    document = (await shelf.upload(HANDBOOK)).body["id"]
    await counted(kit, "models", "embeddings", 1)
    asked = [asyncio.create_task(kit.ask(at=stack.http[0])) for _ in range(AT_ONCE)]
    await counted(kit, "models", "chat", calls + AT_ONCE)
    await asyncio.gather(*(stack.start_instance(group, app=app) for group in GROUPS))
    await asyncio.gather(*(stack.retire(each) for group in ("durable", "queues") for each in before[group]))
    answers = [*await asyncio.gather(*asked), await kit.ask(at=stack.http[-1])]
    await stack.retire(before["http"][0])
    return answers, document


async def orchestrated(kit: Kit) -> dict[str, int]:
    names = [each["name"] for each in await kit.orchestrations()]
    return {name: names.count(name) for name in names}


async def test_when_a_version_rolls_out_and_back_then_what_is_under_way_is_ended_once(
    kit: Kit, next_version: Path
) -> None:
    shelf = Librarian(Asking(kit))
    await shelf.open()
    answers, document = await rolled(kit, next_version, shelf)
    assert in_order(answers, await ended_once(kit))
    assert (await shelf.ended(document))["state"] == "ready"
    assert [chunk["document"] for chunk in await shelf.stored("chunk")] == [document] * 2
    assert await orchestrated(kit) == {"answer_request": AT_ONCE, NEW: 1, "index_document": 1}

    before = await kit.requests()
    asked = [await kit.ask()]
    await ended_once(kit)  # drained: the former version knows nothing of the next one's orchestrator
    asked += await rolled_back(kit)
    assert in_order(asked, await ended_once(kit, before))
    assert await orchestrated(kit) == {"answer_request": AT_ONCE + 1, NEW: 2, "index_document": 1}


async def rolled_back(kit: Kit) -> list[Answer]:
    """The former version in place of the next one, while nothing is under way."""
    stack = kit.stack
    before = [each for group in GROUPS for each in stack.instances(group)]
    await asyncio.gather(*(stack.retire(each) for each in before))
    await asyncio.gather(*(stack.start_instance(group) for group in GROUPS))
    return [await kit.ask()]
