"""Documents are read in a process of their own, which may take so much time and memory and no more."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field

from routing.chunk_index import Piece
from routing.collections import Chunking

SECONDS = 120
MEGABYTES = 1_500
"""Of address space: twice what the largest file that is taken needs, and less than an instance has."""
APP = Path(__file__).parents[1]

TOO_MUCH = "The document took too much time or memory to read: split it, or save it in a simpler form."


class DocumentRefused(Exception):
    """The document can't be read. The message is for whoever uploaded it, and quotes nothing of it."""


class _Read(BaseModel):
    refused: str | None = None
    chunks: list[Piece] = Field(default_factory=list)


async def extracted(data: bytes, chunking: Chunking, *, seconds: int = SECONDS) -> list[Piece]:
    """The chunks of a file, at least one. Whatever it does, this process lives. Raises :class:`DocumentRefused`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "grounding.worker", str(seconds), str(MEGABYTES), str(chunking.size), str(chunking.overlap)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a parser's complaints may quote the document
        cwd=APP,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "LANG": "C.UTF-8"},
    )
    try:
        async with asyncio.timeout(2 * seconds):  # it has that much processor time, and may wait for it
            answer, _ = await process.communicate(data)
    except TimeoutError:
        raise DocumentRefused(TOO_MUCH) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0:
        raise DocumentRefused(TOO_MUCH)
    read = _Read.model_validate(json.loads(answer))
    if read.refused is not None:
        raise DocumentRefused(read.refused)
    return read.chunks
