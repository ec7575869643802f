"""``python -m local.host --group http|durable|queues --app DIR``"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from local.host import durable, http
from local.host.durable import WorkItems
from local.host.egress import watch_if_asked
from local.host.hostjson import HostJson, Refused, resolved
from local.host.pump import Pump
from local.host.timers import Timers
from local.host.worker import Worker
from local.standin import Control, main, serving

_GRACE = 5.0
"""How long running invocations may take to finish when the host stops, in seconds."""

_GROUPS = {
    "http": {"httpTrigger"},
    "durable": {"orchestrationTrigger", "activityTrigger"},
    "queues": {"serviceBusTrigger", "timerTrigger"},
}


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m local.host", description="An Azure Functions host for one machine"
    )
    options.add_argument("--group", required=True, choices=_GROUPS, help="which of the app's functions to serve")
    options.add_argument("--app", type=Path, required=True, help="the folder of function_app.py and host.json")
    options.add_argument("--durable", metavar="HOST:PORT", help="the Durable backend")
    options.add_argument("--run-dir", type=Path, help="where instances find each other; the queues group needs it")
    options.add_argument("--port", type=int, default=0, help="of the http group; 0 takes a free one")
    options.add_argument("--control-port", type=int, default=0)
    return options


@asynccontextmanager
async def _service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    app: Path = arguments.app.resolve()
    settings = HostJson.read(app).extensions
    configuration = None
    if arguments.durable:
        configuration = durable.client_configuration(arguments.durable, resolved(settings.durable_task.hub_name))
    run_dir = arguments.run_dir and arguments.run_dir.resolve()  # the worker changes the current directory
    worker = Worker(control, configuration)
    functions = await worker.load(app)
    served = [function for function in functions if function.trigger["type"] in _GROUPS[arguments.group]]
    ready = {"functions": [function.name for function in served]}

    match arguments.group:
        case "http":
            application = http.application(worker, served, settings.http.route_prefix)
            async with serving(
                application, port=arguments.port, shutdown_timeout=_GRACE, handler_cancellation=True
            ) as url:
                yield {"url": url, **ready}
        case "durable":
            work_items = WorkItems(worker, served, arguments.durable, settings.durable_task)
            async with _running(work_items):
                await work_items.opened.wait()
                yield {"url": None, **ready}
        case "queues":
            run_dir.mkdir(parents=True, exist_ok=True)
            timers = Timers(worker, [f for f in served if f.trigger["type"] == "timerTrigger"], run_dir)
            control.routes.append(web.post("/control/run/{function}", timers.fire_now))
            queued = [f for f in served if f.trigger["type"] == "serviceBusTrigger"]
            pumps = [Pump(worker, function, settings.service_bus) for function in queued]
            async with _running(timers, *pumps):
                for pump in pumps:
                    await pump.opened.wait()
                yield {"url": None, **ready}


@asynccontextmanager
async def _running(*services: WorkItems | Timers | Pump) -> AsyncIterator[None]:
    """Runs these until the block ends, and then until they have stopped. One that breaks ends the host."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.run(_GRACE)) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


if __name__ == "__main__":
    watch_if_asked()
    options = _options()
    arguments = options.parse_args()
    if arguments.group == "durable" and not arguments.durable:
        options.error("the durable group needs --durable")
    if arguments.group == "queues" and not arguments.run_dir:
        options.error("the queues group needs --run-dir")
    logging.getLogger("azure.functions").setLevel(logging.WARNING)  # the worker library logs each invocation
    try:
        main(options, _service)
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    logging.shutdown()
    os._exit(0)  # a function that still holds a thread when its time is up does not hold the process
