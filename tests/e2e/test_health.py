"""Health: alive for whoever asks; ready, for those who look after the services, each of them for itself and in time."""

import time
from typing import Any

import pytest

from api.health import CHECK_SECONDS
from tests.e2e.asking import Asking
from tests.e2e.support import granted

READY = "/api/health/ready"
SERVICES = ("cosmos", "servicebus", "loganalytics", "entra", "graph", "blobs", "contentsafety")
OPERATIONS = {
    **{"servicebus": ("servicebus", "peek requests"), "loganalytics": ("loganalytics", "query")},
    **{"entra": ("entra", "jwks"), "graph": ("entra", "checkMemberGroups")},
    **{"blobs": ("blobs", "get"), "contentsafety": ("contentsafety", "analyze"), "cosmos": ("cosmos", "read control")},
}
"""By service: the stand-in and its operation that the check comes to."""


async def ready(asking: Asking, person: str = "ivan") -> tuple[int, Any, float]:
    """Status, body, and the seconds it took."""
    began = time.monotonic()
    reply = await asking.call("GET", READY, token=asking.stack.token(person))
    return reply.status, reply.body, time.monotonic() - began


def answering(body: Any) -> set[str]:
    return {each["service"] for each in body["checks"] if each["answers"]}


# -- alive


@pytest.mark.claim("I1")
async def test_when_anybody_asks_whether_it_lives_then_it_says_so_and_reads_nothing(asking: Asking) -> None:
    controls = {name: asking.stack.control(name) for name in ("entra", "blobs", "contentsafety")}
    before = {name: await control.counts() for name, control in controls.items()}
    replies = [
        await asking.call("GET", "/api/health", token=token)
        for token in (None, "no token at all", asking.stack.token("alice"), asking.stack.token("victor"))
    ]
    assert {(reply.status, reply.text) for reply in replies} == {(200, '{"status":"alive"}')}
    assert {name: await control.counts() for name, control in controls.items()} == before
    assert (await asking.call("POST", "/api/health", token=None)).status in (404, 405)


# -- ready


@pytest.mark.claim("P4")
async def test_when_everything_answers_then_each_service_is_told_with_how_long_it_took(asking: Asking) -> None:
    for person in ("ivan", "adam"):
        status, body, _ = await ready(asking, person)
        assert (status, body["ready"], body["platform_stopped"]) == (200, True, False)
        assert [each["service"] for each in body["checks"]] == list(SERVICES)
        assert {each["service"] for each in body["checks"] if each["needed"]} == {"cosmos", "servicebus"}
        assert all(each["answers"] and each["why"] == "" for each in body["checks"])
        assert all(0 <= each["ms"] < CHECK_SECONDS * 1000 for each in body["checks"])


@pytest.mark.claim("P4")
@pytest.mark.parametrize("service", SERVICES)
async def test_when_a_service_fails_then_it_is_told_of_and_hides_no_other(asking: Asking, service: str) -> None:
    standin, operation = OPERATIONS[service]
    async with asking.going_wrong(standin, {"operation": operation, "kind": "status", "status": 400}):
        status, body, _ = await ready(asking)
    assert answering(body) == set(SERVICES) - {service}
    failed = next(each for each in body["checks"] if each["service"] == service)
    assert failed["why"], "and why"
    assert "127.0.0.1" not in str(body)
    assert (status, body["ready"]) == (200, not failed["needed"])
    if service == "cosmos":
        assert body["platform_stopped"] is None, "nobody knows"


@pytest.mark.claim("P4")
@pytest.mark.parametrize("service", SERVICES)
async def test_when_a_service_hangs_then_that_is_told_in_time_and_hides_no_other(asking: Asking, service: str) -> None:
    standin, operation = OPERATIONS[service]
    late = {"operation": operation, "kind": "delay", "seconds": CHECK_SECONDS + 3, "times": 1}
    async with asking.going_wrong(standin, late):
        _, body, seconds = await ready(asking)
    assert answering(body) == set(SERVICES) - {service}
    hung = next(each for each in body["checks"] if each["service"] == service)
    assert hung["ms"] <= CHECK_SECONDS * 1000
    assert seconds < CHECK_SECONDS + 2


async def test_when_the_platform_is_stopped_then_readiness_says_so(asking: Asking) -> None:
    async with asking.stopped("platform", "a drill"):
        status, body, _ = await ready(asking)
    assert (status, body["ready"], body["platform_stopped"]) == (200, True, True)


@pytest.mark.claim("T2", "I5")
async def test_when_somebody_looks_after_nothing_then_they_are_told_nothing(asking: Asking) -> None:
    for person in ("alice", "gus", "audrey", "paula", "victor"):
        reply = await asking.call("GET", READY, token=asking.stack.token(person))
        reply.is_problem(403, "role-missing")
    async with granted(asking):
        assert (await ready(asking, "victor"))[0] == 200


@pytest.mark.claim("I1")
async def test_when_roles_cannot_be_read_then_nobody_is_told_more_than_that(asking: Asking) -> None:
    async with asking.going_wrong("cosmos", {"operation": "query config", "kind": "status"}):
        reply = await asking.call("GET", READY, token=asking.stack.token("ivan"))
        reply.is_problem(503, "not-available")
        assert (await asking.call("GET", "/api/health", token=None)).status == 200
