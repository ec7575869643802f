"""What the Functions host refuses when it loads an app, and what it reads from host.json."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.host import hostjson, http
from local.host.hostjson import HostJson, Refused, resolved
from local.host.http import Route
from local.host.protos import RpcFunctionMetadata
from local.host.pump import Pump
from local.host.timers import Timers
from local.host.worker import Function, Worker
from local.standin import Control


def function(*bindings: dict[str, Any], retry: Any = None) -> Function:
    raw = [json.dumps({"name": "x", **binding}) for binding in bindings]
    return Function.of(RpcFunctionMetadata(name="f", function_id="1", raw_bindings=raw, retry_options=retry))


def route(template: str | None, prefix: str = "api", **more: Any) -> Route:
    return Route.of(function({"type": "httpTrigger", "authLevel": "ANONYMOUS", "route": template, **more}), prefix)


def host_json(folder: Path, **content: Any) -> HostJson:
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **content}))
    return HostJson.read(folder)


@pytest.fixture
def worker() -> Worker:
    return Worker(Control(), None)


@pytest.mark.parametrize("kind", ["entityTrigger", "blobTrigger", "serviceBus", "queue"])
def test_when_a_binding_is_not_served_then_the_app_is_refused(kind: str) -> None:
    with pytest.raises(Refused, match=kind):
        function({"type": "timerTrigger"}, {"type": kind})


def test_when_a_function_has_a_retry_policy_then_the_app_is_refused() -> None:
    with pytest.raises(Refused, match="retry"):
        function({"type": "timerTrigger"}, retry={"max_retry_count": 3})


@pytest.mark.parametrize("template", ["a/{id:guid}", "a/{id?}", "{*rest}", "a/{id}.txt", "a/x{id}"])
def test_when_a_route_is_more_than_literals_and_parameters_then_it_is_refused(template: str) -> None:
    with pytest.raises(Refused, match="route"):
        route(template)


@pytest.mark.parametrize("level", ["function", "ADMIN", None])
def test_when_a_function_asks_for_keys_then_it_is_refused(level: str | None) -> None:
    with pytest.raises(Refused, match="only anonymous"):
        route("a", authLevel=level)


def test_when_a_route_is_the_hosts_own_then_it_is_refused() -> None:
    with pytest.raises(Refused, match="host's own"):
        route("Admin/users", prefix="")


def test_when_two_functions_have_the_same_route_then_the_app_is_refused(worker: Worker) -> None:
    same = [
        function({"type": "httpTrigger", "authLevel": "anonymous", "route": f"a/{{{name}}}", "methods": methods})
        for name, methods in (("one", ["GET", "POST"]), ("other", ["POST"]))
    ]
    with pytest.raises(Refused, match="same"):
        http.application(worker, same, "api")


def test_when_a_function_has_no_route_then_its_name_is_its_route() -> None:
    assert route(None).match("PUT", ["API", "F"]) == {}


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ({"queueName": "q", "connection": "BUS", "isSessionsEnabled": True}, "sessions"),
        ({"topicName": "t", "subscriptionName": "s", "connection": "BUS"}, "topics"),
        ({"queueName": "q", "connection": "NOT_SET"}, "NOT_SET__fullyQualifiedNamespace"),
        ({"queueName": "%NOT_SET%", "connection": "BUS"}, "NOT_SET"),
    ],
)
def test_when_a_queue_trigger_is_not_served_then_it_is_refused(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, trigger: dict[str, Any], reason: str
) -> None:
    monkeypatch.setenv("BUS__fullyQualifiedNamespace", "x.servicebus.windows.net")
    with pytest.raises(Refused, match=reason):
        Pump(worker, function({"type": "serviceBusTrigger", **trigger}), hostjson.ServiceBus())


def test_when_a_schedule_is_none_then_it_is_refused(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="six fields"):
        Timers(worker, [function({"type": "timerTrigger", "schedule": "00:05:00"})], tmp_path)


def test_when_app_settings_are_named_then_they_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "queue")
    assert resolved("a-%NAME%-b") == "a-queue-b"
    with pytest.raises(Refused, match="OTHER"):
        resolved("%OTHER%")


def test_when_host_json_says_nothing_then_azures_defaults_hold(tmp_path: Path) -> None:
    settings = host_json(tmp_path).extensions
    assert settings.http.route_prefix == "api"
    assert settings.service_bus.max_concurrent_calls == 16
    assert settings.service_bus.max_auto_lock_renewal_duration == timedelta(minutes=5)


def test_when_host_json_sets_something_then_it_holds(tmp_path: Path) -> None:
    extensions = {"http": {"routePrefix": ""}, "serviceBus": {"maxAutoLockRenewalDuration": "1.02:03:04"}}
    settings = host_json(tmp_path, extensions=extensions, logging={"logLevel": {}}).extensions
    assert settings.http.route_prefix == ""
    assert settings.service_bus.max_auto_lock_renewal_duration == timedelta(days=1, hours=2, minutes=3, seconds=4)


@pytest.mark.parametrize(
    "content",
    [
        {"version": "1.0"},
        {"somethingElse": True},
        {"extensions": {"serviceBus": {"autoCompleteMessages": False}}},
        {"extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "5 minutes"}}},
        {"extensions": {"http": {"customHeaders": {}}}},
        {"extensions": {"queues": {}}},
    ],
)
def test_when_host_json_sets_what_is_not_served_then_it_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"host\.json"):
        host_json(tmp_path, **content)


def test_when_there_is_no_host_json_then_the_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"host\.json"):
        HostJson.read(tmp_path)
