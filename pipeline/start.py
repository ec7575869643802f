"""From the ``requests`` queue into the orchestration."""

import json
import logging

import azure.durable_functions as df
import azure.functions as func
import grpc

from governance import requests
from services.bus import REQUESTS
from services.platform import platform

log = logging.getLogger(__name__)

bp = df.Blueprint()


@bp.service_bus_queue_trigger(arg_name="message", queue_name=REQUESTS, connection="SERVICEBUS")
@bp.durable_client_input(client_name="client")
async def start(message: func.ServiceBusMessage, client: df.DurableFunctionsClient) -> None:
    """Start the orchestration, under the request's id, if the request is still queued.

    Durable replaces a finished instance of the same id, so it is the request's state that makes a repeated message
    harmless; an instance that is running is left alone.
    """
    request_id: str = json.loads(message.get_body())["request_id"]
    services = await platform()
    request = await requests.load(services.store.requests, request_id)
    if request is None or request.state != "queued":
        log.info("request %s: not queued (any more), nothing to start", request_id)
        return
    try:
        await client.schedule_new_orchestration(
            "answer_request",
            instance_id=request_id,
            input={"request_id": request_id, "reply_session": message.reply_to_session_id},
        )
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise
        log.info("request %s: already running", request_id)
