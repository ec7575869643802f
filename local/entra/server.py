"""The three faces of the stand-in: Entra and Graph over TLS, the managed identity over plain HTTP, the control port."""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import jwt
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.entra.directory import Directory, UnknownGroup
from local.entra.tokens import KeyRing, TokenRequest, claims_of_managed_identity, claims_of_person
from local.standin import Control

GRAPH = "https://graph.microsoft.com"

logger = logging.getLogger(__name__)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _CheckMemberGroups(BaseModel):
    """https://learn.microsoft.com/graph/api/user-checkmembergroups"""

    model_config = ConfigDict(extra="forbid")

    groupIds: Annotated[list[UUID], Field(min_length=1, max_length=20)]  # noqa: N815


class _ManagedIdentityQuery(BaseModel):
    """https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference"""

    model_config = ConfigDict(extra="forbid")

    api_version: Annotated[str, Field(alias="api-version", pattern="^2019-08-01$")]
    resource: Annotated[str, Field(min_length=1)]
    client_id: UUID | None = None


_group_names = TypeAdapter(list[str])


class Entra:
    """Answers for one tenant. ``url`` (where Entra is served) is set once it is known."""

    def __init__(self, directory: Directory, control: Control) -> None:
        self.url = ""
        self.identity_header = secrets.token_hex(16).upper()
        self._directory = directory
        self._control = control
        self._keys = KeyRing()
        control.dump = lambda: directory.model_dump_json(indent=1)
        control.routes += [
            web.post("/control/token", self._token),
            web.post("/control/roll-key", self._roll_key),
            web.post("/control/drop-old-keys", self._drop_old_keys),
            web.put("/control/people/{name}/groups", self._put_groups),
        ]

    @property
    def authority(self) -> str:
        return f"{self.url}/{self._directory.tenant_id}"

    @property
    def issuer(self) -> str:
        return f"{self.authority}/v2.0"

    def entra_app(self) -> web.Application:
        app = web.Application(middlewares=[self._operation])
        tenant = f"/{self._directory.tenant_id}"
        app.add_routes(
            [
                web.get(f"{tenant}/v2.0/.well-known/openid-configuration", self._metadata, name="openid-configuration"),
                web.get(f"{tenant}/discovery/v2.0/keys", self._jwks, name="jwks"),
                web.post("/v1.0/users/{oid}/checkMemberGroups", self._check_member_groups, name="checkMemberGroups"),
            ]
        )
        return app

    def managed_identity_app(self) -> web.Application:
        app = web.Application(middlewares=[self._operation])
        app.add_routes([web.get("/msi/token", self._managed_identity_token, name="msi-token")])
        return app

    @web.middleware
    async def _operation(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the operation (the route's name) and applies its fault; refuses what is not an operation."""
        operation = request.match_info.route.name
        if operation is None:
            logger.warning("refused: %s %s is not served", request.method, request.path)
            return _error(404, "not_served", f"the stand-in does not serve {request.method} {request.path}")
        self._control.count(operation)
        fault = self._control.fault(operation)
        match fault and fault.kind:
            case "status":
                assert fault is not None
                answer = _error(fault.status, "injected", "a fault was asked for at the control port")
                answer.headers["Retry-After"] = f"{fault.seconds:.0f}"
                return answer
            case "drop":
                return _drop(request)
            case "delay":
                assert fault is not None
                await asyncio.sleep(fault.seconds)
            case "lock-lost":
                return _error(501, "not_served", "there are no locks to lose here")
        return await handler(request)

    async def _metadata(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{self.authority}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response(self._keys.jwks())

    async def _check_member_groups(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise jwt.InvalidTokenError("no bearer token")
            self._keys.verify(token, issuer=self.issuer, audience=GRAPH)
        except jwt.PyJWTError as error:
            return _error(401, "InvalidAuthenticationToken", str(error))
        try:
            asked = _CheckMemberGroups.model_validate_json(await request.read())
            oid = UUID(request.match_info["oid"])
        except ValueError as error:  # pydantic's ValidationError is one
            return _error(400, "Request_BadRequest", str(error))
        person = self._directory.person_by_oid(oid)
        if person is None:
            return _error(404, "Request_ResourceNotFound", f"Resource '{oid}' does not exist.")
        member_of = set(self._directory.group_ids(person))
        answer = web.json_response(
            {
                "@odata.context": f"{GRAPH}/v1.0/$metadata#Collection(Edm.String)",
                "value": [str(group) for group in asked.groupIds if str(group) in member_of],
            }
        )
        answer.enable_compression(web.ContentCoding.gzip)  # as Graph does for clients that take it
        return answer

    async def _managed_identity_token(self, request: web.Request) -> web.Response:
        if not hmac.compare_digest(
            request.headers.get("X-IDENTITY-HEADER", "").encode(), self.identity_header.encode()
        ):
            return _error(401, "unauthorized", "X-IDENTITY-HEADER is missing or wrong")
        try:
            query = _ManagedIdentityQuery.model_validate(dict(request.query))
        except ValidationError as error:
            return _error(400, "invalid_request", str(error))
        claims = claims_of_managed_identity(
            self._directory, issuer=self.issuer, audience=query.resource, client_id=query.client_id
        )
        return web.json_response(
            {
                "access_token": self._keys.sign(claims),
                "expires_on": str(claims["exp"]),
                "resource": query.resource,
                "token_type": "Bearer",
                "client_id": claims["azp"],
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        try:
            how = TokenRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _error(400, "invalid_request", str(error))
        person = self._directory.person(how.person)
        if person is None:
            return _error(404, "unknown_person", f"nobody is called {how.person!r}")
        self._control.count("token")
        claims = claims_of_person(self._directory, person, issuer=self.issuer, how=how)
        return web.json_response({"access_token": self._keys.sign(claims, how)})

    async def _roll_key(self, _: web.Request) -> web.Response:
        return web.json_response({"kid": self._keys.roll()})

    async def _drop_old_keys(self, _: web.Request) -> web.Response:
        self._keys.drop_old()
        return web.Response(status=204)

    async def _put_groups(self, request: web.Request) -> web.Response:
        person = self._directory.person(request.match_info["name"])
        if person is None:
            return _error(404, "unknown_person", f"nobody is called {request.match_info['name']!r}")
        try:
            self._directory.set_groups(person, _group_names.validate_json(await request.read()))
        except (ValidationError, UnknownGroup) as error:
            return _error(400, "invalid_request", str(error))
        return web.Response(status=204)


def _error(status: int, code: str, message: str) -> web.Response:
    """An error in Graph's shape; the other clients read the status only."""
    logger.info("answered %d %s", status, code)
    body: dict[str, Any] = {"error": {"code": code, "message": message}}
    return web.json_response(body, status=status)


def _drop(request: web.Request) -> web.Response:
    """Close the connection; the answer that aiohttp insists on goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
