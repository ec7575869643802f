"""The OpenAPI document is the HTTP API as it is, is well-formed, and the file in docs/ is it."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import azure.durable_functions as df
import pytest
from azure.functions.decorators.http import HttpTrigger
from pydantic import TypeAdapter

import api
from api.operation import OPERATIONS
from governance.problems import PROBLEM_TYPES
from scripts.openapi import FILE, written

PATH_ITEM = {"get", "put", "post", "delete", "patch"}
OPERATION = {"operationId", "summary", "parameters", "requestBody", "responses", "x-roles", "x-support"}
"""Of the members that an operation may have, those that ours have (section 4.8.10)."""
TYPES = {"array", "boolean", "integer", "null", "number", "object", "string"}
"""JSON Schema 2020-12, Validation, section 6.1.1."""

OF_ACCOUNTS = re.compile(r"password|passphrase|credential|sign_?up|register|(^|[/_])users?\b", re.IGNORECASE)
"""Names that an API with accounts of its own would have."""

type Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    """As a client reads it."""
    return TypeAdapter(Json).validate_json(written())


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and description of each."""
    for path, item in document["paths"].items():
        for method, described in item.items():
            yield path, method, described


def gated(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Those that a token is needed for."""
    return ((path, method, each) for path, method, each in operations(document) if "security" not in each)


def inside(value: Any) -> Iterator[Any]:
    """The value, and everything in it."""
    yield value
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from inside(member)


def references(value: Any) -> list[str]:
    return [each["$ref"] for each in inside(value) if isinstance(each, dict) and "$ref" in each]


def resolved(document: Json, reference: str) -> Any:
    """What a reference into the document points at (RFC 6901). Raises :class:`KeyError`."""
    start, *names = reference.split("/")
    assert start == "#", "it points elsewhere"
    found: Any = document
    for name in names:
        found = found[name.replace("~1", "/").replace("~0", "~")]
    return found


def registered() -> dict[str, tuple[str, list[str]]]:
    """Route and methods of every HTTP function that the API's modules register, by its name."""
    app = df.DFApp()
    for found in pkgutil.iter_modules(api.__path__, "api."):
        blueprint = getattr(importlib.import_module(found.name), "bp", None)
        if blueprint is not None:
            app.register_functions(blueprint)
    triggers = {str(function.get_function_name()): function.get_trigger() for function in app.get_functions()}
    return {
        name: (str(trigger.route), [method.value for method in trigger.methods or ()])
        for name, trigger in triggers.items()
        if isinstance(trigger, HttpTrigger)
    }


def test_when_the_api_has_changed_then_the_file_in_docs_has_too() -> None:
    assert FILE.read_text() == written(), "run `make openapi`"


def test_when_the_document_is_read_then_it_says_what_it_is(document: Json) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"].keys() == {"title", "version", "description"}
    assert document.keys() == {"openapi", "info", "security", "paths", "components"}
    (required,) = document["security"]
    assert required.keys() == document["components"]["securitySchemes"].keys()


def test_when_functions_are_registered_then_each_is_described_once_by_its_name_route_and_method(
    document: Json,
) -> None:
    described = [(each["operationId"], (path, [method.upper()])) for path, method, each in operations(document)]
    assert len(described) == len(dict(described)), "an operationId is there twice"
    assert dict(described) == {name: (f"/api/{route}", methods) for name, (route, methods) in registered().items()}


def test_when_a_path_has_parameters_then_they_and_no_others_are_declared(document: Json) -> None:
    for path, _, each in operations(document):
        declared = [parameter for parameter in each["parameters"] if parameter["in"] == "path"]
        assert [parameter["name"] for parameter in declared] == re.findall(r"{(\w+)}", path)
        assert all(parameter["required"] for parameter in declared), "section 4.8.12.2.1"


def test_when_an_operation_needs_an_etag_then_its_headers_are_declared(document: Json) -> None:
    for _, _, each in gated(document):
        headers = {parameter["name"] for parameter in each["parameters"] if parameter["in"] == "header"}
        tagged = OPERATIONS[each["operationId"]].tagged
        assert headers == ({"If-Match", "If-None-Match"} if tagged else set())


def test_when_an_operation_is_for_roles_or_support_then_it_is_said(document: Json) -> None:
    for _, _, each in gated(document):
        declared = OPERATIONS[each["operationId"]]
        assert tuple(each.get("x-roles", ())) == declared.roles
        assert each.get("x-support", False) is declared.support


@pytest.mark.claim("I1")
def test_when_an_operation_has_no_gate_then_it_is_said_and_there_is_one(document: Json) -> None:
    ((path, method, each),) = [found for found in operations(document) if found not in list(gated(document))]
    assert (path, method, each["security"]) == ("/api/health", "get", [])


def test_when_operations_are_described_then_as_openapi_has_it(document: Json) -> None:
    for path, item in document["paths"].items():
        assert re.fullmatch(r"/api(/[a-z0-9.-]+|/{\w+})+", path)
        assert not path.startswith("/api/admin"), "the platform reserves it"
        assert item.keys() <= PATH_ITEM
    for _, method, each in gated(document):
        assert each.keys() <= OPERATION
        assert each["summary"].endswith((".", "``.")), each["operationId"]
        assert ("requestBody" in each) == (method not in ("get", "delete"))
        *answers, default = each["responses"]
        assert default == "default"
        assert answers
        assert all(re.fullmatch("2[0-9][0-9]", status) for status in answers)
        for parameter in each["parameters"]:
            assert {"name", "in", "required", "schema"} <= parameter.keys()
    contents = [each["content"] for each in inside(document) if isinstance(each, dict) and "content" in each]
    for content in (each for each in contents if all("/" in media for media in each)):  # not a member of that name
        for media in content.values():
            assert references(media["schema"]), "a shape without a name"


def test_when_something_is_referred_to_then_it_is_there_and_nothing_is_there_for_nobody(document: Json) -> None:
    referred = set(references(document))
    for reference in referred:
        assert isinstance(resolved(document, reference), dict)
    components = document["components"]
    parts = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in components[kind]}
    assert parts == referred


def test_when_a_reference_leads_nowhere_then_it_is_noticed(document: Json) -> None:
    with pytest.raises(KeyError):
        resolved(document, "#/components/schemas/NoSuchModel")
    assert references({"a": [{"$ref": "#/x"}], "b": {"c": {"$ref": "#/y"}}}) == ["#/x", "#/y"]


def test_when_shapes_are_named_then_by_their_models_alone(document: Json) -> None:
    for name in document["components"]["schemas"]:
        assert re.fullmatch("[A-Z][A-Za-z]+", name), "two models have one name, or a model is generic"


def test_when_shapes_are_described_then_as_json_schema_has_it(document: Json) -> None:
    for schema in inside(document["components"]["schemas"]):
        if not isinstance(schema, dict) or "type" not in schema or isinstance(schema["type"], dict):
            continue  # not a schema, or the properties of one that has a property of this name
        assert schema["type"] in TYPES
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys()
        if "pattern" in schema:
            re.compile(schema["pattern"])


def test_when_there_is_a_problem_then_the_document_names_its_type_and_has_its_shape(document: Json) -> None:
    problem = document["components"]["responses"]["Problem"]
    assert all(type_ in problem["description"] for type_ in PROBLEM_TYPES)
    assert problem["content"].keys() == {"application/problem+json"}
    assert {"type", "title", "status", "detail"} == set(document["components"]["schemas"]["ProblemDetails"]["required"])


def names_in(part: Any) -> Iterator[str]:
    """Every key of the document, those of paths and properties among them, and the names of parameters."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield key
            yield from names_in(value)
        if "in" in part and "name" in part:
            yield part["name"]
    if isinstance(part, list):
        for each in part:
            yield from names_in(each)


@pytest.mark.claim("I2")
def test_when_the_api_is_read_then_nothing_in_it_signs_up_or_takes_a_password(document: Json) -> None:
    assert [name for name in names_in(document) if OF_ACCOUNTS.search(name)] == []
    assert document["components"]["securitySchemes"].keys() == {"entra"}
