"""What the tests of the Functions host share: its processes, the stand-ins beneath them, and what the test app saw."""

import asyncio
import json
import os
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from local.control import ControlClient
from local.ports import Ports
from local.process import Process

SECONDS = 10.0
"""How long anything here may take before the test fails."""

APP = Path(__file__).with_name("host_app")

QUEUES = {
    "singles": {"lock_seconds": 30, "max_delivery_count": 3},
    "batches": {"lock_seconds": 30},
    "alone": {"lock_seconds": 2},
}


class Seen(asyncio.DatagramProtocol):
    """What the functions of the test app reported, by kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, asyncio.Queue[tuple[int, Any]]] = defaultdict(asyncio.Queue)

    @classmethod
    @asynccontextmanager
    async def at(cls, path: Path) -> AsyncIterator[Self]:
        loop = asyncio.get_running_loop()
        transport, seen = await loop.create_datagram_endpoint(cls, local_addr=str(path), family=socket.AF_UNIX)
        try:
            yield seen
        finally:
            transport.close()

    def datagram_received(self, data: bytes, _: Any) -> None:
        report = json.loads(data)
        self._kinds[report["kind"]].put_nowait((report["pid"], report["what"]))

    async def next_with_pid(self, kind: str) -> tuple[int, Any]:
        async with asyncio.timeout(SECONDS):
            return await self._kinds[kind].get()

    async def next(self, kind: str) -> Any:
        return (await self.next_with_pid(kind))[1]

    def so_far(self, kind: str) -> list[tuple[int, Any]]:
        """All that nobody has asked for yet."""
        queue = self._kinds[kind]
        return [queue.get_nowait() for _ in range(queue.qsize())]


@dataclass
class Stack:
    """The stand-ins, and hosts for the test app on top of them."""

    folder: Path
    seen: Seen
    environment: dict[str, str] = field(default_factory=dict)
    standins: dict[str, Process] = field(default_factory=dict)
    hosts: dict[str, Process] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    ports: Ports = field(default_factory=Ports)
    senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Self]:
        async with AsyncExitStack() as exits:
            seen = await exits.enter_async_context(Seen.at(folder / "seen"))
            stack = cls(folder, seen)
            exits.push_async_callback(stack.stop)
            entities = folder / "entities.json"
            entities.write_text(json.dumps({"queues": QUEUES}))
            await asyncio.gather(
                stack.standin("durable"), stack.standin("servicebus", "--entities", entities, "--data", folder / "bus")
            )
            stack.environment = {
                **os.environ,
                "BUS": stack.standins["servicebus"].ready["connection_string"],
                "HOST_APP_HUB": "hub",
                "HOST_APP_SCHEDULE": "* * * * * *",
                "HOST_APP_SEEN": str(folder / "seen"),
                "HOST_APP_SINGLES": "singles",
            }
            groups = ("http", "durable", "queues")
            hosts = await asyncio.gather(*(stack.host(group) for group in groups))
            stack.hosts = dict(zip(groups, hosts, strict=True))
            yield stack

    async def standin(self, name: str, *options: object) -> None:
        ports = [] if "--port" in options else ["--port", self.ports.take()]
        process = await Process.start(
            name, f"local.{name}", [*options, *ports], environment=os.environ, logs=self.folder
        )
        self.standins[name] = process
        self.processes.append(process)

    async def host(self, group: str, run_dir: str = "run", **environment: str) -> Process:
        """Another instance of a group."""
        options = ["--group", group, "--app", APP, "--durable", self.standins["durable"].url]
        process = await Process.start(
            f"{group}-{len(self.processes)}",
            "local.host",
            [*options, "--run-dir", self.folder / run_dir],
            environment={**self.environment, **environment},
            logs=self.folder,
        )
        self.processes.append(process)
        return process

    async def stop(self) -> None:
        await self.hang_up()
        await asyncio.gather(*(process.stop(grace=SECONDS) for process in reversed(self.processes)))
        self.ports.close()

    def control(self, group: str) -> ControlClient:
        return ControlClient(self.hosts[group].control)

    @asynccontextmanager
    async def call(self, method: str, path: str, **request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request to the http group."""
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with (
            aiohttp.ClientSession(self.hosts["http"].url, timeout=timeout) as http,
            http.request(method, path, **request) as response,
        ):
            yield response

    async def orchestrate(self, name: str, what: Any) -> dict[str, Any]:
        """Start an orchestration, wait for it; its status, output and error."""
        async with self.call("POST", f"/api/orchestrations/{name}", json=what) as response:
            assert response.status == 200
            ended: dict[str, Any] = await response.json(content_type=None)
            return ended

    async def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """At once, in one batch."""
        if queue not in self.senders:  # opening one takes the SDK a second
            client = ServiceBusClient.from_connection_string(self.environment["BUS"])
            await self.clients.enter_async_context(client)
            self.senders[queue] = await self.clients.enter_async_context(client.get_queue_sender(queue))
        await self.senders[queue].send_messages(list(messages))

    async def hang_up(self) -> None:
        """Close what sends. The SDK leaves a socket behind when the broker goes first."""
        self.senders.clear()
        await self.clients.aclose()

    async def queue(self, name: str) -> dict[str, int]:
        """How many messages a queue holds, by state."""
        queues = await ControlClient(self.standins["servicebus"].control).call("GET", "/control/queues")
        counts: dict[str, int] = queues[name]
        return counts
