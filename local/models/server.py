"""The two APIs over HTTP: counts, faults, records, and notices when a client goes away."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from local.models import anthropic_api, openai_api
from local.models.scripted import Line, Refusal, answer, embed
from local.standin import Control, Fault
from local.tokens import BearerCheck, Unauthorized

logger = logging.getLogger(__name__)

_script = TypeAdapter(list[Line])

_DISCONNECT_POLL_SECONDS = 0.02
_EVENTS_BEFORE_DROP = 3
"""So many events of a stream arrive before a ``drop``: the start of an answer, but not all of it."""


@dataclass(frozen=True)
class _Api:
    operation: str
    request: type[openai_api.Request] | type[anthropic_api.Request]
    error: Callable[[int, str], dict[str, Any]]
    refusal: Callable[[Refusal], dict[str, Any]]
    embeddings: str = ""
    """The operation, where there are any."""


_OPENAI = _Api("chat", openai_api.Request, openai_api.error, openai_api.refusal, "embeddings")
_AZURE = _Api("azure-chat", openai_api.Request, openai_api.error, openai_api.refusal, "azure-embeddings")
_ANTHROPIC = _Api("messages", anthropic_api.Request, anthropic_api.error, anthropic_api.refusal)


class Refused(Exception):
    """The call gets an error answer with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Models:
    """Answers from the script, or, with ``real``, from the OpenAI-compatible server that it is connected to. Texts
    have the vectors that ``embed`` makes, in a thread of its own.

    ``azure`` checks the tokens of the calls of Azure OpenAI's API; without it they must have one, and no more.
    """

    def __init__(
        self,
        control: Control,
        *,
        model: str,
        latency: float,
        real: aiohttp.ClientSession | None,
        azure: BearerCheck | None = None,
        embed: Callable[[Sequence[str]], tuple[list[list[float]], int]] = embed,
    ) -> None:
        self._control = control
        self._azure = azure
        self._model = model
        self._latency = latency
        self._real = real
        self._embed_texts = embed
        self._script: list[Line] = []
        self._requests: list[Any] = []
        self._in_flight = 0
        control.dump = lambda: json.dumps(self._requests, ensure_ascii=False)
        control.routes += [
            web.get("/control/requests", self._get_requests),
            web.post("/control/requests/reset", self._reset_requests),
        ]
        if real is None:
            control.routes.append(web.put("/control/script", self._put_script))

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/chat/completions", partial(self._call, api=_OPENAI)),
                web.post("/v1/embeddings", partial(self._embed, api=_OPENAI)),
                web.post("/openai/v1/chat/completions", partial(self._call, api=_AZURE)),
                web.post("/openai/v1/embeddings", partial(self._embed, api=_AZURE)),
                web.post("/v1/messages", partial(self._call, api=_ANTHROPIC)),
                web.get("/v1/models", self._models),
                web.route("*", "/{path:.*}", self._not_served),
            ]
        )
        return app

    # The model calls

    async def _call(self, request: web.Request, api: _Api) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        streamed = isinstance(body, dict) and body.get("stream") is True
        operation = f"{api.operation}-stream" if streamed else api.operation
        self._control.count(operation)
        self._requests.append(body)
        with self._counted_in_flight():
            return await self._unless_disconnected(request, operation, self._answer(request, operation, api, raw))

    async def _answer(self, request: web.Request, operation: str, api: _Api, raw: bytes) -> web.StreamResponse:
        fault = self._control.fault(operation)
        try:
            await _go_wrong(fault)
            await self._authenticate(request, api)
            call = _parse(api.request, raw)
            drop = fault is not None and fault.kind == "drop"
            if drop and not call.stream:
                return _drop(request)
            await asyncio.sleep(self._latency)
            if self._real is not None:
                return await _forward(self._real, request, api, raw, drop=drop)
        except Refused as refused:
            return _error(api, refused.status, str(refused), fault)
        scripted = answer(self._script, call.prompt())
        if scripted.refusal is not None:
            return web.json_response(api.refusal(scripted.refusal), status=400)
        if call.stream:
            events = call.events(scripted)
            pieces = _each(_cut(events) if scripted.malformed else events, scripted.pause_seconds)
            after = _EVENTS_BEFORE_DROP if drop else scripted.drop_after
            return await _stream(request, pieces, drop_after=after)
        body = json.dumps(call.body(scripted))
        return web.Response(text=body[:-9] if scripted.malformed else body, content_type="application/json")

    async def _embed(self, request: web.Request, api: _Api) -> web.StreamResponse:
        self._control.count(api.embeddings)
        fault = self._control.fault(api.embeddings)
        raw = await request.read()
        self._requests.append(json.loads(raw))
        try:
            await _go_wrong(fault)
            await self._authenticate(request, api)
            asked = _parse(openai_api.Embed, raw)
        except Refused as refused:
            return _error(api, refused.status, str(refused), fault)
        return web.json_response(asked.body(*await asyncio.to_thread(self._embed_texts, asked.input)))

    async def _authenticate(self, request: web.Request, api: _Api) -> None:
        if not {"Authorization", "x-api-key"} & request.headers.keys():
            raise Refused(401, "no credential")
        if api is _AZURE and self._azure is not None:
            try:
                await self._azure.check(request.headers.get("Authorization", "").removeprefix("Bearer "))
            except Unauthorized as error:
                raise Refused(401, str(error)) from None

    async def _unless_disconnected(
        self, request: web.Request, operation: str, answering: Coroutine[Any, Any, web.StreamResponse]
    ) -> web.StreamResponse:
        """The answer; if the client goes away before it is there, the work on it is cancelled and counted."""
        work = asyncio.create_task(answering)
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_DISCONNECT_POLL_SECONDS)
                if not work.done() and (request.transport is None or request.transport.is_closing()):
                    break
            else:
                return work.result()
        except ConnectionError:
            pass
        finally:
            work.cancel()
            await asyncio.wait({work})
        self._control.count(f"{operation}:cancelled")
        return web.Response()

    @contextmanager
    def _counted_in_flight(self) -> Iterator[None]:
        self._in_flight += 1
        self._control.counts["in-flight-max"] = max(self._control.counts["in-flight-max"], self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1

    # The rest

    async def _models(self, request: web.Request) -> web.Response:
        self._control.count("models")
        fault = self._control.fault("models")
        try:
            await _go_wrong(fault)
        except Refused as refused:
            return _error(_OPENAI, refused.status, str(refused), fault)
        if fault is not None and fault.kind == "drop":
            return _drop(request)
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": "local"}
        return web.json_response({"object": "list", "data": [model]})

    async def _not_served(self, request: web.Request) -> web.Response:
        message = f"the stand-in does not serve {request.method} {request.path}"
        return _error(_OPENAI, 404, message, None)

    async def _get_requests(self, _: web.Request) -> web.Response:
        return web.json_response(self._requests)

    async def _reset_requests(self, _: web.Request) -> web.Response:
        self._requests.clear()
        return web.Response(status=204)

    async def _put_script(self, request: web.Request) -> web.Response:
        try:
            self._script = _script.validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)


async def _go_wrong(fault: Fault | None) -> None:
    """What a fault does before the answer: ``delay`` waits, ``status`` raises :class:`Refused`."""
    match fault:
        case Fault(kind="status"):
            raise Refused(fault.status, "a fault was asked for at the control port")
        case Fault(kind="delay"):
            await asyncio.sleep(fault.seconds)
        case Fault(kind="lock-lost"):
            raise Refused(501, "there are no locks to lose here")


def _parse[Shape: BaseModel](shape: type[Shape], raw: bytes) -> Shape:
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        where = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        raise Refused(400, "; ".join(where)) from None


def _error(api: _Api, status: int, message: str, fault: Fault | None) -> web.Response:
    logger.info("answered %d: %s", status, message)
    response = web.json_response(api.error(status, message), status=status)
    if status in (429, 503) and fault is not None:
        response.headers["Retry-After"] = f"{fault.seconds:.0f}"
    return response


async def _forward(
    real: aiohttp.ClientSession, request: web.Request, api: _Api, raw: bytes, *, drop: bool
) -> web.StreamResponse:
    if api is _ANTHROPIC:
        raise Refused(404, "the real model is served in OpenAI's shape only")
    headers = {"Content-Type": "application/json"}
    async with real.post("/v1/chat/completions", data=raw, headers=headers) as upstream:
        if upstream.content_type == "text/event-stream":
            return await _stream(request, _events_of(upstream), drop_after=_EVENTS_BEFORE_DROP if drop else None)
        return web.json_response(await upstream.json(), status=upstream.status)


async def _stream(request: web.Request, events: AsyncIterator[bytes], *, drop_after: int | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    sent = 0
    async for event in events:
        await response.write(event)
        sent += 1
        if sent == drop_after:
            return _drop(request)
    await response.write_eof()
    return response


def _cut(events: Iterator[bytes]) -> Iterator[bytes]:
    """The first of them, and then one that is no JSON."""
    yield next(events)
    yield next(events)[:-9] + b"\n\n"


async def _each(events: Iterator[bytes], pause_seconds: float) -> AsyncIterator[bytes]:
    for event in events:
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
        yield event


async def _events_of(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while event := await upstream.content.readuntil(b"\n\n"):
        yield event


def _drop(request: web.Request) -> web.Response:
    """Close the connection; the answer that aiohttp insists on goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
