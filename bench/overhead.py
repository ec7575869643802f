"""What the pipeline adds to a call of the model, beside the model alone and, where it is installed, LiteLLM's proxy.

``python -m bench.overhead [--peer PYTHON] [--times N]``: PYTHON is an interpreter with ``litellm[proxy]``. All three
speak OpenAI's API, get the same question with personal data in it, and stand before the same scripted model on this
machine, with whoever asks. "added" is a median (or 95th percentile) less that of the model alone with as many at once.
What is not answered with 200 is counted, and is in no time. CPU is of the app's processes (or of the proxy and
Presidio), without the stand-ins and with what is left to do after an answer; Linux only. "raw" tells of how many calls
the model was shown personal data of the question as it was typed, of how many it had.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from bench import peer
from bench.load import Load, System, load, stream
from local.stack import GROUPS, Stack

PERSONAL = ("Jane Doe", "jane.doe@contoso.com", "+1 425 555 0143")
QUESTION = (
    f"Our customer {PERSONAL[0]} ({PERSONAL[1]}, {PERSONAL[2]}) has asked for an offer for forty chairs, and wants "
    "to know by when they can be delivered to her office. Please tell me in two or three sentences what makes a good "
    "sales offer, what it should never leave out, and how long it may be so that somebody who is busy reads it to its "
    "end. Then say what I should write first. Keep to plain words, and don't repeat what I have said."
)
ANSWER = (
    "A good offer names the price first. It says what the customer gets and by when. It tells how long it holds. "
    "It is short and has no small print. It thanks the customer for asking. It ends with a name to call. "
    "That name answers on the same day. Write the price and the date first, then what is included. "
    "Leave out whatever the customer does not need to decide. Nothing else matters as much."
)
POINTS = ((1, 20), (16, 96), (64, 192))
"""How many ask at once, and how many questions they ask together."""
MODEL_SECONDS = (0.0, 0.2)
STREAMS = 10
WORD_SECONDS = 0.02
SETTLED_SECONDS = 60.0

HEAD = (
    f"{'':26}{'at once':>8}{'p50':>7}{'p95':>7}{'added p50':>11}{'added p95':>11}"
    f"{'per s':>8}{'CPU ms':>8}{'raw':>12}  failed"
)


@asynccontextmanager
async def answering(stack: Stack, *, delay: float = 0.0, pause: float = 0.0) -> AsyncIterator[None]:
    """The model says the same to everything, after so long, and streams a word at a time."""
    models = stack.control("models")
    line = {"match": None, "answer": ANSWER, "pause_seconds": pause}
    await models.call("PUT", "/control/script", json=[line])
    slow = {"operation": "chat", "kind": "delay", "seconds": delay}
    await models.faults([slow] if delay else [])
    yield
    await models.faults([])


async def audited(stack: Stack) -> None:
    """Wait until no event is left to write."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while True:
            queue = (await stack.control("servicebus").call("GET", "/control/queues"))["audit"]
            if not queue["active"] and not queue["locked"]:
                return
            await asyncio.sleep(0.05)


def alone(stack: Stack) -> System:
    return System("the model alone", [f"{stack.standins['models'].url}/v1/chat/completions"], "any", "large")


def governed(stack: Stack, name: str) -> System:
    urls = [f"{instance.url}/api/openai/v1/chat/completions" for instance in stack.http]
    pids = [instance.pid for group in GROUPS for instance in stack.instances(group)]
    return System(name, urls, stack.token("alice"), "sales-helper", pids, partial(audited, stack))


async def point(stack: Stack, system: System, at_once: int, questions: int, bare: Load | None = None) -> Load:
    """Measure it and say it, beside the model alone."""
    models = stack.control("models")
    await models.call("POST", "/control/requests/reset")
    measured = await load(system, QUESTION, at_once=at_once, questions=questions)
    shown = [json.dumps(body) for body in await models.call("GET", "/control/requests")]
    raw = sum(any(each in body for each in PERSONAL) for body in shown)
    middle, high = measured.milliseconds(0.5), measured.milliseconds(0.95)
    added = f"{'':>22}"
    if bare:
        added = f"{middle - bare.milliseconds(0.5):>11.0f}{high - bare.milliseconds(0.95):>11.0f}"
    answered = len(measured.seconds)
    cpu = f"{measured.cpu * 1000 / answered:.1f}" if system.pids and answered else ""
    say(
        f"{system.name:26}{at_once:>8}{middle:>7.0f}{high:>7.0f}{added}{answered / measured.wall:>8.1f}{cpu:>8}"
        f"{f'{raw} of {len(shown)}':>12}  {failures(measured)}"
    )
    return measured


def failures(measured: Load) -> str:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in measured.failed.most_common())
    return f"{measured.failed.total()} of {measured.asked}{kinds and f' ({kinds})'}"


async def woken(systems: Sequence[System]) -> None:
    """The first questions, which load and connect, are in no figure."""
    for system in systems:
        await load(system, QUESTION, at_once=4 * len(system.urls), questions=8 * len(system.urls))


async def compared(stack: Stack, systems: Sequence[System], times: int) -> None:
    """The first is what the others are compared with."""
    async with answering(stack):
        await woken(systems)
    for delay in MODEL_SECONDS:
        async with answering(stack, delay=delay):
            say(f"\nThe model answers after {delay * 1000:.0f} ms; times in ms\n{HEAD}")
            for at_once, questions in POINTS:
                bare = await point(stack, systems[0], at_once, questions * times)
                for system in systems[1:]:
                    await point(stack, system, at_once, questions * times, bare)
    async with answering(stack, pause=WORD_SECONDS):
        say(f"\nStreamed, a word each {WORD_SECONDS * 1000:.0f} ms, one after the other: medians, times in ms")
        say(f"{'':26}{'first text':>12}{'whole answer':>14}{'pieces':>8}  failed")
        for system in systems:
            streams = await stream(system, QUESTION, STREAMS * times)
            first, whole = (
                statistics.median(each) * 1000 if each else float("nan") for each in (streams.first, streams.whole)
            )
            pieces = statistics.median(streams.pieces) if streams.pieces else 0
            say(f"{system.name:26}{first:>12.0f}{whole:>14.0f}{pieces:>8.0f}  {streams.failed} of {STREAMS * times}")


async def measure(folder: Path, peer_python: Path | None, times: int) -> None:
    async with Stack(folder / "one") as stack, AsyncExitStack() as exits:
        systems = [alone(stack), governed(stack, "governed, one instance")]
        if peer_python:
            proxy = await exits.enter_async_context(peer.running(peer_python, stack.standins["models"].url))
            url = f"{proxy.url}/v1/chat/completions"
            systems.append(System("LiteLLM with Presidio", [url], peer.KEY, peer.MODEL, proxy.pids))
        await compared(stack, systems, times)
    say(f"\nTwo instances of each group, the model answers after 0 ms; times in ms\n{HEAD}")
    async with Stack(folder / "two", instances=2) as stack, answering(stack):
        systems = [alone(stack), governed(stack, "governed, two instances")]
        await woken(systems)
        at_once, questions = POINTS[-1]
        bare = await point(stack, systems[0], at_once, questions * times)
        await point(stack, systems[1], at_once, questions * times, bare)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--peer",
        metavar="PYTHON",
        type=lambda python: Path(python).absolute(),
        default=os.environ.get("PEER"),
        help="an interpreter with litellm[proxy]",
    )
    parser.add_argument(
        "--times", type=int, default=int(os.environ.get("TIMES", 1)), help="so many times as many questions"
    )
    options = parser.parse_args()
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    say(f"What the pipeline adds to a call of the model ({machine}; the stand-ins, the model and who asks share them)")
    if not options.peer:
        say("LiteLLM is left out: name an interpreter that has litellm[proxy] with --peer (make bench PEER=...).")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.peer, options.times))


if __name__ == "__main__":
    main()
