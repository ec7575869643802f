"""The Content Safety stand-in against Microsoft's own package, for as much of the service as that knows, and against
whoever sends what the service does not take."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.ai.contentsafety.aio import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions, TextCategory
from azure.core.exceptions import HttpResponseError

from local.control import ControlClient
from local.tls import Certificates
from services.content_safety import ContentSafety
from tests.stack.contentsafety_kit import DAN, SAFE, SECRET, Service, unavailable
from tests.stack.contentsafety_kit import sdk as sdk
from tests.stack.contentsafety_kit import service as service
from tests.stack.cosmos_kit import certificates as certificates

ANALYZE, SHIELD_PROMPT = (f"/contentsafety/text:{name}?api-version=2024-09-01" for name in ("analyze", "shieldPrompt"))


async def test_when_some_categories_are_asked_about_then_microsofts_client_is_told_of_these_alone(
    sdk: ContentSafetyClient,
) -> None:
    asked = AnalyzeTextOptions(text="murder", categories=[TextCategory.VIOLENCE], output_type="FourSeverityLevels")
    (only,) = (await sdk.analyze_text(asked)).categories_analysis
    assert (only.category, only.severity) == ("Violence", 4)


@pytest.mark.parametrize("path", [ANALYZE, SHIELD_PROMPT])
async def test_when_a_call_has_a_key_in_place_of_a_token_then_it_is_refused(service: Service, path: str) -> None:
    headers = {"Ocp-Apim-Subscription-Key": "0" * 32}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(service.url + path, json={"text": "hello"}, ssl=False) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANALYZE, b""),
        (ANALYZE, b"not JSON"),
        (ANALYZE, []),
        (ANALYZE, {}),
        (ANALYZE, {"text": None}),
        (ANALYZE, {"text": 1}),
        (ANALYZE, {"text": ""}),
        (ANALYZE, {"text": "x" * 10_001}),
        (ANALYZE, {"text": "🦜" * 10_001}),
        (ANALYZE, {"text": "\ud83e"}),
        (ANALYZE, {"text": "hello", "categories": ["Rudeness"]}),
        (ANALYZE, {"text": "hello", "outputType": "EightSeverityLevels"}),
        (ANALYZE, {"text": "hello", "blocklistNames": ["ours"]}),
        (SHIELD_PROMPT, b"not JSON"),
        (SHIELD_PROMPT, {}),
        (SHIELD_PROMPT, {"userPrompt": "", "documents": []}),
        (SHIELD_PROMPT, {"userPrompt": "x" * 10_001}),
        (SHIELD_PROMPT, {"documents": "hello"}),
        (SHIELD_PROMPT, {"documents": [1]}),
        (SHIELD_PROMPT, {"documents": ["hello"] * 6}),
        (SHIELD_PROMPT, {"userPrompt": "hello", "documents": ["x" * 5_000, "x" * 5_001]}),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_when_a_body_is_not_as_the_service_takes_it_then_it_is_refused(
    service: Service, path: str, body: object
) -> None:
    assert await service.post(path, body) == (400, "InvalidRequestBody")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ANALYZE, {"text": "🦜" * 10_000}),
        (SHIELD_PROMPT, {"userPrompt": "x" * 10_000, "documents": ["🦜" * 2_000] * 5}),
        (SHIELD_PROMPT, {"documents": ["hello"]}),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_when_a_body_is_at_the_limits_then_it_is_taken(service: Service, path: str, body: object) -> None:
    assert await service.post(path, body) == (200, "")


async def test_when_microsofts_client_sends_too_much_then_it_is_told_as_by_the_service(
    sdk: ContentSafetyClient,
) -> None:
    with pytest.raises(HttpResponseError) as error:
        await sdk.analyze_text(AnalyzeTextOptions(text="x" * 10_001))
    assert error.value.status_code == 400
    assert error.value.error is not None
    assert error.value.error.code == "InvalidRequestBody"


async def test_when_it_is_asked_for_something_else_then_it_is_refused_and_counted(service: Service) -> None:
    for query in ("", "?api-version=2023-10-01", "?api-version=2024-09-15-preview"):
        assert await service.post(f"/contentsafety/text:analyze{query}", {"text": "hello"}) == (
            400,
            "UnsupportedApiVersionValue",
        )
    assert await service.post("/contentsafety/image:analyze?api-version=2024-09-01", {}) == (404, "NotServed")
    assert service.control.counts == {"analyze": 3, "refused": 1}


@pytest.mark.parametrize(
    "line",
    [
        {"match": "("},
        {"match": "tea"},
        {"match": "tea", "attack": False},
        {"match": "tea", "categories": {"Violence": 5}},
        {"match": "tea", "categories": {"Rudeness": 2}},
        {"attack": True},
    ],
    ids=str,
)
async def test_when_a_script_is_malformed_then_it_is_refused_and_the_one_before_stays(
    service: Service, line: dict[str, Any]
) -> None:
    await service.script({"match": "coffee", "attack": True})
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await service.script(line)
    assert (await service.safety.shield("coffee")).prompt
    await service.script()
    assert not (await service.safety.shield("coffee")).prompt
    assert (await service.safety.shield(DAN)).prompt


async def test_when_it_runs_as_a_process_then_it_serves_logs_no_text_and_stops_when_told(
    service: Service, certificates: Certificates
) -> None:
    options = ["--tls", str(certificates.server), "--authority", service.entra.authority]
    command = [sys.executable, "-m", "local.contentsafety", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    control = ControlClient(ready["control"])
    async with ContentSafety(ready["url"], service.identity, **service.transport) as safety:
        assert await safety.severities(f"murder by {SECRET}") == SAFE | {"Violence": 4}
        await control.faults([{"operation": "shield*", "kind": "status", "status": 500}])
        await unavailable(safety, "shieldPrompt", SECRET)
    assert await control.counts() == {"analyze": 1, "shieldPrompt": 1}
    assert SECRET not in await control.dump()
    process.terminate()
    output, errors = await process.communicate()
    assert process.returncode == 0
    assert b"answered 500 Injected" in errors
    assert SECRET.encode() not in output + errors


async def test_when_it_is_to_keep_data_then_it_does_not_start(certificates: Certificates, tmp_path: Path) -> None:
    options = ["--tls", str(certificates.server), "--authority", "https://localhost/tenant", "--data", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.contentsafety", *options, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert (process.returncode, errors.strip()) == (1, b"--data: there is nothing to keep; the script lives in memory")
