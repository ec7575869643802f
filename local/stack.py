"""The whole product on one machine: the stand-ins for Azure's services, and the app in processes of its own.

As on Flex Consumption, the HTTP functions, the Durable ones and the queue and timer functions run in separate
processes, each group as often as asked for, with nothing in memory linking them. Any process can be killed and
started again at any time. Everything is written below one folder; ``logs/<name>.log`` has a log of each process.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel

from local import resources
from local.control import ControlClient
from local.entra.directory import Directory, Person
from local.ports import Ports
from local.process import ROOT, Process
from local.tls import issue

GROUPS = ("http", "durable", "queues")
"""The app's functions as Azure groups them into processes."""

TOKEN_SECONDS = 12 * 3600
"""How long the people's tokens live: longer than anybody keeps a stack up."""

GRACE = 8.0
"""Seconds that a process has to stop by itself; the host gives running invocations five of them."""

_DIRECTORY = Path(__file__).with_name("directory.json")

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV")
"""All that the processes see of the environment the stack was started in."""


class Stack:
    """``async with Stack(folder) as stack``: runs from enter to exit. Raises ``StartFailed`` if it can't start."""

    def __init__(
        self,
        folder: Path,
        *,
        model: Literal["scripted", "real"] = "scripted",
        instances: int = 1,
        seeded: bool = True,
        settings: Mapping[str, str] | None = None,
        lock_seconds: float = 30,
        options: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        """``instances`` of each group of the app; ``settings`` are more of the app's settings. Without ``seeded``,
        Cosmos DB is empty, as after a deployment.

        ``options`` are more command line options of stand-ins: ``{"cosmos": ["--consistency", "Session"]}``.
        """
        self.directory = Directory.model_validate_json(_DIRECTORY.read_bytes())
        self.standins: dict[str, Process] = {}
        self.logs = folder / "logs"
        self.certificate_authority = folder
        """The PEM file to trust, once the stack has started."""
        self._folder = folder
        self._model = model
        self._instances = instances
        self._seeded = seeded
        self._settings = dict(settings or {})
        self._lock_seconds = lock_seconds
        self._options = {name: list(more) for name, more in (options or {}).items()}
        self._ports = Ports()
        self._environment: dict[str, str] = {}
        self._commands: dict[str, Sequence[object]] = {}
        self._apps: dict[str, list[Process]] = {group: [] for group in GROUPS}
        self._started = dict.fromkeys(GROUPS, 0)
        self._redaction_key = secrets.token_urlsafe(32)
        self._tokens: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def http(self) -> list[Process]:
        """The running HTTP instances of the app."""
        return self.instances("http")

    def instances(self, group: str) -> list[Process]:
        """The running instances of a group of the app."""
        return [instance for instance in self._apps[group] if instance.running]

    def person(self, name: str) -> Person:
        return next(person for person in self.directory.people if person.name == name)

    def group(self, name: str) -> str:
        """The object id of a group of the directory."""
        return next(str(group.id) for group in self.directory.groups if group.name == name)

    def token(self, name: str) -> str:
        """A person's access token for the app."""
        return self._tokens[name]

    def control(self, process: str | Process) -> ControlClient:
        """The control port of a stand-in (by name) or of any process."""
        return ControlClient((self.standins[process] if isinstance(process, str) else process).control)

    async def start_instance(self, group: str, *, in_place_of: Process | None = None, app: Path = ROOT) -> Process:
        """One more instance of a group of the app, or of another version of it, which is in the folder ``app``.

        In place of one that ended, it takes over the ports of that one.
        """
        self._started[group] += 1
        options = ["--group", group, "--app", app, "--durable", self.standins["durable"].url]
        options += ["--run-dir", self._folder / "run", *(_ports_of(in_place_of) if in_place_of else self._new_ports())]
        instance = await Process.start(
            f"{group}-{self._started[group]}",
            "local.host",
            options,
            environment=self._app_environment(),
            logs=self.logs,
        )
        self._apps[group].append(instance)
        return instance

    async def kill(self, process: Process) -> None:
        """SIGKILL: what a crash does. Returns when the process is gone."""
        for instances in self._apps.values():
            if process in instances:
                instances.remove(process)
        await process.kill()

    async def retire(self, process: Process) -> None:
        """SIGTERM to an instance of the app, as when Azure takes one away: it may end what it runs."""
        for instances in self._apps.values():
            if process in instances:
                instances.remove(process)
        await process.stop(GRACE)

    async def restart(self, name: str, after_seconds: float = 0.0) -> None:
        """Kill a stand-in and start it again, with the data it kept, at the same address; perhaps after some time."""
        before = self.standins[name]
        await before.kill()
        await asyncio.sleep(after_seconds)
        await self._start_standin(name, self._commands[name], _ports_of(before))

    async def next_death(self) -> tuple[str | None, Process]:
        """Wait until a process ends by itself. Returns its group of the app, None for a stand-in, and the process."""
        processes: dict[Process, str | None] = dict.fromkeys(self.standins.values())
        processes |= {instance: group for group, instances in self._apps.items() for instance in instances}
        waiting = {asyncio.create_task(process.wait()): process for process in processes}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        dead = waiting[done.pop()]
        await self.kill(dead)  # Nothing of it is left, and it is not reported again.
        return processes[dead], dead

    def describe(self) -> dict[str, Any]:
        """Where everything is, and a token per person: all that a script needs to drive the stack. As JSON."""
        return {
            "app": {
                group: [{"name": one.name, "pid": one.pid, **one.ready} for one in self.instances(group)]
                for group in GROUPS
            },
            "standins": {name: {"pid": standin.pid, **standin.ready} for name, standin in self.standins.items()},
            "people": {
                person.name: {
                    "display_name": person.display_name,
                    "oid": str(person.oid),
                    "groups": person.groups,
                    "token": self.token(person.name),
                }
                for person in self.directory.people
            },
            "logs": str(self.logs),
            "certificate_authority": str(self.certificate_authority),
            "settings": {
                name: value for name, value in self._app_environment().items() if name not in self._environment
            },
        }

    def write_json(self, path: Path) -> None:
        """Keep :meth:`describe` in a file that only its owner reads: there are tokens in it."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.describe(), indent=2) + "\n")

    async def _start(self) -> None:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        certificates = issue(self._folder / "tls")
        self.certificate_authority = certificates.ca
        self._environment = inherited | dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(certificates.ca))

        entities = ["--entities", self._write("queues", resources.queues(self._lock_seconds))]
        await _together(
            self._start_secured(certificates.server),
            self._start_standin("servicebus", [*entities, *self._data("servicebus")]),
            self._start_standin("durable", self._data("durable")),
        )
        await _together(
            self._sign_in(),
            self._seed(),
            *(self.start_instance(group) for group in GROUPS for _ in range(self._instances)),
        )

    async def _start_secured(self, certificate: Path) -> None:
        """Entra, and then what checks tokens with its keys and so needs its address."""
        tls = ["--tls", certificate]
        await self._start_standin("entra", ["--directory", _DIRECTORY, *tls])
        authority = ["--authority", self.standins["entra"].ready["authority"]]
        secured = [*tls, *authority]
        containers = ["--containers", self._write("containers", resources.containers())]
        real = ["--real", "--real-embeddings"] if self._model == "real" else []
        tables = ["--tables", self._write("tables", resources.audit_table())]
        await _together(
            self._start_standin("cosmos", [*containers, *secured, *self._data("cosmos")]),
            self._start_standin("loganalytics", [*tables, *secured, *self._data("loganalytics")]),
            self._start_standin("contentsafety", secured),
            self._start_standin("blobs", [*secured, "--containers", resources.DOCUMENTS, *self._data("blobs")]),
            self._start_standin("models", [*authority, *real]),
        )

    async def _start_standin(self, name: str, options: Sequence[object], ports: Sequence[object] = ()) -> None:
        self._commands[name] = options
        self.standins[name] = await Process.start(
            name,
            f"local.{name}",
            [*options, *(ports or self._new_ports()), *self._options.get(name, ())],
            environment=self._environment,
            logs=self.logs,
        )

    async def _sign_in(self) -> None:
        entra = self.control("entra")
        for person in self.directory.people:
            asked = {"person": person.name, "lifetime_seconds": TOKEN_SECONDS}
            self._tokens[person.name] = (await entra.call("POST", "/control/token", json=asked))["access_token"]

    async def _seed(self) -> None:
        if not self._seeded:
            return
        models = {"MODELS_URL": self.standins["models"].url}
        await Process.run("seed", "local.seed", [], environment=self._app_environment() | models, logs=self.logs)

    async def _stop(self) -> None:
        """The app first, while what it works with is still there."""
        apps = [instance for group in GROUPS for instance in self.instances(group)]
        for processes in (apps, list(self.standins.values())):
            await asyncio.gather(*(process.stop(GRACE) for process in processes))
        self._ports.close()

    def _new_ports(self) -> list[object]:
        return ["--control-port", self._ports.take(), "--port", self._ports.take()]

    def _data(self, name: str) -> list[object]:
        return ["--data", self._folder / "data" / name]

    def _write(self, name: str, content: BaseModel) -> Path:
        file = self._folder / f"{name}.json"
        file.write_text(content.model_dump_json(indent=2))
        return file

    def _app_environment(self) -> dict[str, str]:
        """The app's settings, by the names that they have in Azure."""
        ready = {name: standin.ready for name, standin in self.standins.items()}
        return {
            **self._environment,
            "SERVICEBUS": ready["servicebus"]["connection_string"],
            "COSMOS__accountEndpoint": ready["cosmos"]["url"],
            "COSMOS_DATABASE": resources.DATABASE,
            "LOGS_INGESTION_ENDPOINT": ready["loganalytics"]["url"],
            "LOGS_RULE_ID": ready["loganalytics"]["rule_id"],
            "LOGS_STREAM": resources.AUDIT_STREAM,
            "LOGS_WORKSPACE_ID": ready["loganalytics"]["workspace_id"],
            "LOGS_QUERY_ENDPOINT": f"{ready['loganalytics']['url']}/v1",
            "ENTRA_AUTHORITY": ready["entra"]["authority"],
            "ENTRA_TENANT_ID": str(self.directory.tenant_id),
            "ENTRA_CLIENT_ID": str(self.directory.client_id),
            "GRAPH_ENDPOINT": ready["entra"]["url"],
            "CONTENT_SAFETY_ENDPOINT": ready["contentsafety"]["url"],
            "BLOBS_ENDPOINT": ready["blobs"]["url"],
            "PLATFORM_ADMIN_GROUP": self.group("Platform Admins"),
            "REDACTION_KEY": self._redaction_key,
            "MODEL_SECRET_LOCAL": "any",
            "IDENTITY_ENDPOINT": ready["entra"]["identity_endpoint"],
            "IDENTITY_HEADER": ready["entra"]["identity_header"],
            **self._settings,
        }


async def _together(*starts: Coroutine[Any, Any, object]) -> None:
    """Start them at once. Raises what the first to fail raised, when the others have been stopped."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _ports_of(process: Process) -> list[object]:
    """The options that give a process the ports which another had."""
    options: list[object] = ["--control-port", urlsplit(process.control).port]
    if process.ready.get("url"):
        options += ["--port", urlsplit(process.url if "//" in process.url else f"//{process.url}").port]
    return options
