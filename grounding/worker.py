"""A document read in a process of its own: ``python -m grounding.worker SECONDS MEGABYTES SIZE OVERLAP``.

Takes the file on its standard input and writes its chunks to its standard output, as JSON, or why it is refused. What a
hostile file can cost is what this process may have: the operating system ends it at these limits, and nothing else.
"""

import dataclasses
import json
import resource
import sys

from grounding.blocks import Limits
from grounding.chunks import Chunking, chunks
from grounding.errors import DocumentRefused, TooLarge
from grounding.extract import extract


def read(data: bytes, limits: Limits, chunking: Chunking) -> dict[str, object]:
    """``chunks``, or ``refused`` with the reason."""
    try:
        found = chunks(extract(data, limits), "", chunking)
    except DocumentRefused as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": str(TooLarge())}
    kept = ("text", "headings", "page", "last_page")
    return {"chunks": [{name: getattr(each, name) for name in kept} for each in found]}


def main() -> None:
    seconds, megabytes, size, overlap = (int(each) for each in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)
    limits = dataclasses.replace(Limits(), seconds=float(seconds))
    result = read(sys.stdin.buffer.read(limits.bytes + 1), limits, Chunking(size=size, overlap=overlap))
    sys.stdout.buffer.write(json.dumps(result).encode())


if __name__ == "__main__":
    main()
