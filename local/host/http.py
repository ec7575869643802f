"""HTTP functions: routes, requests and responses, as Azure Functions has them.

Paths match without regard to case, and a literal segment wins over a parameter. A path or method that no function has
is 404 with an empty body; a function that raises is 500 with an empty body.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from local.host.hostjson import Refused
from local.host.protos import RpcHttp, TypedData
from local.host.worker import Function, FunctionFailed, Worker

_MAX_BODY = 100 * 2**20
"""Azure's limit of a request, in bytes."""
_MAX_HEADER = 32 * 2**10
"""Of one header field, in bytes: a token that lists 200 groups takes 10 KB."""


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

    async def answer(request: web.Request) -> web.Response:
        path = [_decoded(segment) for segment in request.rel_url.raw_path.split("/") if segment]
        for route in routes:
            parameters = route.match(request.method, path)
            if parameters is not None:
                break
        else:
            return web.Response(status=404)
        data = await _typed(request, parameters)
        try:
            returned = await worker.invoke(route.function, data, traceparent=request.headers.get("traceparent"))
        except FunctionFailed:
            return web.Response(status=500)
        return _response(returned)

    app = web.Application(client_max_size=_MAX_BODY, handler_args={"max_field_size": _MAX_HEADER})
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def _decoded(segment: str) -> str:
    """As ASP.NET Core does it: an encoded slash stays encoded."""
    return "%2F".join(unquote(part) for part in re.split("%2f", segment, flags=re.IGNORECASE))


async def _typed(request: web.Request, parameters: dict[str, str]) -> TypedData:
    headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    body = await request.read()
    return TypedData(
        http=RpcHttp(
            method=request.method,
            url=str(request.url),
            headers=headers,
            params=parameters,
            query={name: value for name, value in query.items() if value},  # Azure leaves the empty ones out
            body=TypedData(bytes=body) if body else TypedData(),
        )
    )


def _response(returned: TypedData | None) -> web.Response:
    data: Any = returned
    match data and data.WhichOneof("data"):
        case None:
            return web.Response(status=204)
        case "http":
            headers = {name: value for name, value in data.http.headers.items() if name.lower() != "content-length"}
            return web.Response(status=int(data.http.status_code), headers=headers, body=data.http.body.bytes)
        case _:
            return web.Response(text=data.string)
