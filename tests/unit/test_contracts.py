"""The import contracts refuse what they are there to refuse. That the tree keeps them is `lint-imports`' own step."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.process import ROOT

PACKAGES = (
    "api",
    "pipeline",
    "moving",
    "guardrails",
    "grounding",
    "routing",
    "governance",
    "services",
    "local",
    "tests",
)

ARROWS = "Arrows point down"
PURE = "Guardrails are pure: text and policy in, verdict out"
GROUNDING_PURE = "Grounding is pure: bytes in, pieces out"
PRODUCT = "The product knows nothing of the local stack, the tests and the measurements"
ONE_WAY = "One way to a model: only governed_call reaches the providers"
MODEL_SDK = "Only the providers import a model's SDK"
AZURE = "Only services talk to Azure"
FUNCTIONS = "Only entry points know Azure Functions"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and their contracts."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken(tree: Path) -> list[str]:
    """The names of the contracts that the tree breaks."""
    command = "from importlinter.cli import lint_imports_command as lint; lint()"
    answer = subprocess.run([sys.executable, "-c", command], cwd=tree, capture_output=True, text=True, check=False)
    assert "Contracts: " in answer.stdout, answer.stdout + answer.stderr
    return [line.removesuffix(" BROKEN") for line in answer.stdout.splitlines() if line.endswith(" BROKEN")]


@pytest.mark.parametrize(
    ("package", "statement", "contract"),
    [
        ("api", "import pipeline", ARROWS),
        ("governance", "from routing import endpoints", ARROWS),
        ("routing", "import guardrails", ARROWS),
        ("services", "from governance import caps", ARROWS),
        ("guardrails", "from governance import caps", PURE),
        ("guardrails", "import aiohttp", PURE),
        ("grounding", "from governance import caps", GROUNDING_PURE),
        ("grounding", "import aiohttp", GROUNDING_PURE),
        ("governance", "import local.tls", PRODUCT),
        ("pipeline", "import bench.load", PRODUCT),
        ("pipeline", "from routing.providers import provider_at", ONE_WAY),
        ("routing", "from routing.providers import provider_at", ONE_WAY),
        ("routing", "from openai import AsyncOpenAI", MODEL_SDK),
        ("services", "import anthropic", MODEL_SDK),
        ("pipeline", "from azure.cosmos.aio import CosmosClient", AZURE),
        ("governance", "from azure.core.exceptions import AzureError", AZURE),
        ("governance", "from azure.monitor.query import LogsQueryClient", AZURE),
        ("governance", "from azure.monitor.ingestion import LogsIngestionClient", AZURE),
        ("routing", "import azure.functions as func", FUNCTIONS),
        ("services", "import azure.durable_functions as df", FUNCTIONS),
    ],
)
def test_when_a_module_imports_what_it_must_not_then_that_contract_is_broken(
    tree: Path, package: str, statement: str, contract: str
) -> None:
    offender = tree / package / "offender.py"
    offender.write_text(f"{statement}\n")
    try:
        assert broken(tree) == [contract]
    finally:
        offender.unlink()
