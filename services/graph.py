"""Microsoft Graph: which of some directory groups a person is in, for tokens that do not say.

Microsoft's own package for Graph (``msgraph-sdk``) holds the whole of its API, thousands of modules for this one call.
So the call is made with the pipeline that all of Microsoft's clients are built on (``azure-core``).
"""

import asyncio
import zlib
from collections.abc import Collection
from itertools import batched
from types import TracebackType
from typing import Any, Self

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from pydantic import BaseModel

SCOPE = "https://graph.microsoft.com/.default"
"""Whom Graph's tokens are for, whatever its endpoint."""
TIMEOUT_SECONDS = 3.0
"""For all that one person's groups need, the app's own token too: somebody waits for it."""
GROUPS_A_CALL = 20
"""As many as Graph takes."""


class GraphUnavailable(Exception):
    """Graph did not say which groups somebody is in. The message says why; there is no id in it."""


class _MemberGroups(BaseModel):
    value: list[str]


class Graph:
    """Asks with the app's identity, which needs the application permissions User.Read.All and GroupMember.Read.All.

    There is one try, and no redirect is followed. ``transport`` are options of azure-core's.
    """

    def __init__(self, endpoint: str, credential: AsyncTokenCredential, **transport: Any) -> None:
        policies = [AsyncBearerTokenCredentialPolicy(credential, SCOPE)]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            endpoint, policies=policies, **transport
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def member_groups(self, oid: str, group_ids: Collection[str]) -> frozenset[str]:
        """Those of the groups that the person is in, also by way of other groups; in lower case.

        ``oid`` is an object id: it becomes a part of the address. Raises :class:`GraphUnavailable` unless Graph
        answers for every one of the groups: https://learn.microsoft.com/graph/api/user-checkmembergroups.
        """
        asked = sorted({group.lower() for group in group_ids})
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as calls:
                answers = [
                    calls.create_task(self._check(oid, some)) for some in batched(asked, GROUPS_A_CALL, strict=False)
                ]
        except TimeoutError:
            raise GraphUnavailable("it did not answer in time") from None
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return frozenset().union(*(answer.result() for answer in answers))

    async def _check(self, oid: str, group_ids: Collection[str]) -> set[str]:
        url = self._client.format_url(f"/v1.0/users/{oid}/checkMemberGroups")
        request = HttpRequest("POST", url, json={"groupIds": list(group_ids)})
        try:
            answer = await self._client.send_request(request)
            if answer.status_code != 200:
                raise GraphUnavailable(f"it answered with the status {answer.status_code}")
            found = {group.lower() for group in _MemberGroups.model_validate_json(await answer.read()).value}
        except (AzureError, OSError, ValueError, zlib.error) as error:
            raise GraphUnavailable(type(error).__name__) from None
        if not found.issubset(group_ids):
            raise GraphUnavailable("it answered with groups that it was not asked about")
        return found
