"""The gateway on aiohttp: who is asking, what is to go wrong, what is counted."""

import asyncio
import logging
import uuid
from urllib.parse import unquote

from aiohttp import web

from local.cosmos import charges
from local.cosmos.gateway import Answer, Gateway, Operation, Request
from local.cosmos.sql import SqlError
from local.cosmos.wire import MAX_ITEM_BYTES, CosmosError, bad_request, bearer_token
from local.standin import Control, Fault
from local.tokens import BearerCheck, Unauthorized

log = logging.getLogger("local.cosmos")

_REQUEST_RATE_TOO_LARGE = 3200


class Server:
    def __init__(self, gateway: Gateway, control: Control, check: BearerCheck | None) -> None:
        self._gateway = gateway
        self._control = control
        self._check = check
        self._charges: dict[str, float] = {}
        control.dump = lambda: "".join(gateway.dump())
        control.routes += [
            web.get("/control/charges", self._show_charges),
            web.post("/control/charges/reset", self._reset_charges),
        ]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, http: web.Request) -> web.Response:
        body = await _body(http)
        request = Request(
            method=http.method,
            path=[unquote(segment) for segment in http.raw_path.partition("?")[0].split("/") if segment],
            headers=http.headers,
            body=body,
            origin=f"{http.scheme}://{http.host}",
        )
        operation = self._gateway.operation(request)
        self._control.count(operation.name)
        fault = self._control.fault(operation.name)
        try:
            await self._authenticate(http)
            if fault and fault.kind == "status":
                raise _injected(fault)
            answer = operation.perform()
        except (CosmosError, SqlError) as error:
            answer = _failure(operation, error)
        self._charges[operation.name] = self._charges.get(operation.name, 0.0) + answer.charge
        if fault and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "drop" and http.transport:
            http.transport.abort()
        return _response(answer)

    async def _authenticate(self, http: web.Request) -> None:
        token = bearer_token(http.headers.get("authorization"))
        if self._check:
            try:
                await self._check.check(token)
            except Unauthorized as error:
                raise CosmosError(401, f"The authorization token can't serve the request: {error}") from error

    async def _show_charges(self, _: web.Request) -> web.Response:
        return web.json_response({name: round(charge, 2) for name, charge in sorted(self._charges.items())})

    async def _reset_charges(self, _: web.Request) -> web.Response:
        self._charges.clear()
        return web.Response(status=204)


async def _body(http: web.Request) -> bytes:
    """The request's body, as far as one more byte than may be: the gateway then refuses it."""
    body = bytearray()
    async for chunk in http.content.iter_any():
        if len(body) <= MAX_ITEM_BYTES:
            body += chunk
    return bytes(body)


def _injected(fault: Fault) -> CosmosError:
    headers = {"x-ms-retry-after-ms": str(round(fault.seconds * 1000))} if fault.status in (429, 449) else {}
    substatus = _REQUEST_RATE_TOO_LARGE if fault.status == 429 else 0
    return CosmosError(fault.status, "This failure was asked for.", substatus, headers)


def _failure(operation: Operation, error: CosmosError | SqlError) -> Answer:
    if isinstance(error, SqlError):
        error = bad_request(str(error))
    if error.status in (400, 401, 403):
        log.warning("%s refused with %s: %s", operation.name, error.status, error.message)
    charge = charges.READ if error.status in (404, 409, 412) else 0.0
    return Answer(error.status, error.body(), {"x-ms-substatus": str(error.substatus), **error.headers}, charge)


def _response(answer: Answer) -> web.Response:
    headers = {
        "x-ms-activity-id": str(uuid.uuid4()),
        "x-ms-request-charge": f"{answer.charge:.2f}",
        "x-ms-version": "2020-07-15",
        **answer.headers,
    }
    return web.Response(
        status=answer.status, body=answer.body or None, headers=headers, content_type="application/json"
    )
