"""Model endpoints and routes through the API: configured by governors, swapped between two questions, tried."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.seed import published
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually
from tests.e2e.talk import Talk

TERMS = {"no_training": True, "retention_days": 0, "reference": "DPA 2026-4"}
PRICES = [{"from": "2024-01-01", "currency": "EUR", "input_micro": 150_000, "output_micro": 600_000}]
PLACES = {
    "azure-openai": {"path": "/openai/v1/", "residency": "azure", "region": "swedencentral"},
    "anthropic": {"path": "", "residency": "external", "region": "us", "secret": "MODEL_SECRET_LOCAL"},
    "openai-compatible": {"path": "/v1", "residency": "self-hosted", "region": "our cellar"},
}
WHO = {
    "azure-openai": ("azure-openai", "large", "swedencentral", "azure"),
    "anthropic": ("anthropic", "large", "us", "external"),
    "openai-compatible": ("openai-compatible", "large", "our cellar", "self-hosted"),
}
"""Provider, model, region and residency, as the trail has them."""


class Board:
    """Gus of the governance board, with a workload of his own and an assistant that uses it."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.name = f"swap-{secrets.token_hex(4)}"

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        return await self.asking.call(method, path, token=self.asking.stack.token("gus"), **options)

    def settings(self, provider: str, **other: Any) -> dict[str, Any]:
        """Of an endpoint at the stack's models, as if they were that provider's."""
        place = dict(PLACES[provider])
        url = self.asking.stack.standins["models"].url + place.pop("path")
        limits = {"context_tokens": 8000, "output_tokens": 1000}
        known = {"provider": provider, "base_url": url, "model": "large", "contract": TERMS, "prices": PRICES}
        return {**known, **limits, **place, **other}

    async def put(self, path: str, **body: Any) -> Reply:
        """In place of whatever is there."""
        there = await self.call("GET", path)
        headers = {"If-None-Match": "*"} if there.status == 404 else {"If-Match": there.headers["Etag"]}
        return await self.call("PUT", path, json={"reason": "a test", **body}, headers=headers)

    async def endpoint(self, provider: str, endpoint_id: str = "", **other: Any) -> Reply:
        reason = other.pop("reason", "a test")
        path = f"/api/endpoints/{endpoint_id or self.name}"
        return await self.put(path, settings=self.settings(provider, **other), reason=reason)

    async def route(self, *endpoints: str) -> Reply:
        return await self.put(f"/api/routes/{self.name}", endpoints=list(endpoints))

    async def tried(self, **body: Any) -> Reply:
        asked = {"team": "sales", "reason": "is it there?", **body}
        return await self.call("POST", f"/api/endpoints/{self.name}/test", json=asked)

    async def agreed(self) -> bool:
        """What others asked meanwhile may still be on its way to the trail."""
        assert await self.asking.kit.differences() == []
        return True

    async def ask(self) -> Reply:
        return await self.asking.ask("What makes a good offer?", assistant=self.name)


@pytest_asyncio.fixture(loop_scope="session")
async def board(asking: Asking, request: pytest.FixtureRequest) -> AsyncIterator[Board]:
    """Its assistant must be answered in Azure, if the test says so."""
    made, config = Board(asking), asking.kit.store.config
    settings = {
        **{"name": "Swapped", "description": "", "system_prompt": "Be brief.", "route": made.name},
        **{"temperature": 0, "max_output_tokens": 80, "audience": "everyone", "owner_team": "sales"},
        **{"policies": ["standard"], "residency": getattr(request, "param", "any")},
    }
    documents = published(made.name, 1, settings)
    for document in documents:
        await config.create(document)
    yield made
    for document in documents:
        await config.batch(document["kind"], [("delete", (document["id"],))])
    for kind in ("endpoint", "route"):
        for item_id in (made.name, f"{made.name}-2"):
            if await config.read(item_id, kind) is not None:
                await config.batch(kind, [("delete", (item_id,))])


# -- swapped by configuration


@pytest.mark.claim("T4", "M1", "M2", "M3", "M5")
async def test_when_the_model_behind_a_workload_is_swapped_then_the_next_answer_is_from_there_and_nothing_else_changes(
    board: Board,
) -> None:
    talk = Talk(board.asking, assistant=board.name)
    for n, (provider, who) in enumerate(WHO.items()):
        assert (await board.endpoint(provider)).status == 200
        if n == 0:
            assert (await board.route(board.name)).status == 200
        answer = await talk.say("What makes a good offer?")
        assert "What makes a good offer?" in answer["answer"]
        assert answer["assistant"] == {"id": board.name, "version": 1}
        said = [message for message in await talk.told_the_model() if message["role"] != "system"]
        assert len(said) == 2 * n + 1, "whoever answers hears what the others said"
        event = await board.asking.audited(answer["request_id"])
        assert event["Conversation"] == talk.id
        assert (event["Provider"], event["Model"], event["Region"], event["Residency"]) == who
        (attempt,) = json.loads(event["Attempts"])
        assert (attempt["endpoint"], attempt["provider"], attempt["outcome"]) == (board.name, provider, "answered")
        assert attempt["cost_micro"] == event["CostMicro"] == answer["cost"]["micro_units"] > 0


@pytest.mark.claim("M4", "A1", "A3")
async def test_when_the_first_endpoint_of_a_route_fails_then_the_next_answers_and_the_trail_shows_both(
    board: Board,
) -> None:
    second = f"{board.name}-2"
    await board.endpoint("azure-openai")
    await board.endpoint("anthropic", second)
    await board.route(board.name, second)
    busy = {"operation": "azure-chat", "kind": "status", "status": 429, "seconds": 30}
    async with board.asking.going_wrong("models", busy):
        reply = await board.ask()
    assert (reply.status, reply.body["model"]["endpoint"]) == (200, second)
    event = await board.asking.audited(reply.body["request_id"])
    assert (event["Outcome"], event["Endpoint"], event["Provider"]) == ("answered", second, "anthropic")
    attempts = [(each["endpoint"], each["outcome"], each["state"]) for each in json.loads(event["Attempts"])]
    assert attempts == [(board.name, "status 429", "released"), (second, "answered", "settled")]


@pytest.mark.claim("M4")
async def test_when_the_model_declines_then_422_and_no_other_is_asked(board: Board) -> None:
    await board.endpoint("azure-openai")
    await board.endpoint("anthropic", f"{board.name}-2")
    await board.route(board.name, f"{board.name}-2")
    before = await board.asking.kit.model_calls()
    async with board.asking.scripted("", refusal="content_filter"):
        reply = await board.ask()
    problem = reply.is_problem(422, "model-declined")
    assert await board.asking.kit.model_calls() == before + 1
    event = await board.asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Reason"]) == ("refused", "model-declined")


@pytest.mark.claim("M6")
@pytest.mark.parametrize("board", ["azure"], indirect=True)
async def test_when_an_assistant_requires_azure_then_swapping_its_model_to_elsewhere_stops_it(board: Board) -> None:
    await board.endpoint("azure-openai")
    await board.route(board.name)
    assert (await board.ask()).status == 200
    for provider in ("anthropic", "openai-compatible"):
        await board.endpoint(provider)
        async with board.asking.no_model_call():
            (await board.ask()).is_problem(403, "residency-refused")


@pytest.mark.claim("M1")
async def test_when_a_token_is_not_for_azures_models_then_the_stand_in_does_not_take_it(asking: Asking) -> None:
    """So the answers above came by the app's own identity."""
    url = f"{asking.stack.standins['models'].url}/openai/v1/chat/completions"
    body = {"model": "large", "messages": [{"role": "user", "content": "Hello"}]}
    for shown in (f"Bearer {asking.stack.token('alice')}", "Bearer any", ""):
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, json=body, headers={"Authorization": shown}) as answer,
        ):
            assert answer.status == 401


# -- configured by governors


@pytest.mark.claim("A3", "T4")
async def test_when_a_governor_changes_an_endpoint_or_a_route_then_the_trail_has_what_was_and_what_is(
    board: Board,
) -> None:
    saved = await board.endpoint("azure-openai", reason=f"{board.name} begins")
    assert saved.status == 200
    assert saved.body == {
        **board.settings("azure-openai"),
        **{"id": board.name, "secret": None, "takes_temperature": True},
        "prices": [{**PRICES[0], "from": "2024-01-01T00:00:00.000000Z", "cached_input_micro": None}],
    }
    await board.endpoint("anthropic", reason=f"{board.name} changes")
    read = await board.call("GET", f"/api/endpoints/{board.name}")
    assert (read.body["provider"], read.body["secret"]) == ("anthropic", "MODEL_SECRET_LOCAL")
    assert read.body in (await board.call("GET", "/api/endpoints")).body["endpoints"]
    event = await board.asking.trail(f"EventType == 'endpoint.set' and Reason == '{board.name} changes'")
    assert (event["Actor"], event["Target"]) == (str(board.asking.stack.person("gus").oid), f"endpoint:{board.name}")
    before, after = json.loads(event["Before"]), json.loads(event["After"])
    assert (before["provider"], after["provider"]) == ("azure-openai", "anthropic")
    assert (before["contract"], after["prices"][0]["input_micro"]) == (TERMS, 150_000)

    await board.route(board.name)
    await board.endpoint("azure-openai", f"{board.name}-2")
    assert (await board.route(f"{board.name}-2", board.name)).status == 200
    routes = (await board.call("GET", "/api/routes")).body["routes"]
    assert {"id": board.name, "endpoints": [f"{board.name}-2", board.name]} in routes
    condition = f"EventType == 'route.set' and Target == 'route:{board.name}' and Before contains 'endpoints'"
    event = await board.asking.trail(condition)
    assert json.loads(event["Before"]) == {"endpoints": [board.name]}
    assert json.loads(event["After"]) == {"endpoints": [f"{board.name}-2", board.name]}


async def test_when_an_endpoint_or_route_is_not_as_it_was_read_then_it_is_not_changed(board: Board) -> None:
    await board.endpoint("azure-openai")
    await board.route(board.name)
    endpoint = {"reason": "a test", "settings": board.settings("anthropic")}
    for path, body in (("endpoints", endpoint), ("routes", {"reason": "a test", "endpoints": ["own-model"]})):
        for headers, status, problem in (
            ({"If-Match": '"old"'}, 412, "outdated"),
            ({"If-None-Match": "*"}, 412, "outdated"),
            ({}, 428, "precondition-required"),
        ):
            reply = await board.call("PUT", f"/api/{path}/{board.name}", json=body, headers=headers)
            reply.is_problem(status, problem)
    assert (await board.call("GET", f"/api/endpoints/{board.name}")).body["provider"] == "azure-openai"
    assert (await board.call("GET", f"/api/routes/{board.name}")).body["endpoints"] == [board.name]


@pytest.mark.claim("T4", "M6")
@pytest.mark.parametrize(
    ("provider", "wrong", "detail"),
    [
        ("azure-openai", {"base_url": "https://openai.azure.com.example/openai/v1/"}, "address is not azures"),
        ("anthropic", {"residency": "azure"}, "provider is not there"),
        ("anthropic", {"secret": None}, "provider takes a secret or none"),
        ("anthropic", {"secret": "REDACTION_KEY"}, "string pattern mismatch"),
        ("anthropic", {"base_url": "http://api.example"}, "address is not https"),
        ("openai-compatible", {"contract": {"no_training": True}}, "missing"),
    ],
    ids=str,
)
async def test_when_an_endpoint_is_not_to_be_trusted_then_the_governor_is_told_why(
    board: Board, provider: str, wrong: dict[str, Any], detail: str
) -> None:
    reply = await board.endpoint(provider, **wrong)
    assert detail in reply.is_problem(400, "malformed")["detail"]
    (await board.call("GET", f"/api/endpoints/{board.name}")).is_problem(404, "not-found")


async def test_when_something_is_not_there_then_it_cannot_be_used(board: Board) -> None:
    missing = await board.endpoint("anthropic", secret="MODEL_SECRET_NOBODY_SET")
    assert "MODEL_SECRET_NOBODY_SET" in missing.is_problem(409, "conflict")["detail"]
    assert "endpoint nothing" in (await board.route("nothing")).is_problem(409, "conflict")["detail"]
    for path in ("endpoints", "routes"):
        event = await board.asking.kit.store.config.query(
            "SELECT * FROM c WHERE IS_DEFINED(c.audit)", partition=path.removesuffix("s")
        ).__anext__()
        for item_id in ("nothing", event["id"]):
            (await board.call("GET", f"/api/{path}/{item_id}")).is_problem(404, "not-found")
    put = await board.call(
        "PUT",
        "/api/routes/Not%20an%20id",
        json={"reason": "a test", "endpoints": ["own-model"]},
        headers={"If-None-Match": "*"},
    )
    put.is_problem(404, "not-found")


# -- tried


@pytest.mark.claim("A3", "C1", "T4")
@pytest.mark.parametrize("provider", sorted(PLACES))
async def test_when_an_endpoint_is_tried_then_the_team_is_charged_and_what_the_model_said_is_shown_to_nobody(
    board: Board, provider: str
) -> None:
    await board.endpoint(provider)
    before = await board.asking.kit.cap()
    async with board.asking.scripted("Ready, whatever.", usage={"prompt_tokens": 40, "completion_tokens": 5}):
        reply = await board.tried(reason=f"{board.name} is tried")
    assert reply.status == 200, reply.text
    assert reply.body | {"milliseconds": 0} == {
        **{"endpoint": board.name, "model": "large", "finish_reason": "stop", "input_tokens": 40, "output_tokens": 5},
        **{"cost_micro": 9, "currency": "EUR", "milliseconds": 0},
    }
    assert (await board.asking.kit.cap())["spent_micro"] == before["spent_micro"] + 9
    event = await board.asking.trail(f"EventType == 'endpoint.test' and Reason == '{board.name} is tried'")
    assert (event["Outcome"], event["Team"], event["Endpoint"]) == ("done", "sales", board.name)
    assert (event["CostMicro"], event["Currency"], event["Answer"]) == (9, "EUR", "")
    assert [each["outcome"] for each in json.loads(event["Attempts"])] == ["answered"]
    assert await eventually(board.agreed), "ledger, sums and trail"


@pytest.mark.claim("K2", "K3")
async def test_when_the_platform_is_stopped_then_no_endpoint_can_be_tried(board: Board) -> None:
    await board.endpoint("azure-openai")
    async with board.asking.stopped("platform", "a drill"), board.asking.no_model_call():
        (await board.tried(reason=f"{board.name} is stopped")).is_problem(423, "stopped")
    event = await board.asking.trail(f"EventType == 'endpoint.test' and Reason == '{board.name} is stopped'")
    assert (event["Outcome"], json.loads(event["After"]), event["CostMicro"]) == ("stopped", {"problem": "stopped"}, 0)


@pytest.mark.claim("K2", "K3")
async def test_when_the_platform_is_stopped_while_an_endpoint_is_tried_then_the_call_is_cancelled(board: Board) -> None:
    await board.endpoint("azure-openai")
    before = await board.asking.kit.model_calls()

    async def called() -> None:
        assert await board.asking.kit.model_calls() > before

    async with board.asking.going_wrong("models", {"operation": "azure-chat", "kind": "delay", "seconds": 30}):
        trying = asyncio.create_task(board.tried(reason=f"{board.name} hangs"))
        await eventually(called)
        async with board.asking.stopped("platform", "a drill"):
            (await trying).is_problem(423, "stopped")
    event = await board.asking.trail(f"EventType == 'endpoint.test' and Reason == '{board.name} hangs'")
    assert event["Outcome"] == "stopped"
    assert [each["outcome"] for each in json.loads(event["Attempts"])] == ["cancelled"]


@pytest.mark.claim("C1", "C3")
async def test_when_a_team_is_at_its_cap_or_a_price_is_not_known_then_no_endpoint_can_be_tried(board: Board) -> None:
    await board.endpoint("azure-openai")
    async with board.asking.no_model_call():
        (await board.tried(team="finance")).is_problem(402, "team-cap-reached")
        (await board.tried(team="nobody")).is_problem(503, "not-available")
        await board.endpoint("azure-openai", prices=[])
        (await board.tried()).is_problem(503, "not-available")


async def test_when_an_endpoint_fails_its_try_then_that_is_told_and_in_the_trail(board: Board) -> None:
    await board.endpoint("azure-openai")
    async with board.asking.going_wrong("models", {"operation": "azure-chat", "kind": "status", "status": 404}):
        problem = (await board.tried(reason=f"{board.name} fails")).is_problem(502, "model-failed")
    assert problem["attempts"] == ["status 404"]
    event = await board.asking.trail(f"EventType == 'endpoint.test' and Reason == '{board.name} fails'")
    assert event["Outcome"] == "failed"
    assert [each["outcome"] for each in json.loads(event["Attempts"])] == ["status 404"]
