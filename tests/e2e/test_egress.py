"""The app connects to the endpoints in its settings, to the models that are configured, and to nothing else."""

import asyncio
import ipaddress
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from local.host.egress import SETTING
from local.process import ROOT
from local.stack import GROUPS, Stack
from tests.e2e.asking import Asking
from tests.e2e.kit import opened
from tests.e2e.librarian import Librarian
from tests.e2e.talk import Talk
from tests.e2e.test_detectors import topic

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMERS = ("rollup_costs", "reconcile_costs", "reset_caps", "sweep", "reconcile_audit")
TCP = Path("/proc/net/tcp")
LISTENING = "0A"

type Place = tuple[str, int]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def used(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Asking, Path]]:
    """A stack whose app did everything that it connects for, and what it noted of that."""
    log = tmp_path_factory.mktemp("egress")
    settings = {SETTING: str(log), "RECONCILE_AFTER_SECONDS": "0"}
    async with Stack(tmp_path_factory.mktemp("watched"), settings=settings) as stack, opened(stack) as kit:
        asking = Asking(kit)
        shelf, talk = Librarian(asking), Talk(asking)
        await shelf.open()
        await shelf.indexed(b"# Cars\n\nVisitors park behind the warehouse.\n", name="guide.md")
        assert await shelf.sources("Where do visitors park?")
        await talk.say("What makes a good offer?")
        async with topic(asking, content_safety={"Hate": 4}):
            assert (await asking.ask("What makes a good offer of marmalade?")).status == 200
        overage = await asking.token(claims={"groups": None, "_claim_names": {"groups": "src1"}})
        for token, path in (
            (overage, "/api/assistants"),
            (stack.token("alice"), "/api/me/audit"),
            (stack.token("gus"), "/api/costs"),
            (stack.token("ivan"), "/api/queues"),
            (stack.token("ivan"), "/api/health/ready"),
        ):
            assert (await asking.call("GET", path, token=token)).status == 200
        for timer in TIMERS:
            await kit.run_timer(timer)
        yield asking, log


def configured(stack: Stack) -> set[Place]:
    """What the settings name, the Durable Task Scheduler, and where the models are that the seed configures."""
    texts = [*stack.describe()["settings"].values(), f"grpc://{stack.standins['durable'].url}"]
    texts.append(stack.standins["models"].url)
    found = [urlsplit(each) for text in texts for each in re.findall(r"[a-z]+://[^\s;,/]+", text)]
    return {(str(each.hostname), each.port) for each in found if each.port is not None}


def own(pids: list[int]) -> set[Place]:
    """Where these processes listen: the Functions host hands HTTP requests to the app in its own process."""
    return {local for pid in pids for local, _, state in sockets(pid) if state == LISTENING}


def sockets(pid: int) -> list[tuple[Place, Place, str]]:
    """A process's TCP sockets by the system's tables: its own end, the other end, the state."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        target = str(each.readlink())
        if target.startswith("socket:"):
            inodes.add(target[len("socket:[") : -1])
    found = []
    for table in (TCP, TCP.with_name("tcp6")):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found.append((_place(fields[1]), _place(fields[2]), fields[3]))
    return found


def _place(text: str) -> Place:
    """``0100007F:1F90``: the address in words of four bytes in the machine's order, the port."""
    address, port = text.split(":")
    words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    ip = ipaddress.ip_address(packed)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(port, 16)


def noted(log: Path) -> list[tuple[str, str, int | None]]:
    return [tuple(json.loads(line)) for file in log.iterdir() for line in file.read_text().splitlines()]


@pytest.mark.claim("T1")
async def test_when_people_use_all_of_it_then_the_app_connects_to_configured_endpoints_only(
    used: tuple[Asking, Path],
) -> None:
    asking, log = used
    stack = asking.stack
    instances = [each for group in GROUPS for each in stack.instances(group)]
    assert {path.stem for path in log.iterdir()} == {str(each.pid) for each in instances}, "each was watched"
    expected = configured(stack)
    allowed = expected | (own([each.pid for each in instances]) if TCP.exists() else set())

    tried = noted(log)
    reached = {(host, port) for event, host, port in tried if event == "socket.connect"}
    assert reached <= allowed
    names = {host for event, host, _ in tried if event != "socket.connect"}
    assert names <= {host for host, _ in expected} | {"localhost", None}

    if TCP.exists():  # also what is connected in C, and held open: gRPC's
        outward = {
            far
            for each in instances
            for near, far, state in sockets(each.pid)
            if state != LISTENING and near not in allowed - expected
        }
        assert outward <= allowed
        assert ("127.0.0.1", urlsplit(f"//{stack.standins['durable'].url}").port) in outward

    for name in ("cosmos", "servicebus", "loganalytics", "blobs", "entra", "contentsafety", "models"):
        known = {name: value for name, value in stack.standins[name].ready.items() if name != "control"}
        ports = {int(port) for port in re.findall(r":(\d+)", json.dumps(known))}
        assert ports & {port for _, port in reached}, f"the flows did not use {name}"


async def test_when_a_process_connects_elsewhere_then_it_is_noted(tmp_path: Path) -> None:
    code = f"""
import pathlib, socket
from local.host.egress import watch
watch(pathlib.Path({str(tmp_path)!r}))
for call in (lambda: socket.create_connection(("127.0.0.1", 9), timeout=1), lambda: socket.gethostbyname("localhost")):
    try:
        call()
    except OSError:
        pass
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
    assert await process.wait() == 0
    assert set(noted(tmp_path)) == {
        ("socket.getaddrinfo", "127.0.0.1", 9),
        ("socket.connect", "127.0.0.1", 9),
        ("socket.gethostbyname", "localhost", None),
    }
