"""Microsoft Graph: which of some directory groups a person is in, for tokens that do not say.

Microsoft's own package for Graph (``msgraph-sdk``) holds the whole of its API, thousands of modules for this one call.
"""

from collections.abc import Collection
from itertools import batched
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from pydantic import BaseModel

from services.rest import RestApi

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


class Graph(RestApi):
    """Asks with the app's identity, which needs the application permissions User.Read.All and GroupMember.Read.All."""

    def __init__(self, endpoint: str, credential: AsyncTokenCredential, **transport: Any) -> None:
        super().__init__(
            endpoint, credential, scope=SCOPE, seconds=TIMEOUT_SECONDS, unavailable=GraphUnavailable, **transport
        )

    async def member_groups(self, oid: str, group_ids: Collection[str]) -> frozenset[str]:
        """Those of the groups that the person is in, also by way of other groups; in lower case.

        ``oid`` is an object id: it becomes a part of the address. Raises :class:`GraphUnavailable` unless Graph
        answers for every one of the groups: https://learn.microsoft.com/graph/api/user-checkmembergroups.
        """
        asked = sorted({group.lower() for group in group_ids})
        bodies = [{"groupIds": some} for some in batched(asked, GROUPS_A_CALL, strict=False)]
        answers = await self._post(f"/v1.0/users/{oid}/checkMemberGroups", bodies, _MemberGroups)
        found = frozenset(group.lower() for answer in answers for group in answer.value)
        if not found.issubset(asked):
            raise GraphUnavailable("it answered with groups that it was not asked about")
        return found
