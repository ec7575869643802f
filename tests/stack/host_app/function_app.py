"""The function app of tests/stack/test_host.py: one function for each thing that the host must do.

What the functions without an answer see they send to the Unix datagram socket ``HOST_APP_SEEN``, as JSON.
"""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any, List  # noqa: UP035 - the worker library does not take list[...] in an annotation

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.http.fastapi  # noqa: F401 - it makes the host stream
from durabletask.task import OrchestrationContext, TaskFailedError, when_all
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
durable = df.Blueprint()


def seen(kind: str, what: Any) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as test:
        test.sendto(json.dumps({"kind": kind, "pid": os.getpid(), "what": what}).encode(), os.environ["HOST_APP_SEEN"])


@app.route("echo/{first}/{second}", methods=["POST"])
async def echo(req: Request, context: func.Context) -> Response:
    request = {
        "method": req.method,
        "url": str(req.url),
        "headers": dict(req.headers),
        "query": req.query_params.multi_items(),
        "route": dict(req.path_params),
        "body": (await req.body()).decode(),
        "thread": threading.current_thread() is threading.main_thread(),
        "traceparent": context.trace_context.trace_parent,
    }
    return Response(json.dumps(request), 201, {"X-Answer": "yes"}, "application/json")


@app.route("echo/fixed/{second}")
def fixed(req: Request) -> Response:
    return Response(f"fixed, main thread: {threading.current_thread() is threading.main_thread()}")


@app.route("raises", methods=["GET"])
async def raises(req: Request) -> Response:
    raise ValueError("on purpose")


@app.route("slow", methods=["POST"])
async def slow(req: Request) -> Response:
    seen("slow", "began")
    await asyncio.sleep(float(req.query_params["seconds"]))
    seen("slow", "ended")
    return Response("done")


@app.route("streams/{pieces}", methods=["GET"])
async def streams(req: Request) -> StreamingResponse:
    """Piece after piece, each when the test says so; "broken" breaks after the first."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for piece in req.path_params["pieces"].split(","):
                if piece == "broken":
                    raise ValueError("on purpose")
                seen("stream", piece)
                yield f"{piece}\n".encode()
                if piece == "waits":
                    await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen("stream", "cancelled")
            raise

    return StreamingResponse(pieces(), media_type="text/plain")


@durable.route("orchestrations/{name}", methods=["POST"])
@durable.durable_client_input(client_name="client")
async def start(req: Request, client: df.DurableOrchestrationClient) -> Response:
    instance = await client.start_new(req.path_params["name"], client_input=await req.json())
    state = await client.wait_for_orchestration_completion(instance, timeout=20)
    if state is None:
        return Response(status_code=504)
    failure = state.failure_details
    return Response(
        json.dumps(
            {
                "status": state.runtime_status.name,
                "output": state.serialized_output,
                "error": failure and [failure.error_type, failure.message, failure.stack_trace],
            }
        )
    )


@durable.orchestration_trigger(context_name="context")  # type: ignore[arg-type] # its type knows two arguments only
def add_all(context: df.DurableOrchestrationContext) -> Any:
    """The numbers of its input, summed by activities."""
    total = 0
    for number in context.get_input():
        total = yield context.call_activity("add", [total, number])
    return total


@durable.orchestration_trigger(context_name="context")
def together(context: OrchestrationContext, seconds: Any) -> Any:
    """Activities side by side, each of which waits for the others."""
    return (yield when_all([context.call_activity("meet", input=seconds) for _ in range(3)]))


@durable.activity_trigger(input_name="pair")
async def add(pair: Any) -> int:
    total, number = pair
    return int(total) + int(number)


_met = threading.Barrier(3)


@durable.activity_trigger(input_name="seconds")
def meet(seconds: int) -> str:
    _met.wait(timeout=seconds)
    return "met"


@durable.activity_trigger(input_name="nothing", activity="breaks")
async def breaking(nothing: None) -> None:
    raise LookupError("no such thing")


@durable.orchestration_trigger(context_name="context")
def tells_what_broke(context: OrchestrationContext, _: Any) -> Any:
    try:
        yield context.call_activity("breaks")
    except TaskFailedError as failed:
        return [failed.details.error_type, failed.details.message, failed.details.stack_trace]


def _message(message: func.ServiceBusMessage) -> dict[str, Any]:
    return {
        "body": message.get_body().decode(),
        "message_id": message.message_id,
        "delivery_count": message.delivery_count,
        "correlation_id": message.correlation_id,
        "reply_to_session_id": message.reply_to_session_id,
        "subject": message.subject,
        "content_type": message.content_type,
        "sequence_number": message.sequence_number,
        "enqueued": str(message.enqueued_time_utc),
        "application_properties": message.application_properties,
        "user_properties": message.user_properties,
    }


_pair = asyncio.Barrier(2)


@app.service_bus_queue_trigger("message", queue_name="%HOST_APP_SINGLES%", connection="BUS")
async def single(message: func.ServiceBusMessage) -> None:
    seen("single", _message(message))
    match message.get_body():
        case b"poison":
            raise ValueError("a poisoned message")
        case b"pair":
            await _pair.wait()
        case b"slow":
            await asyncio.sleep(0.5)
            seen("slow", "ended")


@app.service_bus_queue_trigger("messages", queue_name="batches", connection="BUS", cardinality="many")
async def batch(messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
    seen("batch", [_message(message) for message in messages])


@app.timer_trigger("timer", schedule="%HOST_APP_SCHEDULE%")
def tick(timer: func.TimerRequest) -> None:
    logging.info("tick")
    seen("tick", timer.past_due)


@app.timer_trigger("timer", schedule="0 0 0 1 1 *", run_on_startup=True)
async def yearly(timer: func.TimerRequest) -> None:
    seen("yearly", timer.schedule_status["Next"])  # type: ignore[attr-defined] # only the class behind the type has it


app.register_functions(durable)
