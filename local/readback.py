"""Reading the trail back, as an auditor would: through Microsoft's client of the Logs Query API."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.credentials import AccessToken
from azure.monitor.query import LogsQueryStatus
from azure.monitor.query.aio import LogsQueryClient

from local.stack import Stack

AUDIENCE = "https://api.loganalytics.io"


class _Credential:
    """A token of the app's managed identity, asked for once."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return self._token

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "_Credential":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


async def query_logs(stack: Stack, kql: str) -> list[dict[str, Any]]:
    """The rows of a query over the last day, by column name. Dynamic columns are JSON text, as the API gives them."""
    logs, entra = stack.standins["loganalytics"].ready, stack.standins["entra"].ready
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.get(
            entra["identity_endpoint"],
            params={"api-version": "2019-08-01", "resource": AUDIENCE},
            headers={"X-IDENTITY-HEADER": entra["identity_header"]},
        ) as answer,
    ):
        token = await answer.json()
    credential = _Credential(AccessToken(token["access_token"], int(token["expires_on"])))
    authority: Path = stack.certificate_authority
    async with LogsQueryClient(
        credential, endpoint=f"{logs['url']}/v1", audience=AUDIENCE, connection_verify=str(authority)
    ) as client:
        result = await client.query_workspace(logs["workspace_id"], kql, timespan=timedelta(days=1))
    if result.status is not LogsQueryStatus.SUCCESS:
        raise RuntimeError(f"the query was answered in part: {result.partial_error}")
    table = result.tables[0]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
