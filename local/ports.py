"""Ports of loopback that stay ours between being chosen and being served, and while their server is started again.

Many stacks run on one machine at once, each with dozens of servers: a port that is chosen and let go is soon another's.
"""

import socket
from types import TracebackType
from typing import Self


class Ports:
    """Holds each port that it gave out, until it is closed: ``with Ports() as ports``.

    A socket that is bound with SO_REUSEADDR and does not listen keeps the port from being given to anybody who asks
    for a free one, and from all who do not set that option; a server that sets it, as asyncio's and gRPC's do on
    Linux, may bind the port and listen (socket(7)).
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> int:
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self._held.append(holder)
        port: int = holder.getsockname()[1]
        return port

    def close(self) -> None:
        while self._held:
            self._held.pop().close()
