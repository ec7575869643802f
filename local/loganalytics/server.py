"""The two APIs over HTTP: routes, tokens, limits, faults and the shapes of errors."""

import asyncio
import logging
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import duckdb
from aiohttp import web
from duckdb_kql.errors import KqlError, KqlSyntaxError, KqlUnsupportedError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.loganalytics.queries import ControlCommand, run
from local.loganalytics.rows import Losses, MalformedUpload, convert, parse
from local.loganalytics.schema import Rule
from local.loganalytics.store import Store
from local.loganalytics.timespans import parse_timespan
from local.standin import Control, Fault
from local.tokens import BearerCheck, Unauthorized

MAX_UPLOAD_BYTES = 1024 * 1024
"""Uncompressed. The ingestion SDK fills its chunks without counting separators, and so can exceed it."""

MAX_QUERIES_AT_ONCE = 5
"""Of one identity. Azure lets more wait for a while before it answers 429; here they need not wait."""

DEFAULT_WAIT_SECONDS = 180

INGESTION_AUDIENCE = "https://monitor.azure.com"
QUERY_AUDIENCE = "https://api.loganalytics.io"

logger = logging.getLogger(__name__)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Query(BaseModel):
    """https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format"""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1)]
    timespan: str | None = None
    workspaces: Annotated[list[str], Field(max_length=0)] | None = None
    """Of other workspaces: there is only the one."""


_TEXTS = TypeAdapter(list[Annotated[str, Field(min_length=1)]])


class _Delay(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LogAnalytics:
    """One workspace and the data collection rule that feeds it.

    ``authority`` (``https://host/<tenant>``) is whose tokens it takes; None: any token, but never a call without one.
    """

    def __init__(self, rule: Rule, store: Store, control: Control, *, authority: str | None, delay: float) -> None:
        self._rule = rule
        self._store = store
        self._control = control
        self._checks = authority and {
            audience: BearerCheck(authority, (audience,)) for audience in (INGESTION_AUDIENCE, QUERY_AUDIENCE)
        }
        self._delay = timedelta(seconds=delay)
        self._running: Counter[str] = Counter()
        control.dump = store.dump
        self._poison: list[str] = []
        control.routes += [
            web.put("/control/delay", self._put_delay),
            web.put("/control/poison", self._put_poison),
        ]

    def app(self) -> web.Application:
        # aiohttp counts the bytes of a body after decompression.
        app = web.Application(middlewares=[self._refusals], client_max_size=MAX_UPLOAD_BYTES)
        app.add_routes(
            [
                web.post("/dataCollectionRules/{rule}/streams/{stream}", self._upload),
                web.post("/v1/workspaces/{workspace}/query", self._query),
            ]
        )
        return app

    @web.middleware
    async def _refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Gives every refusal the shape of Azure's errors."""
        try:
            return await handler(request)
        except Unauthorized as error:
            return _error(401, "AuthorizationRequiredError", str(error))
        except web.RequestPayloadError:
            return _error(400, "InvalidRequestBody", "the body cannot be decoded as its Content-Encoding says")
        except web.HTTPRequestEntityTooLarge:
            limit = f"Maximum allowed content length: {MAX_UPLOAD_BYTES} bytes (1 MB)."
            return _error(413, "ContentLengthLimitExceeded", limit)
        except web.HTTPException as error:
            self._control.count("refused")
            return _error(error.status, "NotServed", f"the stand-in does not serve {request.method} {request.path}")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        rule_id, stream_name = request.match_info["rule"], request.match_info["stream"]
        operation = f"upload {stream_name}"
        self._control.count(operation)
        await self._identity(request, INGESTION_AUDIENCE)
        fault = self._control.fault(operation)
        if failed := await _fail(fault):
            return failed
        if request.query.get("api-version") != "2023-01-01":
            return _error(400, "InvalidApiVersion", "the stand-in knows api-version 2023-01-01")
        if rule_id != self._rule.rule_id:
            message = f"Data collection rule with immutable Id '{rule_id}' not found."
            return _error(404, "NotFound", message)
        stream = self._rule.streams.get(stream_name)
        if stream is None:
            message = f"The stream {stream_name} was not configured in the data collection rule."
            return _error(404, "InvalidStream", message)
        received = datetime.now(UTC)
        try:
            records = parse(body := await request.read())
        except MalformedUpload as error:
            return _error(400, "InvalidRequestBody", str(error))
        if any(text.encode() in body for text in self._poison):
            return _error(400, "InvalidRequestBody", "this body was to be refused")
        rows, losses = convert(records, stream.columns, received)
        await asyncio.to_thread(self._store.append, stream, rows, received + self._delay)
        self._control.count(f"rows {stream.table}", len(rows))
        self._report(stream.table, losses)
        if fault and fault.kind == "drop":
            return _drop(request)
        return web.Response(status=204)

    def _report(self, table: str, losses: Losses) -> None:
        for name, by_column in (
            ("columns-undeclared", losses.undeclared),
            ("values-mistyped", losses.mistyped),
            ("values-truncated", losses.truncated),
            ("times-replaced", Counter(TimeGenerated=losses.times_replaced)),
        ):
            if by_column.total():
                self._control.count(name, by_column.total())
                logger.warning("%s: %s in columns %s", table, name, ", ".join(sorted(by_column)))

    async def _query(self, request: web.Request) -> web.StreamResponse:
        self._control.count("query")
        identity = await self._identity(request, QUERY_AUDIENCE)
        if self._running[identity] >= MAX_QUERIES_AT_ONCE:
            answer = _error(429, "ThrottledError", f"{MAX_QUERIES_AT_ONCE} queries of this identity are running")
            answer.headers["Retry-After"] = "1"
            return answer
        self._running[identity] += 1
        try:
            fault = self._control.fault("query")
            if failed := await _fail(fault):
                return failed
            return _drop(request) if fault and fault.kind == "drop" else await self._answer(request)
        finally:
            self._running[identity] -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        if request.match_info["workspace"] != str(self._rule.workspace_id):
            return _error(404, "PathNotFoundError", "The workspace could not be found")
        now = datetime.now(UTC)
        try:
            wait = _wait_seconds(request.headers.get("Prefer", ""))
            asked = _Query.model_validate_json(await request.read())
            interval = parse_timespan(asked.timespan, now) if asked.timespan else None
        except (ValueError, OverflowError) as error:  # pydantic's ValidationError is one
            return _invalid("InvalidArgument", str(error))
        session = self._store.session(now, interval)
        # Nobody closes the session: after a cancelled request it is still the thread's, which is told to stop.
        timer = asyncio.get_running_loop().call_later(wait, session.interrupt)
        try:
            tables = await asyncio.to_thread(run, session, self._store.columns(), asked.query, now)
        except asyncio.CancelledError:
            session.interrupt()
            raise
        except KqlUnsupportedError as error:
            return _error(501, "NotSupportedByStandIn", str(error))
        except (KqlSyntaxError, ControlCommand) as error:
            return _invalid("SyntaxError", "A recognition error occurred in the query.", "SYN0002", str(error))
        except duckdb.InterruptException:
            return _error(504, "GatewayTimeout", f"the query took more than {wait:g} seconds")
        except (KqlError, duckdb.Error) as error:
            return _invalid("SemanticError", "A semantic error occurred.", "SEM0100", str(error))
        finally:
            timer.cancel()
        return web.json_response({"tables": tables})

    async def _identity(self, request: web.Request, audience: str) -> str:
        """Who calls. Raises :class:`Unauthorized`."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("no bearer token")
        if not self._checks:
            return token
        claims = await self._checks[audience].check(token)
        return str(claims.get("oid") or claims.get("sub"))

    async def _put_poison(self, request: web.Request) -> web.Response:
        try:
            self._poison = _TEXTS.validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)

    async def _put_delay(self, request: web.Request) -> web.Response:
        try:
            delay = _Delay.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        self._delay = timedelta(seconds=delay.seconds)
        return web.Response(status=204)


async def _fail(fault: Fault | None) -> web.Response | None:
    """The answer that the fault asks for, if it is one; waits if it asks for that."""
    match fault:
        case Fault(kind="status"):
            answer = _error(fault.status, "Injected", "a fault was asked for at the control port")
            answer.headers["Retry-After"] = f"{math.ceil(fault.seconds)}"
            return answer
        case Fault(kind="delay"):
            await asyncio.sleep(fault.seconds)
        case Fault(kind="lock-lost"):
            return _error(501, "NotServed", "there are no locks to lose here")
    return None


def _drop(request: web.Request) -> web.Response:
    """Close the connection; the answer that aiohttp insists on goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _wait_seconds(prefer: str) -> float:
    """How long a query may take. Raises :class:`ValueError` for a preference that is not served."""
    if not prefer:
        return DEFAULT_WAIT_SECONDS
    if wait := re.fullmatch(r"wait=(\d{1,3})", prefer):
        return float(wait[1])
    raise ValueError(f"the stand-in does not serve this preference: {prefer}")


def _error(status: int, code: str, message: str, inner: dict[str, Any] | None = None) -> web.Response:
    """Azure's error. The message may quote the request, so it is answered but not logged."""
    logger.warning("answered %d %s", status, code)
    error: dict[str, Any] = {"message": message, "code": code, "correlationId": str(uuid4())}
    return web.json_response({"error": error | ({"innererror": inner} if inner else {})}, status=status)


def _invalid(code: str, message: str, detail_code: str = "", detail: str = "") -> web.Response:
    """What the Logs Query API answers to a query that it cannot run: the reason is in the innermost error."""
    inner: dict[str, Any] = {"code": code, "message": message}
    if detail:
        inner["innererror"] = {"code": detail_code, "message": detail}
    return _error(400, "BadArgumentError", "The request had some invalid properties", inner)
