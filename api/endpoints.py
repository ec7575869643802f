"""Model endpoints and the routes to them: what the governors decide, in use at once; and a call that tries one."""

import azure.durable_functions as df
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.operation import Call, Reply, operation
from api.reason import Reason
from governance.access import Role, TeamId
from governance.changes import Conflict
from governance.problems import ProblemError
from routing import endpoints, routes, trial
from routing.assistants import ConfigId
from routing.endpoints import ENDPOINT, Endpoint, EndpointSettings, read_configured
from routing.routes import ROUTE, Route, RouteSettings
from routing.trial import EndpointTried
from routing.worker import governor

bp = df.Blueprint()

GOVERNORS = (Role.GOVERNOR,)
READERS = (Role.GOVERNOR, Role.AUDITOR)
NAMERS = (Role.GOVERNOR, Role.AUDITOR, Role.PUBLISHER)

_config_id = TypeAdapter[str](ConfigId)


class NothingThere(ProblemError):
    """There is no such endpoint or route, or there can't be."""

    type = "not-found"
    detail = "It is not configured. An id has small letters, digits and hyphens."


class Endpoints(BaseModel):
    endpoints: list[Endpoint]


class Routes(BaseModel):
    routes: list[Route]


class NewEndpoint(Reason):
    settings: EndpointSettings


class NewRoute(RouteSettings, Reason):
    """What serves a workload from now on."""


class EndpointTrial(Reason):
    team: TeamId
    """Who is charged."""


@operation(bp, "GET", "endpoints", answers={200: Endpoints}, roles=READERS)
async def list_endpoints(call: Call[None]) -> Reply:
    """The model endpoints, with their prices and contract terms; of a secret there is the setting's name."""
    call.access.require(*READERS, team=None)
    return Reply(Endpoints(endpoints=await endpoints.list_endpoints(call.services.store.config)))


@operation(bp, "GET", "endpoints/{endpoint_id}", answers={200: Endpoint}, roles=READERS)
async def get_endpoint(call: Call[None]) -> Reply:
    """One endpoint; the ETag is what a change must name."""
    call.access.require(*READERS, team=None)
    return await _found(call, call.path("endpoint_id"), ENDPOINT, Endpoint)


@operation(
    bp, "PUT", "endpoints/{endpoint_id}", body=NewEndpoint, answers={200: Endpoint}, roles=GOVERNORS, tagged=True
)
async def put_endpoint(call: Call[NewEndpoint]) -> Reply:
    """Configure an endpoint, or change it: it holds for the next attempt at a model."""
    call.access.require(*GOVERNORS, team=None)
    asked, etag = await call.body(), call.etag()
    secret = asked.settings.secret
    if secret is not None and secret not in call.services.settings.model_secrets:
        raise Conflict(f"The app has no setting {secret}, or its Key Vault reference could not be resolved.")
    endpoint, etag = await endpoints.save_endpoint(
        call.journal,
        _known_form(call.path("endpoint_id")),
        asked.settings,
        etag=etag,
        actor=call.caller.oid,
        reason=asked.reason,
    )
    return Reply(endpoint, 200, {"ETag": etag})


@operation(
    bp, "POST", "endpoints/{endpoint_id}/test", body=EndpointTrial, answers={200: EndpointTried}, roles=GOVERNORS
)
async def try_endpoint(call: Call[EndpointTrial]) -> Reply:
    """Ask an endpoint one short question of ours, through every gate and at a team's cost; its answer is not shown."""
    call.access.require(*GOVERNORS, team=None)
    asked = await call.body()
    document = await read_configured(call.services.store.config, call.path("endpoint_id"), ENDPOINT)
    if document is None:
        raise NothingThere
    tried = await trial.try_endpoint(
        call.journal,
        governor(call.services),
        Endpoint.model_validate(document),
        team=asked.team,
        actor=call.caller.oid,
        reason=asked.reason,
    )
    return Reply(tried)


@operation(bp, "GET", "routes", answers={200: Routes}, roles=NAMERS)
async def list_routes(call: Call[None]) -> Reply:
    """The workloads that assistants can name, and which endpoints serve each."""
    return Reply(Routes(routes=await routes.list_routes(call.services.store.config)))


@operation(bp, "GET", "routes/{workload}", answers={200: Route}, roles=READERS)
async def get_route(call: Call[None]) -> Reply:
    """What serves one workload; the ETag is what a change must name."""
    call.access.require(*READERS, team=None)
    return await _found(call, call.path("workload"), ROUTE, Route)


@operation(bp, "PUT", "routes/{workload}", body=NewRoute, answers={200: Route}, roles=GOVERNORS, tagged=True)
async def put_route(call: Call[NewRoute]) -> Reply:
    """Decide which endpoints serve a workload, and in which order: it holds for the next question."""
    call.access.require(*GOVERNORS, team=None)
    asked, etag = await call.body(), call.etag()
    route, etag = await routes.save_route(
        call.journal,
        _known_form(call.path("workload")),
        RouteSettings(endpoints=asked.endpoints),
        etag=etag,
        actor=call.caller.oid,
        reason=asked.reason,
    )
    return Reply(route, 200, {"ETag": etag})


async def _found(call: Call[None], item_id: str, kind: str, shape: type[Endpoint] | type[Route]) -> Reply:
    document = await read_configured(call.services.store.config, item_id, kind)
    if document is None:
        raise NothingThere
    return Reply(shape.model_validate(document), 200, {"ETag": document["_etag"]})


def _known_form(item_id: str) -> str:
    try:
        return _config_id.validate_python(item_id)
    except ValidationError:
        raise NothingThere from None
