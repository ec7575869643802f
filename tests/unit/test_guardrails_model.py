"""The detector's first use: no network, and nothing loaded too early or that it does not need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FIRST_USE = """
import asyncio, json, socket, sys

attempts = []

def refuse(*arguments, **options):
    attempts.append(repr(arguments))
    raise OSError("no network")

socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse

from guardrails.check import check
from guardrails.policy import PII_CATEGORIES, Policy

early = sorted({"numpy", "phonenumbers", "guardrails.detector"} & sys.modules.keys())
policy = Policy(id="p", version=1, pii=dict.fromkeys(PII_CATEGORIES, "redact"))
checked = asyncio.run(check("John, joe@example.com, https://a.example.org, +44 20 7946 0958", policy))
large = sorted({"spacy", "presidio_analyzer", "faker"} & sys.modules.keys())
print(json.dumps({"attempts": attempts, "early": early, "text": checked.text, "large": large}))
"""


@pytest.fixture(scope="module")
def first_use(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh process, with nothing in any cache, did at its first check, with everything looked for."""
    caches = str(tmp_path_factory.mktemp("caches"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FIRST_USE],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": caches, "XDG_CACHE_HOME": caches, "TLDEXTRACT_CACHE": caches},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.claim("G2")
def test_when_the_engine_is_first_used_then_nothing_reaches_for_the_network(first_use: dict[str, object]) -> None:
    assert first_use["attempts"] == []
    assert "joe" not in str(first_use["text"])


def test_when_the_check_is_imported_then_the_detector_is_not(first_use: dict[str, object]) -> None:
    assert first_use["early"] == []


def test_when_the_detector_is_used_then_what_only_training_and_measuring_need_is_not(
    first_use: dict[str, object],
) -> None:
    assert first_use["large"] == []
