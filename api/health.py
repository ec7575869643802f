"""Health: that the process lives, for whoever asks; and which services answer, for those who look after them."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import azure.durable_functions as df
from fastapi import Request, Response
from pydantic import BaseModel

from api.operation import Call, Reply, operation
from api.support import OBSERVERS, require_observer
from governance.signing_keys import KeysUnavailable, SigningKeys
from governance.switches import PLATFORM, Position, position_of
from services import queues
from services.blobs import BlobError, BlobMissing, Blobs
from services.bus import REQUESTS, BusUnavailable
from services.content_safety import ContentSafetyUnavailable
from services.documents import StoreError
from services.graph import GraphUnavailable
from services.logs import LogsUnavailable

bp = df.Blueprint()

CHECK_SECONDS = 5.0
"""For all checks, which are made at once."""
NEEDED = {"cosmos", "servicebus"}
"""Without these no question is answered."""
NAMED = (
    StoreError, BusUnavailable, LogsUnavailable, GraphUnavailable, BlobError, ContentSafetyUnavailable, KeysUnavailable,
)  # fmt: skip
"""Errors whose message holds no address, id or content."""

_left: set[asyncio.Task[Any]] = set()
"""Checks that nobody waits for any more; the event loop alone would let go of them."""


class Alive(BaseModel):
    """The process answers. Nothing else was looked at."""

    status: str = "alive"


ALIVE = Alive().model_dump_json()


class Check(BaseModel):
    service: str
    needed: bool
    """Whether no question is answered without it."""
    answers: bool
    ms: int
    """How long it took to answer, or to fail."""
    why: str
    """Why it does not answer, in a word or two; else empty."""


class Health(BaseModel):
    """Which services answer. Models are not asked: to try one costs and has gates (`/api/endpoints/{id}/test`)."""

    ready: bool
    """Everything answers without which no question is."""
    platform_stopped: bool | None
    """Null if it could not be read."""
    checks: list[Check]


@bp.route("health", methods=["GET"])
async def get_alive(req: Request) -> Response:  # noqa: ARG001
    """The one function without a gate: it reads nothing, and says nothing but that it was called."""
    return Response(ALIVE, media_type="application/json")


@operation(bp, "GET", "health/ready", answers={200: Health}, roles=OBSERVERS, support=True)
async def get_health(call: Call[None]) -> Reply:
    """Whether each service that the product uses answers, and how fast."""
    require_observer(call)
    services = call.services
    asked: dict[str, Awaitable[object]] = {
        "cosmos": position_of(services.store.control, PLATFORM),
        "servicebus": queues.glance(services.bus, REQUESTS),
        "loganalytics": services.audit_log.query("AuditEvents_CL | take 1 | project EventId", timedelta(hours=1)),
        "entra": SigningKeys(services.settings.entra_authority, time.monotonic).find("none"),
        "graph": services.graph.member_groups(call.caller.oid, [services.settings.platform_admin_group]),
    }
    if services.blobs is not None:
        asked["blobs"] = _looked_for_a_blob(services.blobs)
    if services.content_safety is not None:
        asked["contentsafety"] = services.content_safety.severities("Are you there?")
    found = await _within(CHECK_SECONDS, asked)
    switch = found["cosmos"].value
    return Reply(
        Health(
            ready=all(each.check.answers for each in found.values() if each.check.needed),
            platform_stopped=switch.stopped if isinstance(switch, Position) else None,
            checks=[each.check for each in found.values()],
        )
    )


class _Found(NamedTuple):
    check: Check
    value: object = None


async def _within(seconds: float, asked: dict[str, Awaitable[object]]) -> dict[str, _Found]:
    """What came of each, at the latest after so long: one that hangs may hang in its cancellation too, and is left."""
    tasks = {name: asyncio.create_task(_found(name, each)) for name, each in asked.items()}
    await asyncio.wait(tasks.values(), timeout=seconds)
    late = {name: task for name, task in tasks.items() if not task.done()}
    for task in late.values():
        _left.add(task)
        task.add_done_callback(_left.discard)
        task.cancel()
    silent = {name: _Found(_check(name, seconds, f"no answer in {seconds:.0f} s")) for name in late}
    return {name: silent[name] if name in silent else task.result() for name, task in tasks.items()}


async def _found(name: str, asked: Awaitable[object]) -> _Found:
    began = time.monotonic()
    try:
        value = await asked
    except NAMED as error:
        return _Found(_check(name, time.monotonic() - began, str(error) or type(error).__name__))
    except Exception as error:  # whatever it is: it must not hide the others
        return _Found(_check(name, time.monotonic() - began, type(error).__name__))
    return _Found(_check(name, time.monotonic() - began, ""), value)


def _check(name: str, seconds: float, why: str) -> Check:
    return Check(service=name, needed=name in NEEDED, answers=not why, ms=round(seconds * 1000), why=why)


async def _looked_for_a_blob(blobs: Blobs) -> None:
    with suppress(BlobMissing):  # it says so: it answers
        await blobs.read("health")
