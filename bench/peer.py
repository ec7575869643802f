"""LiteLLM's proxy with its Presidio guardrail and a budget, to be measured beside: ``running`` starts and stops it.

Two processes of one worker each: the proxy, in an interpreter of its own (``litellm[proxy]``), and what its guardrail
asks, ``python -m bench.peer PORT`` in this project's: Presidio's analyzer as it comes, with spaCy's small English
model, behind the two routes that the guardrail calls. The placeholders are put in there, without Presidio's anonymizer.
The guardrail reads questions and answers, as it does unless told otherwise. The budget is the model's, kept in memory:
those of keys and teams need a PostgreSQL database, and cost more.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import aiohttp
from aiohttp import web

from bench.pii import presidio_engine
from local.ports import Ports
from local.process import ROOT, StartFailed

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
async def running(python: Path, models_url: str) -> AsyncIterator[Peer]:
    """The proxy of that interpreter before that model. Raises ``StartFailed`` if it does not come up."""
    with tempfile.TemporaryDirectory() as folder, Ports() as free:
        ports = free.take(), free.take()
        proxy_url, presidio_url = (f"http://127.0.0.1:{port}" for port in ports)
        config = Path(folder) / "config.yaml"
        config.write_text(json.dumps(configuration(models_url, presidio_url)))  # JSON is YAML
        analyzer = (sys.executable, "-m", "bench.peer", str(ports[1]))
        proxy = (python.with_name("litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(ports[0]))
        # None of the caller's settings: a DATABASE_URL, or a key, would make it another proxy.
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        processes = []
        with (Path(folder) / "log").open("w+") as log:
            try:
                for command, place in ((analyzer, ROOT), (proxy, folder)):
                    start = asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=place, env=environment)
                    processes.append(await start)
                await _ready(f"{presidio_url}/health", processes[0], log)
                await _ready(f"{proxy_url}/health/liveliness", processes[1], log)
                yield Peer(proxy_url, tuple(process.pid for process in processes))
            finally:
                for process in processes:
                    if process.returncode is None:
                        process.kill()
                    await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process, log: TextIO) -> None:
    """Wait until it answers. Raises ``StartFailed`` if it ends instead, or takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
            while process.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.2)
    log.seek(0)
    raise StartFailed(f"nothing answers at {url}\n{log.read()}")


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
