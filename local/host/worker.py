"""Loads a function app and invokes its functions, through Microsoft's Python worker library.

The library is a module with state: a process has one app.
"""

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import azure_functions_runtime as runtime
from azure_functions_runtime import http_v2

from local.host import protos
from local.host.hostjson import Refused
from local.host.protos import ParameterBinding, StatusResult, TypedData
from local.ports import Ports
from local.standin import Control

log = logging.getLogger("local.host")

_TRIGGERS = {"httpTrigger", "serviceBusTrigger", "timerTrigger", "orchestrationTrigger", "activityTrigger"}


_SERVED_SECONDS = 30.0


class FunctionFailed(Exception):
    """The function raised. ``kind`` is the class of its exception, ``text`` what it said."""

    def __init__(self, message: str, stack_trace: str) -> None:
        super().__init__(message)
        self.kind, _, self.text = message.partition(": ")
        self.stack_trace = stack_trace


@dataclass(frozen=True)
class Function:
    name: str
    id: str
    trigger: Mapping[str, Any]
    """The trigger's binding as function.json has it: ``type``, ``name``, ``queueName``, ``route``, ..."""
    clients: tuple[str, ...]
    """The parameters that want a Durable client."""

    @classmethod
    def of(cls, metadata: protos.RpcFunctionMetadata) -> "Function":
        """Raises :class:`~local.host.hostjson.Refused` for bindings that are not served here."""
        if metadata.retry_options is not None:
            raise Refused(f"{metadata.name}: retry policies are not served")
        trigger: dict[str, Any] = {}
        clients = []
        for binding in map(json.loads, metadata.raw_bindings):
            match binding["type"]:
                case kind if kind in _TRIGGERS:
                    trigger = binding
                case "durableClient":
                    clients.append(binding["name"])
                case "http":  # the response of an HTTP function
                    pass
                case kind:
                    raise Refused(f"{metadata.name}: the binding {kind} is not served")
        return cls(metadata.name, metadata.function_id, trigger, tuple(clients))


class Worker:
    """The app of this process.

    ``client_configuration`` is what a Durable client input is given (JSON), None if there is no Durable backend.
    """

    def __init__(self, control: Control, client_configuration: str | None) -> None:
        self._control = control
        self._client_configuration = client_configuration
        self._ports = Ports()
        self.http_uri = ""
        """Where the app answers HTTP requests, once it is loaded."""

    async def load(self, app: Path) -> list[Function]:
        """Import and index ``function_app.py``. Raises :class:`~local.host.hostjson.Refused` if that fails."""
        sys.path.insert(0, str(app))
        os.chdir(app)  # where Azure starts the worker
        # The library lets go of the port that it chose until its server is up, seconds later: in Azure it is alone.
        http_v2.get_unused_tcp_port = self._ports.take
        runtime.start_threadpool_executor()
        initialised = await runtime.worker_init_request(
            _message(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(app)))
        )
        if initialised.result.status != StatusResult.Success:
            raise Refused(f"the app can't be loaded:\n{initialised.result.exception.stack_trace}")
        if "HttpUri" not in initialised.capabilities:
            raise Refused("only apps with HTTP streaming (azurefunctions-extensions-http-fastapi) are served")
        self.http_uri = initialised.capabilities["HttpUri"]
        indexed = await runtime.functions_metadata_request(_message())
        if not indexed.function_metadata_results:
            raise Refused(f"no functions in {app / 'function_app.py'}")
        functions = [Function.of(metadata) for metadata in indexed.function_metadata_results]
        for function in functions:
            if function.clients and self._client_configuration is None:
                raise Refused(f"{function.name} wants a Durable client: start the host with --durable")
        await self._served()
        return functions

    async def _served(self) -> None:
        """Wait until the worker library's server is up. It has set its loggers up to tell of every request by then."""
        address = urlsplit(self.http_uri)
        async with asyncio.timeout(_SERVED_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection(address.hostname, address.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    break
        for name in ("uvicorn", "uvicorn.access"):
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).setLevel(logging.WARNING)

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        metadata: Mapping[str, TypedData] | None = None,
        traceparent: str | None = None,
        invocation_id: str | None = None,
    ) -> TypedData | None:
        """Run the function with ``data`` as its trigger's input; what it returned. Raises :class:`FunctionFailed`.

        That of an HTTP function waits for the request that comes to ``http_uri`` with its invocation id.
        """
        self._control.count(function.name)
        try:
            await self._fault(function.name)
            returned = await self._run(function, data, metadata or {}, traceparent, invocation_id or str(uuid.uuid4()))
            await self._fault(f"{function.name}:done")
        except FunctionFailed as failure:
            self._control.count(f"{function.name}:failed")
            log.error("%s failed\n%s", function.name, failure.stack_trace)
            raise
        return returned

    async def _run(
        self,
        function: Function,
        data: TypedData,
        metadata: Mapping[str, TypedData],
        traceparent: str | None,
        invocation_id: str,
    ) -> TypedData | None:
        inputs = [ParameterBinding(function.trigger["name"], data)]
        inputs += [ParameterBinding(name, TypedData(string=self._client_configuration)) for name in function.clients]
        response = await runtime.invocation_request(
            _message(
                invocation_request=SimpleNamespace(
                    invocation_id=invocation_id,
                    function_id=function.id,
                    input_data=inputs,
                    trigger_metadata=metadata,
                    trace_context=SimpleNamespace(
                        trace_parent=_child_of(traceparent), trace_state="", attributes=dict[str, str]()
                    ),
                    retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
                )
            )
        )
        if response.result.status != StatusResult.Success:
            raise FunctionFailed(response.result.exception.message, response.result.exception.stack_trace)
        returned: TypedData | None = response.return_value
        return returned

    async def _fault(self, operation: str) -> None:
        fault = self._control.fault(operation)
        match fault and fault.kind:
            case None:
                pass
            case "drop":
                log.warning("fault: killed at %s", operation)
                os.kill(os.getpid(), signal.SIGKILL)
            case "delay":
                assert fault
                await asyncio.sleep(fault.seconds)
            case "status":
                raise FunctionFailed(f"Fault: {operation}", "(a fault that was asked for)")
            case kind:
                raise FunctionFailed(f"Fault: {operation}", f"(the host has no fault of kind {kind})")


def _message(**request: Any) -> SimpleNamespace:
    return SimpleNamespace(
        request=SimpleNamespace(**request), properties={"host": "127.0.0.1", "protos": sys.modules[protos.__name__]}
    )


def _child_of(traceparent: str | None) -> str:
    """The W3C traceparent of an invocation: a span of its own, in its cause's trace if that has one."""
    parts = traceparent.split("-") if traceparent else []
    trace = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01"
