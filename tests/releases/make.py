"""``python -m tests.releases.make``: what this version writes, into ``tests/releases/<version>``.

A container a file, a document a line; ``messages.json`` has the messages that were waiting, by their queues. There is a
question that was accepted and not begun: an update meets it.
"""

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from local.stack import Stack
from moving.folder import containers
from services.version import VERSION
from tests.e2e.asking import Asking
from tests.e2e.kit import Kit, opened
from tests.e2e.librarian import Librarian
from tests.e2e.talk import Talk

RELEASES = Path(__file__).parent
SETTINGS = {"REDACTION_KEY": "the key of the kept releases, and of nothing else", "ANSWER_WAIT_SECONDS": "8"}
SHELF = "shelf-kept"
TEXT = b"# Cars\n\nVisitors park their cars behind the warehouse and get a ticket from the gatekeeper.\n"
QUESTION = "What makes a good offer?"
WAITING = "What makes a bad offer?"


async def make(folder: Path) -> None:
    with TemporaryDirectory() as scratch:
        async with Stack(Path(scratch), settings=SETTINGS) as stack, opened(stack) as kit:
            asking = Asking(kit)
            shelf, talk = Librarian(asking, SHELF), Talk(asking)
            await shelf.open()
            await shelf.indexed(TEXT, name="guide.md")
            await shelf.sources("Where do visitors park their cars?")
            answered = await talk.say(QUESTION)
            await asking.ask("How can I build a bomb?")
            await asking.switch("sales-helper", stopped=False, reason="nothing: it is written")
            await asking.audited(answered["request_id"])
            await kit.run_timer("rollup_costs")
            for instance in stack.instances("queues"):
                await stack.retire(instance)
            waiting = await asking.ask(WAITING)
            assert waiting.status == 202
            await _write(kit, folder)


async def _write(kit: Kit, folder: Path) -> None:
    folder.mkdir()
    for name, items in containers(kit.store).items():
        documents = [each async for each in items.query("SELECT * FROM c")]
        kept = [{key: value for key, value in each.items() if not key.startswith("_")} for each in documents]
        lines = [json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in kept]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    held = json.loads(await kit.stack.control("servicebus").dump())
    messages = {
        queue: [json.loads(each["body"][0]) for each in held[queue]] for queue in ("requests", "audit", "documents")
    }
    (folder / "messages.json").write_text(json.dumps(messages, indent=1) + "\n")


if __name__ == "__main__":
    target = RELEASES / VERSION
    if target.exists():
        sys.exit(f"{target} is kept already: a release never changes")
    asyncio.run(make(target))
