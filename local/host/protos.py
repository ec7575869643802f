"""The messages that the Python worker library exchanges with its host.

In Azure these are protobuf messages on a gRPC stream (FunctionRpc.proto in the repository
Azure/azure-functions-language-worker-protobuf). The library only reads and sets attributes, so plain classes of the
same names do; this module itself is what it is given as its ``protos``. What the product does not use (cookies, for
one) is not here, so that using it fails with its name.
"""

from types import SimpleNamespace
from typing import Any, ClassVar, Literal


class TypedData:
    """A value in one of the forms that the protocol knows (``string``, ``json``, ``bytes``, ``http``, ...), or none."""

    def __init__(self, **form: Any) -> None:
        self._form: str | None = next(iter(form), None)
        self.__dict__.update(form)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        return self._form


class ParameterBinding:
    """A named input or output of an invocation."""

    def __init__(self, name: str, data: TypedData | None) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class RpcHttp(SimpleNamespace):
    """An HTTP request (method, url, headers, params, query, body) or response (status_code, headers, cookies, body)."""


class StatusResult(SimpleNamespace):
    Failure: ClassVar[Literal[0]] = 0
    Success: ClassVar[Literal[1]] = 1

    status: int
    exception: "RpcException | None" = None


class RpcException(SimpleNamespace):
    message: str
    """``<exception class>: <text>``"""
    stack_trace: str


class BindingInfo(SimpleNamespace):
    out: ClassVar[Literal[1]] = 1
    inout: ClassVar[Literal[2]] = 2
    undefined: ClassVar[Literal[0]] = 0


class RpcFunctionMetadata(SimpleNamespace):
    name: str
    function_id: str
    raw_bindings: list[str]
    """Each binding as JSON, what function.json holds."""
    retry_options: Any


class RpcRetryOptions(SimpleNamespace): ...


class WorkerMetadata(SimpleNamespace): ...


class WorkerInitResponse(SimpleNamespace):
    result: StatusResult
    capabilities: dict[str, str]


class FunctionMetadataResponse(SimpleNamespace):
    function_metadata_results: list[RpcFunctionMetadata] | None


class InvocationResponse(SimpleNamespace):
    result: StatusResult
    return_value: TypedData | None = None


class CollectionBytes(SimpleNamespace): ...


class CollectionString(SimpleNamespace): ...


class CollectionSInt64(SimpleNamespace): ...
