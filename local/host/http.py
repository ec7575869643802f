"""HTTP functions: routes, requests and responses, as Azure Functions has them.

Paths match without regard to case, and a literal segment wins over a parameter. A path or method that no function has
is 404 with an empty body; a function that raises is 500 with an empty body.

The app answers with HTTP streaming: a request is passed on to the server that the worker library runs in this process,
with the id of the invocation that is made for it, and what that server answers is passed back piece by piece.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#http-streams-1
"""

import asyncio
import itertools
import logging
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.host.hostjson import Refused
from local.host.protos import RpcHttp, TypedData
from local.host.worker import Function, FunctionFailed, Worker

log = logging.getLogger("local.host")

_MAX_BODY = 100 * 2**20
"""Azure's limit of a request, in bytes."""
_MAX_HEADER = 32 * 2**10
"""Of one header field, in bytes: a token that lists 200 groups takes 10 KB."""
_OWN_HEADERS = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
"""Of the worker's server, which are not the answer's."""
_TO_WORKER = web.AppKey("to_worker", aiohttp.ClientSession)
_IDLE_SECONDS = 3.0
"""Until a connection to the worker's server is given up: that server closes an idle one after five, and a question that
has just been sent on it would be lost."""


@dataclass(frozen=True)
class Route:
    function: Function
    segments: tuple[str, ...]
    """Literals in lower case, parameters as ``{name}``."""
    methods: frozenset[str]
    """Empty means all."""

    @classmethod
    def of(cls, function: Function, prefix: str) -> "Route":
        """Raises :class:`~local.host.hostjson.Refused` for what is not served here."""
        level = function.trigger.get("authLevel") or "function"
        if str(level).casefold() != "anonymous":
            raise Refused(f"{function.name}: the authorization level {level} is not served, only anonymous")
        template = f"{prefix}/{function.trigger.get('route') or function.name}"
        segments = tuple(segment for segment in template.split("/") if segment)
        for segment in segments:
            if not re.fullmatch(r"\{\w+\}|[^{}?*]+", segment):
                raise Refused(f"{function.name}: {segment} in its route is not served, only {{name}} and literals")
        if prefix == "" and segments[0].casefold() in ("admin", "runtime"):
            raise Refused(f"{function.name}: routes that begin with {segments[0]} are the host's own")
        literals = tuple(segment if segment.startswith("{") else segment.casefold() for segment in segments)
        return cls(function, literals, frozenset(function.trigger.get("methods") or ()))

    @property
    def rank(self) -> tuple[bool, ...]:
        """Sorts literals before parameters."""
        return tuple(segment.startswith("{") for segment in self.segments)

    def collides(self, other: "Route") -> bool:
        """Whether nothing but their order would decide which of the two answers a request."""

        def shape(route: Route) -> list[str]:
            return ["{}" if segment.startswith("{") else segment for segment in route.segments]

        methods = not self.methods or not other.methods or bool(self.methods & other.methods)
        return methods and shape(self) == shape(other)

    def match(self, method: str, path: Sequence[str]) -> dict[str, str] | None:
        """The route's parameters, None if it is not this one's request."""
        if len(path) != len(self.segments) or (self.methods and method not in self.methods):
            return None
        parameters = {}
        for segment, value in zip(self.segments, path, strict=True):
            if segment.startswith("{"):
                parameters[segment[1:-1]] = value
            elif segment != value.casefold():
                return None
        return parameters


def application(worker: Worker, functions: Sequence[Function], prefix: str) -> web.Application:
    """Serves these functions. Raises :class:`~local.host.hostjson.Refused`."""
    routes = sorted((Route.of(function, prefix) for function in functions), key=lambda route: route.rank)
    for one, other in itertools.combinations(routes, 2):
        if one.collides(other):
            raise Refused(f"{one.function.name} and {other.function.name} have the same route")

    async def answer(request: web.Request) -> web.StreamResponse:
        path = [_decoded(segment) for segment in request.rel_url.raw_path.split("/") if segment]
        for route in routes:
            parameters = route.match(request.method, path)
            if parameters is not None:
                break
        else:
            return web.Response(status=404)
        if request.content_length is not None and request.content_length > _MAX_BODY:
            return web.Response(status=413)
        return await _answered(worker, route.function, parameters, request)

    app = web.Application(client_max_size=_MAX_BODY, handler_args={"max_field_size": _MAX_HEADER})
    app.router.add_route("*", "/{path:.*}", answer)
    app.cleanup_ctx.append(_session)
    return app


def _decoded(segment: str) -> str:
    """As ASP.NET Core does it: an encoded slash stays encoded."""
    return "%2F".join(unquote(part) for part in re.split("%2f", segment, flags=re.IGNORECASE))


async def _session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)  # as many as there are invocations
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, timeout=timeout, max_field_size=_MAX_HEADER
    ) as session:
        app[_TO_WORKER] = session
        yield


async def _answered(
    worker: Worker, function: Function, parameters: dict[str, str], request: web.Request
) -> web.StreamResponse:
    """The function's answer, relayed from when it has returned."""
    invocation_id = str(uuid.uuid4())
    http = RpcHttp(
        method=request.method, url=str(request.url), headers={}, params=parameters, query={}, body=TypedData()
    )
    data = TypedData(http=http)
    traceparent = request.headers.get("traceparent")
    invocation = asyncio.create_task(worker.invoke(function, data, None, traceparent, invocation_id))
    passed_on = asyncio.create_task(_pass_on(worker.http_uri, request, invocation_id))
    try:
        # Neither is cancelled if the client leaves: the invocation goes on.
        await asyncio.wait({invocation, passed_on}, return_when=asyncio.FIRST_EXCEPTION)
        if not invocation.done():
            invocation.cancel()  # the request never came to it, so it would wait for ever
        else:
            await invocation
        async with await passed_on as answer:
            return await _relay(answer, request)
    except FunctionFailed:
        return web.Response(status=500)
    except aiohttp.ClientError as error:
        log.error("%s: the request did not reach the worker: %s", function.name, type(error).__name__)
        return web.Response(status=502)
    finally:
        passed_on.cancel()


async def _pass_on(http_uri: str, request: web.Request, invocation_id: str) -> aiohttp.ClientResponse:
    headers = CIMultiDict(request.headers)
    headers["x-ms-invocation-id"] = invocation_id
    headers.popall("Transfer-Encoding", None)  # of this connection; the next one has its own
    body = request.content if request.can_read_body else None
    url = URL(http_uri + request.raw_path, encoded=True)
    to_worker = request.app[_TO_WORKER]
    return await to_worker.request(request.method, url, headers=headers, data=body, allow_redirects=False)


async def _relay(answer: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
    headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS)
    relayed = web.StreamResponse(status=answer.status, headers=headers)
    await relayed.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await relayed.write(piece)
    except aiohttp.ClientError:  # what streams has failed: the client must not take this for the end
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:  # the client has left, and so does this: the app sees it
        return relayed
    return relayed
