"""Those REST APIs of Microsoft's that no client of theirs fits, by the pipeline that their clients are built on."""

import asyncio
import zlib
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from pydantic import BaseModel


class RestApi:
    """Asks with the app's identity. There is one try, and no redirect is followed.

    ``seconds`` are for all that one question needs, the app's own token too. ``unavailable`` is what a question raises
    that gets no answer; its message says why, by a status or the name of an error, and quotes nothing. ``transport``
    are options of azure-core's.
    """

    def __init__(
        self,
        endpoint: str,
        credential: AsyncTokenCredential,
        *,
        scope: str,
        seconds: float,
        unavailable: type[Exception],
        **transport: Any,
    ) -> None:
        policies = [AsyncBearerTokenCredentialPolicy(credential, scope)]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            endpoint, policies=policies, **transport
        )
        self._seconds = seconds
        self._unavailable = unavailable

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def _post[Answer: BaseModel](
        self, path: str, bodies: Iterable[Mapping[str, object]], shape: type[Answer]
    ) -> list[Answer]:
        """The answers to all of the bodies, asked at once; none is enough without the others."""
        try:
            async with asyncio.timeout(self._seconds), asyncio.TaskGroup() as calls:
                answers = [calls.create_task(self._call(path, body, shape)) for body in bodies]
        except TimeoutError:
            raise self._unavailable("it did not answer in time") from None
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [answer.result() for answer in answers]

    async def _call[Answer: BaseModel](self, path: str, body: Mapping[str, object], shape: type[Answer]) -> Answer:
        request = HttpRequest("POST", self._client.format_url(path), json=body)
        try:
            answer = await self._client.send_request(request)
            if answer.status_code != 200:
                raise self._unavailable(f"it answered with the status {answer.status_code}")
            return shape.model_validate_json(await answer.read())
        except (AzureError, OSError, ValueError, zlib.error) as error:
            raise self._unavailable(type(error).__name__) from None
