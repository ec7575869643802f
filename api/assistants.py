"""``GET /api/assistants``: what the caller may ask."""

import azure.durable_functions as df
import azure.functions as func

from api.caller import caller_of
from api.problems import answering_problems, json_response
from routing.assistants import list_assistants as assistants_of
from services.platform import platform

bp = df.Blueprint()


@bp.route("assistants", methods=["GET"])
@answering_problems
async def list_assistants(req: func.HttpRequest) -> func.HttpResponse:
    services = await platform()
    caller = await caller_of(req, services.settings)
    return json_response(
        {
            "assistants": [
                {"id": each.id, "version": each.version, "name": each.name, "description": each.description}
                for each in await assistants_of(services.store.config, caller)
            ]
        }
    )
