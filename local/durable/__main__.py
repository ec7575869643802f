"""``python -m local.durable``: see the package for what it serves."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from google.protobuf import text_format  # type: ignore[import-untyped]

from local.durable.backend import Backend
from local.durable.service import serving_grpc
from local.durable.store import Store
from local.standin import Control, main, parser


class Inspection:
    """What the control port shows of the instances."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def dump(self) -> str:
        """Every state and event in protobuf's text format, so with all inputs, outputs and failures."""
        messages = (
            message
            for instance in self._backend.instances.values()
            for message in (instance.state, *instance.history, *instance.inbox)
        )
        return "\n".join(text_format.MessageToString(message, as_utf8=True) for message in messages)

    async def instances(self, _: web.Request) -> web.Response:
        found = self._backend.instances.values()
        return web.json_response([{"id": i.id, "name": i.state.name, "status": i.status} for i in found])

    async def history(self, request: web.Request) -> web.Response:
        instance = self._backend.instances.get(request.match_info["instance_id"])
        if instance is None:
            return web.Response(status=404)
        return web.json_response(
            [
                {
                    "kind": event.WhichOneof("eventType"),
                    "id": event.eventId,
                    "timestamp": event.timestamp.ToJsonString(),
                    "bytes": event.ByteSize(),
                }
                for event in (*instance.history, *instance.inbox)
            ]
        )


@asynccontextmanager
async def service(options: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    store = Store(options.data) if options.data else None
    backend = Backend(control, store)
    inspection = Inspection(backend)
    control.dump = inspection.dump
    control.routes += [
        web.get("/control/instances", inspection.instances),
        web.get("/control/history/{instance_id}", inspection.history),
    ]
    async with serving_grpc(backend, control, options.port) as url:
        yield {"url": url}
    if store:
        store.close()


if __name__ == "__main__":
    main(parser("durable", __doc__), service)
