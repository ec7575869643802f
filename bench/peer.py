"""LiteLLM's proxy with its Presidio guardrail and a budget, to be measured beside: ``running`` starts and stops it.

Two services are its own interpreter's and this project's: the proxy (``litellm[proxy]``), and what its guardrail asks,
``python -m bench.peer PORT``, which is Presidio's analyzer as it comes, with spaCy's small English model, behind the
two routes that the guardrail calls. The placeholders are put in here: Presidio's anonymizer takes 0.1 ms more.
"""

import asyncio
import json
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.pii import presidio_engine

KEY = "sk-bench"
MODEL = "governed"
START_SECONDS = 180.0


@dataclass(frozen=True)
class Peer:
    url: str
    pids: tuple[int, ...]


def configuration(models_url: str, presidio_url: str) -> dict[str, Any]:
    """The proxy's: one model, its retries off, what Presidio finds is masked, and a budget of a million dollars."""
    price = {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07}
    served = {"model": "openai/scripted", "api_base": f"{models_url}/v1", "api_key": "any", **price}
    guardrail = {
        "guardrail": "presidio",
        "mode": "pre_call",
        "default_on": True,
        "presidio_analyzer_api_base": presidio_url,
        "presidio_anonymizer_api_base": presidio_url,
        "presidio_language": "en",
        "pii_entities_config": dict.fromkeys(("EMAIL_ADDRESS", "PHONE_NUMBER", "PERSON"), "MASK"),
    }
    return {
        "model_list": [
            {"model_name": MODEL, "litellm_params": {**served, "max_budget": 1e6, "budget_duration": "30d"}}
        ],
        "litellm_settings": {"telemetry": False, "num_retries": 0, "request_timeout": 60},
        "general_settings": {"master_key": KEY},
        "guardrails": [{"guardrail_name": "presidio", "litellm_params": guardrail}],
    }


@asynccontextmanager
async def running(python: str, models_url: str) -> AsyncIterator[Peer]:
    """The proxy of that interpreter before that model. Raises TimeoutError if it does not come up."""
    ports = free_port(), free_port()
    proxy_url, presidio_url = (f"http://127.0.0.1:{port}" for port in ports)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(json.dumps(configuration(models_url, presidio_url)))  # JSON is YAML
        litellm = str(Path(python).parent / "litellm")
        commands = (
            (sys.executable, "-m", "bench.peer", str(ports[1])),
            (litellm, "--config", str(config), "--host", "127.0.0.1", "--port", str(ports[0])),
        )
        with (Path(folder) / "log").open("wb") as log:
            processes = [await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log) for command in commands]
            try:
                async with asyncio.timeout(START_SECONDS):
                    await _answers(f"{presidio_url}/health")
                    await _answers(f"{proxy_url}/health/liveliness")
                yield Peer(proxy_url, tuple(process.pid for process in processes))
            finally:
                for process in processes:
                    if process.returncode is None:
                        process.kill()
                    await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def _answers(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


def presidio() -> web.Application:
    engine = presidio_engine()

    async def analyze(request: web.Request) -> web.Response:
        asked = await request.json()
        entities = asked.get("entities") or None
        found = engine.analyze(text=asked["text"], language="en", entities=entities)
        return web.json_response(
            [
                {"entity_type": each.entity_type, "start": each.start, "end": each.end, "score": each.score}
                for each in found
            ]
        )

    async def anonymize(request: web.Request) -> web.Response:
        asked = await request.json()
        text, items = asked["text"], []
        for each in sorted(asked["analyzer_results"], key=lambda each: each["start"], reverse=True):
            mask = f"<{each['entity_type']}>"
            text = text[: each["start"]] + mask + text[each["end"] :]
            items.append({**each, "text": mask, "operator": "replace"})
        return web.json_response({"text": text, "items": items})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/analyze", analyze), web.post("/anonymize", anonymize), web.get("/health", health)])
    return app


if __name__ == "__main__":
    web.run_app(presidio(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
