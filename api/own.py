"""A request of the caller's own, to say something about: also of an assistant that is not theirs any more."""

from pydantic import BaseModel

from api.operation import Call
from api.requests import RequestUnknown
from governance import requests
from governance.changes import Conflict
from governance.request import Request
from routing.assistants import ASSISTANT
from services.documents import Items
from services.together import Together

_own = Together[Items, str, Request | None](requests.load_each, most=100)
"""Where many say something at the same moment, their requests are read together."""


async def asked_by[Body: BaseModel | None](call: Call[Body]) -> Request:
    """The request of the path, which has ended. Raises :class:`api.requests.RequestUnknown`, also for another person's,
    and :class:`governance.changes.Conflict` as long as it is under way."""
    request = await _own.add(call.services.store.requests, call.path("request_id"))
    if request is None or request.person.oid != call.caller.oid:
        raise RequestUnknown
    if not request.over:
        raise Conflict("The request has not ended yet.")
    return request


async def policies_of(config: Items, request: Request) -> list[str]:
    """The guardrail policies of the assistant that was asked, as it is now; none, if there is nothing left of it."""
    document = await config.read(request.assistant, ASSISTANT)
    if document is None:
        return []
    policies: list[str] = (document.get("published") or document["draft"])["policies"]
    return policies


async def owner_of(config: Items, request: Request) -> str:
    """The team that owns the assistant that was asked; that of the one who asked, if there is nothing left of it."""
    document = await config.read(request.assistant, ASSISTANT)
    return request.team if document is None else str(document["draft"]["owner_team"])
