"""A client of a process's control port (see :mod:`local.standin`): what it was asked, and what is to go wrong."""

from collections.abc import Iterable
from typing import Any

import aiohttp

from local.standin import Fault


class ControlClient:
    """Each call opens a connection of its own, so there is nothing to close. Raises ``aiohttp.ClientError``."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def counts(self) -> dict[str, int]:
        """How often each operation was asked for since the last :meth:`reset`."""
        counts: dict[str, int] = await self.call("GET", "/control/counts")
        return counts

    async def reset(self) -> None:
        await self.call("POST", "/control/reset")

    async def faults(self, faults: Iterable[Fault | dict[str, Any]] = ()) -> None:
        """Replace what is to go wrong; nothing clears it."""
        wanted = [Fault.model_validate(fault).model_dump() for fault in faults]
        await self.call("PUT", "/control/faults", json=wanted)

    async def dump(self) -> str:
        """Everything that the process holds, as text."""
        return str(await self.call("GET", "/control/dump"))

    async def call(self, method: str, path: str, *, json: Any = None) -> Any:
        """One of the routes that a process adds to its control port. The answer's JSON, or else its text."""
        async with aiohttp.ClientSession() as http, http.request(method, self.url + path, json=json) as answer:
            if not answer.ok:
                raise aiohttp.ClientResponseError(
                    answer.request_info, answer.history, status=answer.status, message=await answer.text()
                )
            return await (answer.json() if answer.content_type == "application/json" else answer.text())
