"""The app: every function there is, in the order in which a request meets them."""

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.http.fastapi  # noqa: F401 - makes requests and answers streams

from api import (
    assistants,
    audit,
    caps,
    collections,
    conversations,
    costs,
    documents,
    endpoints,
    escalations,
    health,
    notices,
    openai_api,
    openapi,
    policies,
    publishing,
    queues,
    reactions,
    reports,
    requests,
    support,
    switches,
    teams,
)
from pipeline import (
    alerts,
    answer_request,
    audit_writer,
    checks,
    grounding,
    indexing,
    inference,
    recording,
    start,
    timers,
)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # every route checks the caller's Entra token itself

for blueprint in (
    requests.bp,  # HTTP: ingest, get_request
    openai_api.bp,  # HTTP: OpenAI's API over the assistants
    conversations.bp,  # HTTP: the caller's conversations
    start.bp,  # queue: start
    answer_request.bp,  # orchestrator: answer_request
    checks.bp,  # activities: check_prompt, check_answer
    grounding.bp,  # activity: ground
    inference.bp,  # activity: infer
    recording.bp,  # activities: record, release
    audit_writer.bp,  # queue: write_audit
    timers.bp,  # timers: rollup_costs, reconcile_costs, reset_caps, sweep, reconcile_audit
    assistants.bp,  # HTTP: list_assistants, get_assistant, get_me
    publishing.bp,  # HTTP: an assistant's draft, its versions, publish, restore, retire
    collections.bp,  # HTTP: collections of documents
    documents.bp,  # HTTP: their documents
    indexing.bp,  # queue: start_indexing; orchestrator: index_document; activities: its steps
    teams.bp,  # HTTP: teams and role bindings
    policies.bp,  # HTTP: guardrail policies, their versions, trying one
    endpoints.bp,  # HTTP: model endpoints and the routes to them, trying one
    reactions.bp,  # HTTP: what people say of answers
    reports.bp,  # HTTP: what people report to IT Operations
    escalations.bp,  # HTTP: IT Operations' inbox, and the escalation rules
    alerts.bp,  # queue: send_alert
    switches.bp,  # HTTP: put_switch
    audit.bp,  # HTTP: the trail, one's own and the teams'
    caps.bp,  # HTTP: cost caps
    costs.bp,  # HTTP: what everything cost
    notices.bp,  # HTTP: notices to everybody
    health.bp,  # HTTP: whether the app lives, and which services answer
    queues.bp,  # HTTP: how much waits, dead letters
    support.bp,  # HTTP: support grants, and what support may read
    openapi.bp,  # HTTP: get_openapi
):
    app.register_functions(blueprint)
