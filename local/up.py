"""``make up``: the stack stays up until Ctrl-C, for a person with a terminal and for scripts.

``.local/stack.json`` says where everything is (:meth:`local.stack.Stack.describe`), ``.local/stack.env`` holds the
same for a shell: ``APP``, ``ASSISTANT`` and a token per person. Both go away with the stack. Each start is a fresh one.
"""

import argparse
import asyncio
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import aiohttp

from local.process import ROOT, StartFailed
from local.stack import Stack

_HOME = ROOT / ".local"
_JSON = _HOME / "stack.json"
_SHELL = _HOME / "stack.env"


async def up(model: Literal["scripted", "real"], instances: int) -> None:
    """Runs until it is cancelled, or until a stand-in ends, which nothing can go on without."""
    started = time.monotonic()
    folder = _HOME / "up"
    shutil.rmtree(folder, ignore_errors=True)
    _remove_files()  # A stack that was killed has left them.
    print("Starting the stack ...", flush=True)
    async with Stack(folder, model=model, instances=instances) as stack:
        try:
            assistant = await _first_assistant(stack)
            _write_files(stack, assistant)
            print(f"It is up, after {time.monotonic() - started:.1f} s. Ctrl-C stops it.\n")
            print("\n".join(_guide(stack)), flush=True)
            await _keep_up(stack, assistant)
        finally:
            _remove_files()
            print("\nStopping ...", flush=True)


async def _keep_up(stack: Stack, assistant: str) -> None:
    while True:
        group, dead = await stack.next_death()
        how = f"ended with exit code {await dead.wait()}; its log is {_shown(dead.log)}"
        if group is None:
            raise StartFailed(f"{dead.name} {how}")
        replacement = await stack.start_instance(group, in_place_of=dead)
        _write_files(stack, assistant)
        print(f"{dead.name} {how}. {replacement.name} has taken its place.", flush=True)


async def _first_assistant(stack: Stack) -> str:
    """The id of an assistant that Alice may use: what the app answers her, so the way to the app is open too."""
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    url = f"{stack.http[0].url}/api/assistants"
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http, http.get(url) as answer:
        return str((await answer.json())["assistants"][0]["id"])


def _write_files(stack: Stack, assistant: str) -> None:
    stack.write_json(_JSON)
    people = [f"{person.name.upper()}={stack.token(person.name)}" for person in stack.directory.people]
    _SHELL.touch(mode=0o600)
    _SHELL.write_text("\n".join([f"APP={stack.http[0].url}", f"ASSISTANT={assistant}", *people]) + "\n")


def _remove_files() -> None:
    _JSON.unlink(missing_ok=True)
    _SHELL.unlink(missing_ok=True)


def _guide(stack: Stack) -> Iterator[str]:
    """What a newcomer needs to try it."""
    app, *more = [instance.url for instance in stack.http]
    yield f"app     {app}"
    yield from (f"        {url}" for url in more)
    yield f"model   {stack.standins['models'].ready['model']}"
    yield f"logs    {_shown(stack.logs)}"
    yield f"more    {_shown(_JSON)}: every address, control port and process id\n"
    for number, person in enumerate(stack.directory.people):
        groups = ", ".join(person.groups) or "in no group"
        label = "" if number else "people"
        yield f"{label:<7} {person.name:<6} {groups:<38} ${person.name.upper():<6} {stack.token(person.name)[:12]}..."
    yield "\nIn another terminal:\n"
    yield f"  . {_shown(_SHELL)}"
    yield '  curl -s "$APP/api/me" -H "Authorization: Bearer $PAULA"'
    yield '  curl -s "$APP/api/assistants/$ASSISTANT/requests" -H "Authorization: Bearer $ALICE" \\'
    yield """       -H "Content-Type: application/json" -d '{"prompt": "How do I write a good offer?"}'"""


def _shown(path: Path) -> str:
    """As short as it can be pasted."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


@contextmanager
def _alone() -> Iterator[None]:
    """One stack at a time writes .local; the lock goes with the process."""
    _HOME.mkdir(exist_ok=True)
    lock = os.open(_HOME / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SystemExit(f"A stack is up already: see {_shown(_JSON)}") from None
    finally:
        os.close(lock)


async def _until_told_to_stop(model: Literal["scripted", "real"], instances: int) -> None:
    task = asyncio.create_task(up(model, instances))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m local.up", description=__doc__)
    options.add_argument("--model", choices=["scripted", "real"], default="real")
    options.add_argument("--instances", type=int, default=1, help="of each group of the app's functions")
    arguments = options.parse_args()
    if arguments.instances < 1:
        options.error("--instances: at least 1")
    with _alone():
        try:
            asyncio.run(_until_told_to_stop(arguments.model, arguments.instances))
        except StartFailed as error:
            raise SystemExit(str(error)) from None
    print("Stopped.")


if __name__ == "__main__":
    main()
