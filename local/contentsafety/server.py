"""The two operations over HTTP: who may ask, what is taken, faults, and the shapes of answers and errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from local.contentsafety.words import BUILT_IN, CATEGORIES, Category, Line, is_attack, severity
from local.standin import Control, Fault
from local.tokens import BearerCheck, Unauthorized

AUDIENCE = "https://cognitiveservices.azure.com"
API_VERSION = "2024-09-01"
MAX_CHARACTERS = 10_000
MAX_DOCUMENTS = 5

logger = logging.getLogger(__name__)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_script = TypeAdapter(list[Line])


class _Body(BaseModel):
    """What of the API is served; any other member is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _AnalyzeText(_Body):
    """https://learn.microsoft.com/rest/api/contentsafety/text-operations/analyze-text"""

    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    categories: Annotated[list[Category], Field(min_length=1)] = list(CATEGORIES)
    output_type: Annotated[Literal["FourSeverityLevels"], Field(alias="outputType")] = "FourSeverityLevels"


class _ShieldPrompt(_Body):
    """https://learn.microsoft.com/rest/api/contentsafety/text-operations/shield-prompt"""

    prompt: Annotated[str, Field(alias="userPrompt", max_length=MAX_CHARACTERS)] = ""
    documents: Annotated[list[str], Field(max_length=MAX_DOCUMENTS)] = []

    @model_validator(mode="after")
    def _is_within_the_limits(self) -> Self:
        if not (self.prompt or self.documents):
            raise ValueError("there is neither a prompt nor a document")
        if sum(map(len, self.documents)) > MAX_CHARACTERS:
            raise ValueError(f"the documents have more than {MAX_CHARACTERS} characters together")
        return self


class _Refused(Exception):
    """The call gets an error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ContentSafety:
    def __init__(self, control: Control, check: BearerCheck) -> None:
        self._control = control
        self._check = check
        self._script: list[Line] = []
        control.dump = lambda: _script.dump_json(self._script).decode()
        control.routes.append(web.put("/control/script", self._put_script))

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._operation])
        app.add_routes(
            [
                web.post("/contentsafety/text:analyze", self._analyze, name="analyze"),
                web.post("/contentsafety/text:shieldPrompt", self._shield_prompt, name="shieldPrompt"),
            ]
        )
        return app

    @web.middleware
    async def _operation(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the operation (the route's name) and applies its fault; gives every refusal the shape of Azure's."""
        operation = request.match_info.route.name
        self._control.count(operation or "refused")
        if operation is None:
            return _error(404, "NotServed", f"the stand-in does not serve {request.method} {request.path}")
        fault = self._control.fault(operation)
        try:
            await self._authenticate(request)
            if failed := await _fail(fault):
                return failed
            if request.query.get("api-version") != API_VERSION:
                raise _Refused(400, "UnsupportedApiVersionValue", f"the stand-in knows api-version {API_VERSION}")
            answer = await handler(request)
        except _Refused as refused:
            return _error(refused.status, refused.code, str(refused))
        if fault is not None and fault.kind == "drop" and request.transport is not None:
            request.transport.abort()
        return answer

    async def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            await self._check.check(token if scheme.lower() == "bearer" else None)
        except Unauthorized as error:
            raise _Refused(401, "Unauthorized", str(error)) from None

    async def _analyze(self, request: web.Request) -> web.Response:
        asked = await _read(_AnalyzeText, request)
        found = {category: severity(self._lines, category, asked.text) for category in asked.categories}
        analyses = [{"category": category, "severity": found[category]} for category in found]
        return web.json_response({"blocklistsMatch": [], "categoriesAnalysis": analyses})

    async def _shield_prompt(self, request: web.Request) -> web.Response:
        asked = await _read(_ShieldPrompt, request)
        prompt = {"userPromptAnalysis": self._analysis(asked.prompt)} if asked.prompt else {}
        return web.json_response({**prompt, "documentsAnalysis": [self._analysis(one) for one in asked.documents]})

    def _analysis(self, text: str) -> dict[str, bool]:
        return {"attackDetected": is_attack(self._lines, text)}

    @property
    def _lines(self) -> list[Line]:
        return [*BUILT_IN, *self._script]

    async def _put_script(self, request: web.Request) -> web.Response:
        try:
            self._script = _script.validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)


async def _read[Asked: _Body](shape: type[Asked], request: web.Request) -> Asked:
    try:
        return shape.model_validate_json(await request.read())
    except ValidationError as error:
        where = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        raise _Refused(400, "InvalidRequestBody", "; ".join(where)) from None


async def _fail(fault: Fault | None) -> web.Response | None:
    """The answer that the fault asks for, if it is one; waits if it asks for that."""
    match fault:
        case Fault(kind="status"):
            answer = _error(fault.status, "Injected", "a fault was asked for at the control port")
            answer.headers["Retry-After"] = f"{fault.seconds:.0f}"
            return answer
        case Fault(kind="delay"):
            await asyncio.sleep(fault.seconds)
        case Fault(kind="lock-lost"):
            return _error(501, "NotServed", "there are no locks to lose here")
    return None


def _error(status: int, code: str, message: str) -> web.Response:
    """Azure's error. The message may quote the request, so it is answered but not logged."""
    logger.warning("answered %d %s", status, code)
    body = {"error": {"code": code, "message": message, "details": []}}
    return web.json_response(body, status=status, headers={"x-ms-error-code": code})
