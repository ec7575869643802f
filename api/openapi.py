"""``GET /api/openapi.json``: the HTTP API as OpenAPI 3.1, from what the operations declare.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Mapping
from typing import Any

import azure.durable_functions as df
from pydantic import BaseModel, RootModel
from pydantic.json_schema import models_json_schema

from api.health import Alive
from api.operation import OPERATIONS, Call, Operation, Reply, operation
from api.problems import Events, media_type
from governance.problems import PROBLEM_TYPES
from services.version import VERSION

bp = df.Blueprint()

SCHEMAS = "#/components/schemas/{model}"
DESCRIPTION = "x-roles: whose holders may call it, if anybody's; x-support: the holder of a support grant may, too."
CONDITIONS = {
    "If-Match": "What is changed: its ETag, as it was read.",
    "If-None-Match": "`*`, instead of If-Match, to make something new.",
}


class ProblemDetails(BaseModel):
    """RFC 9457: why there is no answer."""

    type: str
    """``/problems/<type>``."""
    title: str
    status: int
    detail: str
    request_id: str | None = None


class OpenApi(RootModel[dict[str, Any]]):
    """The document."""


@operation(bp, "GET", "openapi.json", answers={200: OpenApi}, support=True)
async def get_openapi(call: Call[None]) -> Reply:  # noqa: ARG001
    """This document."""
    return Reply(OpenApi(document()))


def document() -> dict[str, Any]:
    """Every operation there is, in the order of its path."""
    operations = sorted(OPERATIONS.values(), key=lambda each: (each.route, each.method))
    models: set[type[BaseModel]] = {model for each in operations for model in _models(each)} | {Alive, ProblemDetails}
    ordered = sorted(models, key=lambda model: model.__name__)
    references, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=SCHEMAS)
    named: dict[Any, Any] = {model: reference for (model, _), reference in references.items()}
    paths: dict[str, Any] = {}
    for each in operations:
        paths.setdefault(f"/api/{each.route}", {})[each.method.lower()] = _operation(each, named)
    paths["/api/health"] = {"get": _alive(named)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Governed assistants", "version": VERSION, "description": DESCRIPTION},
        "security": [{"entra": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "responses": {
                "Problem": {
                    "description": f"Why there is no answer: {', '.join(PROBLEM_TYPES)}",
                    "content": {"application/problem+json": {"schema": named[ProblemDetails]}},
                }
            },
            "securitySchemes": {"entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _models(declared: Operation) -> set[type[BaseModel]]:
    shapes = {shape for status in declared.answers for shape in _shapes(declared, status)}
    return shapes | {shape for shape in (declared.body, declared.form) if shape}


def _shapes(declared: Operation, status: int) -> list[type[BaseModel]]:
    return [declared.answers[status], *([Events] if declared.streams and status == 200 else [])]


def _operation(declared: Operation, named: dict[Any, Any]) -> dict[str, Any]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", declared.route)
    ]
    headers = [
        {"name": name, "in": "header", "description": description, "required": False, "schema": {"type": "string"}}
        for name, description in CONDITIONS.items()
        if declared.tagged
    ]
    described: dict[str, Any] = {
        "operationId": declared.name,
        "summary": declared.summary,
        "parameters": [*path, *_query(declared), *headers],
        "responses": {
            **{
                str(status): {
                    "description": _first_line(model),
                    "content": {media_type(each): {"schema": named[each]} for each in _shapes(declared, status)},
                }
                for status, model in declared.answers.items()
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    for kind, shape in (("application/json", declared.body), ("multipart/form-data", declared.form)):
        if shape:
            described["requestBody"] = {"required": True, "content": {kind: {"schema": named[shape]}}}
    if declared.roles:
        described["x-roles"] = declared.roles
    if declared.support:
        described["x-support"] = True
    return described


def _alive(named: dict[Any, Any]) -> dict[str, Any]:
    """What has no gate, and so is no operation."""
    return {
        "operationId": "get_alive",
        "summary": "Whether the process answers. No token is asked for.",
        "security": [],
        "parameters": [],
        "responses": {
            "200": {"description": _first_line(Alive), "content": {media_type(Alive): {"schema": named[Alive]}}}
        },
    }


def _query(declared: Operation) -> list[dict[str, Any]]:
    if declared.query is None:
        return []
    schema = declared.query.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _whole(of, schema.get("$defs", {}))}
        for name, of in schema["properties"].items()
    ]


def _whole(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_whole(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("$ref", "").rpartition("/")[2]
    of = definitions[named] if named else {}
    return {name: _whole(each, definitions) for name, each in (of | schema).items() if name != "$ref"}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0] or model.__name__
