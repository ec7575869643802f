"""The REST API over HTTP: which operation is meant, who is asking, what is to go wrong, what comes of it.

https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
"""

import asyncio
import base64
import hashlib
import logging
import re
import uuid
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from local.blobs.store import Blob, Blobs, BlockUnknown
from local.standin import Control, Fault
from local.tokens import BearerCheck, Unauthorized

log = logging.getLogger(__name__)

AUDIENCE = "https://storage.azure.com"
VERSION = "2026-04-06"
MOST_BYTES = 100 * 1024 * 1024
"""Of a request; Azure takes more."""

_REFUSED_HEADERS = ("x-ms-lease-id", "x-ms-tags", "x-ms-if-tags", "x-ms-access-tier", "x-ms-copy-source", "x-ms-meta-")
_OPERATIONS = {
    ("PUT", None): "put-blob",
    ("PUT", "block"): "put-block",
    ("PUT", "blocklist"): "put-block-list",
    ("GET", None): "get",
    ("HEAD", None): "properties",
    ("DELETE", None): "delete",
}
_PAGE = 500
"""Names in an answer; Azure gives up to 5,000."""


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.status = status
        self.code = code


class _Place(NamedTuple):
    container: str
    name: str


class Server:
    """Without a ``check`` any token is taken."""

    def __init__(self, blobs: Blobs, control: Control, check: BearerCheck | None) -> None:
        self._blobs = blobs
        self._control = control
        self._check = check
        control.dump = lambda: "".join(blobs.dump())

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        place = _place(request)
        operation = _operation(request, place)
        self._control.count(operation)
        fault = self._control.fault(operation)
        try:
            body = await _body(request)
            await self._authenticate(request)
            if fault and fault.kind == "status":
                raise Refused(fault.status, "ServerBusy", "a fault was asked for at the control port")
            answer = self._answer(operation, request, place, body)
        except Refused as refused:
            answer = _refusal(request, refused, fault)
        if fault and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "drop" and request.transport:
            request.transport.abort()
        answer.headers.update({"x-ms-request-id": str(uuid.uuid4()), "x-ms-version": VERSION})
        return answer

    async def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "SharedKey":
            raise Refused(403, "KeyBasedAuthenticationNotPermitted")
        if scheme != "Bearer":
            raise Refused(401, "NoAuthenticationInformation")
        if self._check:
            try:
                await self._check.check(token)
            except Unauthorized as error:
                raise Refused(401, "InvalidAuthenticationInfo", str(error)) from None

    def _answer(self, operation: str, request: web.Request, place: _Place, body: bytes) -> web.Response:
        if operation == "refused":
            if place.name or request.method == "GET":
                raise Refused(400, "NotSupported", f"{request.method} with {sorted(request.query)} by this stand-in")
            raise Refused(403, "AuthorizationPermissionMismatch")
        unknown = [name for name in request.headers if name.lower().startswith(_REFUSED_HEADERS)]
        known = {"restype", "comp", "showonly", "marker"} if operation == "list" else {"comp", "blockid", "timeout"}
        if unknown or set(request.query) - known:
            raise Refused(400, "NotSupported", f"{unknown} with {sorted(request.query)} by this stand-in")
        if place.container not in self._blobs.containers:
            raise Refused(404, "ContainerNotFound", "The specified container does not exist.")
        match operation:
            case "list":
                return _listed(self._blobs.names(place.container), request.query.get("marker", ""))
            case "put-blob":
                return self._put(request, place, body)
            case "put-block":
                return self._put_block(request, place, body)
            case "put-block-list":
                return self._commit(request, place, body)
        blob = self._blobs.find(*place)
        if blob is None:
            raise Refused(404, "BlobNotFound", "The specified blob does not exist.")
        _check_conditions(request, blob)
        match operation:
            case "get":
                return _content(request, blob)
            case "properties":
                headers = _headers(blob) | {"Content-Length": str(len(blob.content))}
                return web.Response(status=200, headers=headers)
            case _:
                self._blobs.delete(*place)
                return web.Response(status=202, headers={"x-ms-delete-type-permanent": "true"})

    def _put(self, request: web.Request, place: _Place, body: bytes) -> web.Response:
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Refused(400, "NotSupported", "other blobs than block blobs by this stand-in")
        _check_conditions(request, self._blobs.find(*place))
        return _written(self._blobs.put(*place, body, _type(request)))

    def _put_block(self, request: web.Request, place: _Place, body: bytes) -> web.Response:
        block = request.query.get("blockid", "")
        try:
            named = 0 < len(base64.b64decode(block, validate=True)) <= 64
        except ValueError:
            named = False
        if not named:
            raise Refused(400, "InvalidQueryParameterValue", "blockid is not Base64 of 1 to 64 bytes")
        self._blobs.put_block(*place, block, body)
        return web.Response(status=201, headers={"x-ms-request-server-encrypted": "true"})

    def _commit(self, request: web.Request, place: _Place, body: bytes) -> web.Response:
        _check_conditions(request, self._blobs.find(*place))
        try:
            listed = [*ElementTree.fromstring(body)]  # noqa: S314 - of the tests and the product only
        except ElementTree.ParseError:
            raise Refused(400, "InvalidXmlDocument") from None
        try:
            blob = self._blobs.commit(*place, [(each.tag, each.text or "") for each in listed], _type(request))
        except BlockUnknown:
            raise Refused(400, "InvalidBlockList", "The specified block list is invalid.") from None
        return _written(blob)


def _operation(request: web.Request, place: _Place) -> str:
    asked = request.method, request.query.get("comp")
    if place.name:
        return _OPERATIONS.get(asked, "refused")
    of_container = request.query.get("restype") == "container"
    return "list" if place.container and of_container and asked == ("GET", "list") else "refused"


def _listed(names: list[str], marker: str) -> web.Response:
    """A page of names, from ``marker`` on. https://learn.microsoft.com/rest/api/storageservices/list-blobs"""
    rest = [name for name in names if name >= marker]
    blobs = "".join(f"<Blob><Name>{escape(name)}</Name></Blob>" for name in rest[:_PAGE])
    following = escape(rest[_PAGE]) if len(rest) > _PAGE else ""
    text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return web.Response(body=body, headers={"Content-Type": "application/xml"})


def _place(request: web.Request) -> _Place:
    container, _, name = request.raw_path.partition("?")[0].lstrip("/").partition("/")
    return _Place(unquote(container), unquote(name))


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        if len(body) <= MOST_BYTES:
            body += chunk
    if len(body) > MOST_BYTES:
        raise Refused(413, "RequestBodyTooLarge")
    sent = request.headers.get("Content-MD5")
    if sent and base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != sent:
        raise Refused(400, "Md5Mismatch")
    return bytes(body)


def _check_conditions(request: web.Request, blob: Blob | None) -> None:
    """https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations"""
    reading = request.method in ("GET", "HEAD")
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if {"If-Modified-Since", "If-Unmodified-Since"} & request.headers.keys():
        raise Refused(400, "NotSupported", "conditions on times by this stand-in")
    if wanted and (blob is None or wanted not in ("*", blob.etag)):
        raise Refused(412, "ConditionNotMet")
    if unwanted and blob and unwanted in ("*", blob.etag):
        if reading:
            raise Refused(304, "ConditionNotMet")
        raise Refused(*((409, "BlobAlreadyExists") if unwanted == "*" else (412, "ConditionNotMet")))


def _content(request: web.Request, blob: Blob) -> web.Response:
    asked = request.headers.get("x-ms-range") or request.headers.get("Range")
    if asked is None:
        return web.Response(status=200, body=blob.content, headers=_headers(blob))
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if match is None:
        raise Refused(400, "InvalidHeaderValue")
    first, size = int(match[1]), len(blob.content)
    last = min(int(match[2]) if match[2] else size - 1, size - 1)
    if first >= size:
        raise Refused(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    headers = _headers(blob) | {"Content-Range": f"bytes {first}-{last}/{size}"}
    return web.Response(status=206, body=blob.content[first : last + 1], headers=headers)


def _type(request: web.Request) -> str:
    return request.headers.get("x-ms-blob-content-type", "application/octet-stream")


def _headers(blob: Blob) -> dict[str, str]:
    return {
        "ETag": blob.etag,
        "Last-Modified": formatdate(blob.modified, usegmt=True),
        "Content-Type": blob.content_type,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "true",
    }


def _written(blob: Blob) -> web.Response:
    headers = {name: value for name, value in _headers(blob).items() if name in ("ETag", "Last-Modified")}
    return web.Response(status=201, headers=headers | {"x-ms-request-server-encrypted": "true"})


def _refusal(request: web.Request, refused: Refused, fault: Fault | None) -> web.Response:
    log.info("%s refused with %s %s: %s", request.method, refused.status, refused.code, refused)
    headers = {"x-ms-error-code": refused.code}
    if fault and refused.status in (429, 503):
        headers["Retry-After"] = f"{fault.seconds:.0f}"
    if request.method == "HEAD" or refused.status == 304:
        return web.Response(status=refused.status, headers=headers)
    text = f"<Error><Code>{refused.code}</Code><Message>{escape(str(refused))}</Message></Error>"
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return web.Response(status=refused.status, body=body, headers=headers | {"Content-Type": "application/xml"})
