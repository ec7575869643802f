"""What every HTTP function has in common: who calls is known before anything is done, and every answer has a shape.

An operation is declared with its route, what it takes, what it answers and which roles it is for. From this come the
function that Azure calls, the gate before it, and the OpenAPI document; a route without the gate can't be made.
"""

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import azure.durable_functions as df
from fastapi import Request, Response
from pydantic import BaseModel

from api.body import TEXT_CHARACTERS, read_body, read_query
from api.caller import caller_of
from api.problems import Events, NoAnswer, NotAvailable, Streamed, problem_response, response
from governance.access import Access, Notice, Role, RoleMissing, access_of, access_of_each
from governance.audit import NOTES
from governance.changes import Journal, as_seen
from governance.identity import Caller, TokenRefused
from governance.problems import ProblemError
from governance.refusals import Refusals, Refused
from governance.support import SupportOnly, note_support
from services.bus import BusUnavailable
from services.clock import utc_now
from services.documents import Items, StoreError
from services.logs import LogsUnavailable
from services.platform import Platform, platform
from services.together import Together

log = logging.getLogger(__name__)


class PreconditionRequired(ProblemError):
    """A change must say of what (RFC 6585, section 3)."""

    type = "precondition-required"
    detail = "Send If-Match with the ETag that you read; to make something new, If-None-Match: *."


@dataclass(frozen=True)
class Operation:
    """What is declared of one HTTP function."""

    name: str
    method: str
    route: str
    summary: str
    answers: Mapping[int, type[BaseModel]]
    """By status, what is answered when nothing is wrong."""
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    """What may follow the question mark."""
    form: type[BaseModel] | None
    """What is sent as multipart/form-data, in the place of a body."""
    streams: bool
    """Whether 200 may be server-sent events instead."""
    roles: tuple[Role, ...]
    """Whose holders may call it, for some team at least; none for everybody who is signed in."""
    support: bool
    """Whether the holder of a support grant may call it."""
    tagged: bool
    """Whether a change needs If-Match (or If-None-Match)."""
    patient: bool
    """Whether it waits for others of a burst, to be admitted together with them."""


OPERATIONS: dict[str, Operation] = {}
"""Every operation there is, by the name of its function."""


@dataclass(frozen=True)
class Reply:
    body: BaseModel | Streamed
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call[Body: BaseModel | None]:
    """One call of an operation, by somebody who is known."""

    req: Request
    services: Platform
    access: Access
    declared: Operation
    shape: type[Body] | None

    @property
    def caller(self) -> Caller:
        return self.access.caller

    @property
    def journal(self) -> Journal:
        return Journal(self.services.store, self.services.bus)

    def path(self, name: str) -> str:
        """A part of the path, by its name in the route."""
        value: str = self.req.path_params[name]
        return value

    async def body(self, most_characters: int = TEXT_CHARACTERS) -> Body:
        """Raises what :func:`api.body.read_body` raises."""
        assert self.shape is not None, "the operation declares no body"
        return await read_body(self.req, self.shape, most_characters)

    def query[Query: BaseModel](self, shape: type[Query]) -> Query:
        """Raises :class:`api.body.Malformed`."""
        assert shape is self.declared.query, "it reads the query that it declares"
        return read_query(self.req, shape)

    def etag(self) -> str | None:
        """What the client says it is changing: an ETag, or None for something new (RFC 9110, section 13.1).

        Raises :class:`PreconditionRequired`.
        """
        match: str | None = self.req.headers.get("If-Match")
        none_match: str | None = self.req.headers.get("If-None-Match")
        if match and not none_match:
            return match
        if none_match == "*" and not match:
            return None
        raise PreconditionRequired

    def require_etag(self, document: Mapping[str, Any]) -> None:
        """Raises :class:`PreconditionRequired`, and :class:`governance.changes.Outdated` unless it is this one."""
        as_seen(dict(document), self.etag())


_refusals: Refusals | None = None

PATIENCE_SECONDS = 0.25
"""How long an operation that is patient waits in a burst. In a lull it waits for nothing."""
REFUSED = (401, 403, 404)
"""What a gate says to whom it does not let in."""


type Handler[Body: BaseModel | None] = Callable[[Call[Body]], Awaitable[Reply]]


def operation[Body: BaseModel | None](
    bp: df.Blueprint,
    method: str,
    route: str,
    *,
    answers: Mapping[int, type[BaseModel]],
    body: type[Body] | None = None,
    query: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    roles: tuple[Role, ...] = (),
    outside: type[ProblemError] = RoleMissing,
    support: bool = False,
    tagged: bool = False,
    streams: bool = False,
    patient: bool = False,
    errors: Callable[[ProblemError, Sequence[Notice]], Response] = problem_response,
) -> Callable[[Handler[Body]], Handler[Body]]:
    """Registers a handler as the HTTP function of its name, behind the gate.

    ``outside`` is what somebody is told who holds none of the roles: about an assistant, that there is none. ``errors``
    gives errors their shape, with the notices in force for whoever passed the gate.
    """

    def register(handler: Handler[Body]) -> Handler[Body]:
        declared = Operation(
            name=handler.__name__,
            method=method,
            route=route,
            summary=(handler.__doc__ or "").partition("\n")[0],
            answers=answers,
            body=body,  # type: ignore[arg-type]  # NoneType is no model
            query=query,
            form=form,
            streams=streams,
            roles=roles,
            support=support,
            tagged=tagged,
            patient=patient,
        )
        OPERATIONS[declared.name] = declared

        async def answered(req: Request) -> Response:
            actor = ""
            notices: Sequence[Notice] = ()
            try:
                services = await platform()
                caller = await caller_of(req, services)
                actor = caller.oid
                access = await _admitted(declared, caller, services, outside)
                notices = access.notices
                reply = await handler(Call(req, services, access, declared, body))
                shape = reply.body.shape if isinstance(reply.body, Streamed) else type(reply.body)
                declares = (answers[reply.status], *([Events] if streams else []))
                assert shape in declares, "it answers what it declares"
                return response(reply.body, reply.status, reply.headers)
            except TokenRefused as error:
                log.info("%s: token refused: %s", declared.name, error)
                await _note(services, Refused(error.type, because=str(error)))
                return errors(error, notices)
            except (NoAnswer, SupportOnly) as error:  # which have events of their own
                return errors(error, notices)
            except ProblemError as error:
                if (problem := error.problem()).kind.status in REFUSED:
                    await _note(services, Refused(problem.type, declared.name, actor))
                return errors(error, notices)
            except (StoreError, BusUnavailable, LogsUnavailable) as error:
                log.warning("%s: %s: %s", declared.name, type(error).__name__, error)
                return errors(NotAvailable(), notices)
            except Exception as error:
                # Its message may hold anything, so only its type is logged.
                log.error("%s: %s", declared.name, type(error).__name__)
                return errors(NotAvailable(), notices)

        answered.__name__ = handler.__name__  # by which Azure knows it
        bp.route(route, methods=[method])(answered)
        return handler

    return register


async def _note(services: Platform, refused: Refused) -> None:
    """In the trail, before whoever called is told."""
    global _refusals
    if _refusals is None:
        journal = Journal(services.store, services.bus)
        _refusals = Refusals(functools.partial(journal.note, "config", NOTES))
    await _refusals.note(refused)


async def _access_of_patient(place: tuple[Items, str], callers: Sequence[Caller]) -> Sequence[Access]:
    config, first_admins = place
    return await access_of_each(config, callers, first_admins, utc_now())


_patient = Together[tuple[Items, str], Caller, Access](_access_of_patient, most=100, pause=PATIENCE_SECONDS)
"""What its callers may do is read for all of them together, after the last of them has come: it is fresh for each."""


async def _admitted(declared: Operation, caller: Caller, services: Platform, outside: type[ProblemError]) -> Access:
    """The gate: what the caller may do, and whether that is enough for this operation."""
    config, first_admins = services.store.config, services.settings.platform_admin_group
    if declared.patient:
        access = await _patient.add((config, first_admins), caller)
    else:
        access = await access_of(config, caller, first_admins, utc_now())
    if access.grant is not None:
        await note_support(Journal(services.store, services.bus), access, declared.name, allowed=declared.support)
        if not declared.support:
            raise SupportOnly
    elif declared.roles and access.roles.keys().isdisjoint(declared.roles):
        raise outside
    return access
