"""The last gate: a recorded answer leaves only while nothing is stopped (claim K3)."""

import logging

from governance import conversations, requests
from governance.audit import announce_again, reference_to_request
from governance.problems import Problem
from governance.request import Request
from governance.switches import Stopped, require_running
from services.bus import Bus, BusUnavailable
from services.documents import Store

log = logging.getLogger(__name__)


async def release(store: Store, bus: Bus, request: Request) -> None:
    """recorded -> released, from when on the answer may be read, and is a turn of its conversation; withheld, if a
    switch is on.

    A refusal goes in any case. Raises :class:`services.documents.StoreError` if the switches can't be read, and what
    :func:`withhold` raises.
    """
    if request.state == "recorded":
        try:
            if request.problem is None:
                await require_running(store.control, request.assistant)
        except Stopped as stop:
            await withhold(store, bus, request, stop.problem())
            return
        await requests.release(store.requests, request.id)
    if request.state in ("recorded", "released"):
        await conversations.keep_turn(store, request)


async def withhold(store: Store, bus: Bus, request: Request, problem: Problem) -> None:
    """The answer does not leave any more, and the trail says so.

    Raises :class:`services.documents.ConditionFailed` if the request changed since it was loaded.
    """
    await requests.withhold_stopped(store.requests, request, problem)
    await conversations.drop_turn(store.conversations, request)
    try:
        await announce_again(bus, reference_to_request(request.id))
    except BusUnavailable:
        log.warning("request %s: that it is withheld is left to the sweep to tell", request.id)
