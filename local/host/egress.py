"""Where this process connects to, for a test to look at: a line for each name that is looked up and each connection
that is tried, from the first moment on, by whatever code. Only if the setting ``EGRESS_LOG`` names a folder.

Connections that a library makes in C, as gRPC does, pass no hook of Python's: those are in the system's tables.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

SETTING = "EGRESS_LOG"


def watch(folder: Path) -> None:
    """From now on, to the end of the process: there is no taking an audit hook away."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        match event, arguments:
            case "socket.connect", (socket.socket(family=socket.AF_INET | socket.AF_INET6), (host, port, *_)):
                pass
            case "socket.getaddrinfo", (host, port, *_):
                host = host.decode() if isinstance(host, bytes) else host
            case "socket.gethostbyname", (host,):
                port = None
            case "socket.sendto", (_, (host, port, *_)):
                pass
            case _:
                return
        os.write(log, json.dumps([event, host, port]).encode() + b"\n")

    sys.addaudithook(note)


def watch_if_asked() -> None:
    if folder := os.environ.get(SETTING):
        watch(Path(folder))
