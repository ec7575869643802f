"""No way round the gates: of all the app's functions, only ``infer``, the checks (a model as judge) and the governors'
test of an endpoint can come to call a model, and they only through ``governed_call``; only ``ground`` and
``embed_chunks`` one that makes vectors, through ``governed_embeddings``; and every HTTP function checks who calls, but
for the one that says no more than that it was called.

What a function can come to call is taken from its code: every function or method of the product whose name occurs in
it, and so on from there. That is more than it does call, so nothing that it calls is missed, but for a name that is put
together at run time.
"""

import functools
import importlib
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

import function_app
from api.operation import OPERATIONS

PRODUCT = ("api", "pipeline", "guardrails", "routing", "governance", "services")
OURS = {
    *("ingest", "get_request", "cancel_request", "start", "answer_request"),
    *("list_conversations", "get_conversation", "delete_conversation"),
    *("chat_completions", "list_models", "get_model"),
    *("check_prompt", "ground", "infer", "check_answer", "record", "release"),
    *("write_audit", "rollup_costs", "reconcile_costs", "reset_caps", "sweep", "reconcile_audit"),
    *("list_assistants", "get_assistant", "get_me", "list_switches", "get_switch", "put_switch", "get_openapi"),
    *("get_own_trail", "get_trail", "export_own_table", "export_own_lines", "export_table", "export_lines"),
    *("list_caps", "get_cap", "put_cap", "reset_cap", "get_costs", "get_costs_table"),
    *("list_drafts", "create_assistant", "get_draft", "put_draft", "list_versions"),
    *("publish_assistant", "restore_assistant", "retire_assistant"),
    *("list_collections", "create_collection", "get_collection", "put_collection"),
    *("list_documents", "get_document", "add_document", "add_version", "delete_document"),
    *("start_indexing", "index_document", "read_document", "embed_chunks", "swap_in_document", "fail_document"),
    *("set_reaction", "get_feedback", "report_request", "send_alert"),
    *("list_escalations", "get_escalation", "acknowledge_escalation", "assign_escalation", "comment_escalation"),
    *("stop_escalated", "open_incident", "resolve_escalation", "get_escalation_rules", "put_escalation_rules"),
    *("list_teams", "put_team", "remove_team", "list_roles", "put_role"),
    *("list_policies", "get_policy", "get_policy_version", "put_policy", "try_policy"),
    *("list_endpoints", "get_endpoint", "put_endpoint", "try_endpoint", "list_routes", "get_route", "put_route"),
    *("list_dead_letters", "redrive_dead_letters"),
    *("list_notices", "publish_notice", "withdraw_notice"),
    *("list_grants", "open_grant", "close_grant"),
    *("get_alive", "get_health", "get_versions", "get_configuration", "get_queues", "get_errors"),
}
WITHOUT_A_GATE = {"get_alive"}
DURABLES_OWN = {"BuiltIn__HttpActivity", "BuiltIn__HttpPollOrchestrator"}
"""What Durable adds to every app, for orchestrators that make HTTP calls; ours asks for neither."""

STAGES_CALLING = {"check_prompt", "infer", "check_answer"}
EMBEDDING = {"ground", "embed_chunks"}
CALLING = STAGES_CALLING | {"try_endpoint"}
"""Those that can lead to a call of a model, for an answer or for vectors. What becomes of each when stopped or capped:
tests/e2e/test_stop.py, of ``embed_chunks`` test_documents.py, and of the last test_endpoints.py."""

COMPLETE = "routing.providers.openai_api.OpenAIApi.complete"
"""And of Anthropic's, which is called by the same name."""

HANDED_IN = frozenset({"Detectors"})
"""Classes whose methods are called through an interface (``guardrails.topics.Remote``), by whoever is handed one."""


def modules() -> Iterator[ModuleType]:
    for package in PRODUCT:
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            yield importlib.import_module(found.name)


def functions_in(module: ModuleType) -> Iterator[FunctionType]:
    """Those that are defined there, methods and properties included, and what decorators made of them."""
    for thing in vars(module).values():
        if inspect.isclass(thing) and thing.__module__ == module.__name__:
            for member in vars(thing).values():
                function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
                if inspect.isfunction(function):
                    yield function
        elif inspect.isfunction(thing) and thing.__module__ == module.__name__:
            yield thing


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


class Calls:
    """Who can come to call what."""

    def __init__(self) -> None:
        self._named: dict[str, set[FunctionType]] = defaultdict(set)
        for module in modules():
            for function in functions_in(module):
                self._named[function.__name__].add(function)
                if function.__name__ in ("__init__", "__post_init__", "__call__"):
                    self._named[function.__qualname__.partition(".")[0]].add(function)

    def reachable(self, function: Callable[..., Any]) -> set[str]:
        """By their full names. What is handed in counts for those who make it, not for all who are handed something."""
        without = self._reached(function, HANDED_IN)
        made = {name for each in without for name in names_in(each.__code__)} & HANDED_IN
        return {f"{each.__module__}.{each.__qualname__}" for each in self._reached(function, HANDED_IN - made)}

    def _reached(self, function: Callable[..., Any], left_out: frozenset[str]) -> set[FunctionType]:
        reached: set[FunctionType] = set()
        waiting: list[Any] = [function]
        while waiting:
            each = waiting.pop()
            if not inspect.isfunction(each) or each in reached or each.__qualname__.partition(".")[0] in left_out:
                continue
            reached.add(each)
            waiting += self._wrapped_by(each)
            if each.__module__.partition(".")[0] in (*PRODUCT, __name__.partition(".")[0]):
                waiting += [called for name in names_in(each.__code__) for called in self._named.get(name, ())]
        return reached

    def _wrapped_by(self, function: FunctionType) -> Iterator[Any]:
        yield getattr(function, "__wrapped__", None)
        yield getattr(function, "orchestrator_function", None)
        for cell in function.__closure__ or ():
            yield cell.cell_contents


@pytest.fixture(scope="module")
def calls() -> Calls:
    return Calls()


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    return app_functions()


@functools.cache
def app_functions() -> dict[str, Any]:
    """The app's functions, by name. (The library hands them out once a process.)"""
    return {str(function.get_function_name()): function for function in function_app.app.get_functions()}


def reaching(calls: Calls, functions: dict[str, Any], target: str) -> set[str]:
    return {name for name, each in functions.items() if target in calls.reachable(each.get_user_function())}


def test_when_the_app_is_loaded_then_these_are_its_functions(functions: dict[str, Any]) -> None:
    assert functions.keys() == OURS | DURABLES_OWN


@pytest.mark.claim("K3", "C1")
def test_when_functions_are_followed_then_only_infer_and_judges_come_to_a_model_and_through_governed_call(
    calls: Calls, functions: dict[str, Any]
) -> None:
    assert reaching(calls, functions, "routing.governed_call.governed_call") == CALLING
    assert reaching(calls, functions, "routing.governed_call.governed_embeddings") == EMBEDDING
    assert reaching(calls, functions, COMPLETE) == CALLING | EMBEDDING  # by their names, for the way is the same
    assert reaching(calls, functions, COMPLETE.replace(".complete", ".embed")) == CALLING | EMBEDDING


@pytest.mark.claim("I1")
def test_when_functions_are_followed_then_every_http_function_checks_who_calls(
    calls: Calls, functions: dict[str, Any]
) -> None:
    http = {name for name, each in functions.items() if each.get_trigger().get_binding_name() == "httpTrigger"}
    assert http == OPERATIONS.keys() | WITHOUT_A_GATE
    for check in ("governance.identity.TokenChecker.check", "governance.access.access_of"):
        assert http - WITHOUT_A_GATE <= reaching(calls, functions, check)


@pytest.mark.claim("I1")
def test_when_a_function_has_no_gate_then_it_comes_to_nothing_that_there_is(
    calls: Calls, functions: dict[str, Any]
) -> None:
    for name in WITHOUT_A_GATE:
        assert calls.reachable(functions[name].get_user_function()) == {f"api.health.{name}"}


def test_when_the_governed_call_is_followed_then_every_gate_is_there(calls: Calls) -> None:
    from routing.governed_call import governed_call

    gates = calls.reachable(governed_call)
    assert gates >= {
        "governance.switches.check_switches",
        "governance.switches.require_fresh",
        "governance.switches.SwitchWatcher.watching",
        "governance.reservations.reserve",
        "governance.reservations.settle",
        "routing.endpoints.require_residency",
        "routing.endpoints.price_of",
        COMPLETE,
    }


# A route that goes round the gate, in ways that must be seen.


async def straight() -> None:
    from routing import providers

    await (await providers.provider_at(None, None)).complete(None)  # type: ignore[arg-type]


def in_disguise() -> Callable[..., Any]:
    hidden = straight

    async def innocent() -> None:
        await hidden()

    return innocent


@pytest.mark.parametrize("route", [straight, in_disguise()])
def test_when_a_function_goes_round_the_gate_then_it_is_seen(calls: Calls, route: Callable[..., Any]) -> None:
    assert COMPLETE in calls.reachable(route)
