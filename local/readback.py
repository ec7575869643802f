"""Reading the trail back, as an auditor would: through Microsoft's client of the Logs Query API."""

import os
from datetime import timedelta
from typing import Any

from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.query import LogsQueryStatus
from azure.monitor.query.aio import LogsQueryClient

from local.stack import Stack
from services.platform import LOGS_QUERY_AUDIENCE


async def query_logs(stack: Stack, kql: str) -> list[dict[str, Any]]:
    """The rows of a query over the last day, by column name. Dynamic columns are JSON text, as the API gives them.

    It asks with a managed identity, so it sets the environment variables by which this process has one.
    """
    logs, entra = stack.standins["loganalytics"].ready, stack.standins["entra"].ready
    os.environ["IDENTITY_ENDPOINT"] = entra["identity_endpoint"]
    os.environ["IDENTITY_HEADER"] = entra["identity_header"]
    async with (
        ManagedIdentityCredential() as identity,
        LogsQueryClient(
            identity,
            endpoint=f"{logs['url']}/v1",
            audience=LOGS_QUERY_AUDIENCE,
            connection_verify=str(stack.certificate_authority),
        ) as client,
    ):
        result = await client.query_workspace(logs["workspace_id"], kql, timespan=timedelta(days=1))
    if result.status is not LogsQueryStatus.SUCCESS:
        raise RuntimeError(f"the query was answered in part: {result.partial_error}")
    table = result.tables[0]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
