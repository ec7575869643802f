"""Who may call what: the expected outcome of every HTTP function for every role, written down by hand.

Nothing here is taken from what the functions declare: it is what they are held to. Each call is one that changes
nothing also for whoever may make it, such as one that names a stale ETag; only a new draft can't be had for less.

The target, where there is one, belongs to the team Finance. All callers are people of Sales, in the audience of
``handbook`` and ``sales-helper`` and not in that of ``ledger``, which Finance owns like ``handbook``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from governance.access import Role

OK = "200"
CREATED = "201"
MALFORMED = "400 malformed"
NO_TOKEN = "401 token-refused"
ROLE_MISSING = "403 role-missing"
SUPPORT_ONLY = "403 support-only"
NOT_FOUND = "404 not-found"
CONFLICT = "409 conflict"
OUTDATED = "412 outdated"
WRONG_TYPE = "415 wrong-content-type"
STOPPED = "423 stopped"


@dataclass(frozen=True)
class Row:
    """One call of a function, and what comes of it."""

    function: str
    call: str
    """Method and path. A name in braces is of something that those without the role must not know of."""
    roles: frozenset[Role]
    outcomes: tuple[str, str, str]
    """For holders of one of the roles: for every team, for the target's team only, for another team only."""
    without: str
    """For everybody else who is signed in."""
    body: Any = None
    if_match: str | None = None
    shows: Callable[[Any], Iterable[str]] | None = None
    """What of an answer belongs to the outcome."""
    support: bool = False
    """Whether the holder of a support grant is answered."""
    what: str = ""
    """Tells the row from another one of the same call."""

    @property
    def id(self) -> str:
        return f"{self.function}: {self.call}{self.what}"


def _ids(body: Any) -> Iterable[str]:
    return (each["id"] for each in next(iter(body.values())))


def _capped(body: Any) -> Iterable[str]:
    return (each["team"] for each in body["caps"])


def _models(body: Any) -> Iterable[str]:
    return (each["id"] for each in body["data"])


def _owners(body: Any) -> Iterable[str]:
    return (each["draft"]["owner_team"] for each in body["assistants"])


def _holders(body: Any) -> Iterable[str]:
    return (each["owner_team"] for each in body["collections"])


WITHOUT_A_GATE = {"get_alive": "/api/health"}
"""What everybody may call, also without a token: it says that the process answers."""
NOBODY = frozenset[Role]()
ANYBODY = frozenset(Role)
PUBLISHER = frozenset({Role.PUBLISHER})
ADMIN = frozenset({Role.PLATFORM_ADMIN})
ADMIN_AUDITOR = frozenset({Role.PLATFORM_ADMIN, Role.AUDITOR})
ADMIN_IT_OPS = frozenset({Role.PLATFORM_ADMIN, Role.IT_OPS})
OBSERVERS = frozenset({Role.PLATFORM_ADMIN, Role.AUDITOR, Role.IT_OPS})
GOVERNOR = frozenset({Role.GOVERNOR})
GOVERNOR_AUDITOR = frozenset({Role.GOVERNOR, Role.AUDITOR})
NAMERS = frozenset({Role.GOVERNOR, Role.AUDITOR, Role.PUBLISHER})
IT_OPS = frozenset({Role.IT_OPS})
GOVERNOR_IT_OPS = frozenset({Role.GOVERNOR, Role.IT_OPS})

IT_OPS = frozenset({Role.IT_OPS})
AUDITOR = frozenset({Role.AUDITOR})
READERS = frozenset({Role.GOVERNOR, Role.IT_OPS, Role.AUDITOR})

STALE = '"stale"'
REASON = {"reason": "a try"}
QUESTION = {"prompt": "What makes a good offer?"}
SETTINGS = {
    "name": "Invoice helper",
    "description": "Reads invoices",
    "system_prompt": "You read invoices.",
    "route": "general",
    "temperature": 0,
    "max_output_tokens": 80,
    "audience": [],
    "owner_team": "finance",
    "policies": ["standard"],
    "residency": "any",
}
DRAFT = {**REASON, "settings": SETTINGS}
GIVEN_AWAY = {**REASON, "settings": {**SETTINGS, "owner_team": "nobody"}}
"""To a team that there is none of: a publisher everywhere is told so, one of Finance may not give it to any other."""
COLLECTION = {
    **REASON,
    "settings": {"name": "Invoices", "owner_team": "finance", "audience": [], "embeddings": "no-such-route"},
}
REPORT = {"kind": "privacy", "severity": "low"}
TEAM = {**REASON, "name": "Finance", "group": "6209f000-0000-4000-8000-0000000000ff"}
ENDPOINT = {
    **REASON,
    "settings": {
        **{"provider": "openai-compatible", "base_url": "http://llama.internal/v1", "model": "small"},
        **{"region": "our cellar", "residency": "self-hosted", "context_tokens": 8000, "output_tokens": 1000},
        "contract": {"no_training": True, "retention_days": 0, "reference": "ours"},
    },
}
ROUTE = {**REASON, "endpoints": ["own-model"]}
CAP = {**REASON, "limit_micro": 1, "currency": "EUR"}
TOO_LATE = {**REASON, "person": "51c70400-0000-4000-8000-0000000000ff", "until": "2020-01-01T00:00:00Z"}
PASSED = {**REASON, "text": "It is over.", "severity": "info", "ends_at": "2020-01-01T00:00:00Z"}

_TEAMS = ("200 finance sales", "200 finance", "200 sales")
_NEVER = ("", "", "")
"""Where no role makes a difference."""

# fmt: off
ROWS = (
    # Asking: what the caller's groups and their own requests give, and no role adds to that.
    Row("list_assistants", "GET /api/assistants", NOBODY, _NEVER, "200 handbook sales-helper", shows=_ids),
    Row("get_assistant", "GET /api/assistants/handbook", NOBODY, _NEVER, OK),
    Row("get_assistant", "GET /api/assistants/{ledger}", NOBODY, _NEVER, NOT_FOUND),
    Row("ingest", "POST /api/assistants/handbook/requests", NOBODY, _NEVER, MALFORMED, {}),
    Row("ingest", "POST /api/assistants/{ledger}/requests", NOBODY, _NEVER, NOT_FOUND, QUESTION),
    Row("get_request", "GET /api/requests/{their_own}", NOBODY, _NEVER, OK),
    Row("get_request", "GET /api/requests/{of_alice}", NOBODY, _NEVER, NOT_FOUND),
    Row("cancel_request", "DELETE /api/requests/{their_own}", NOBODY, _NEVER, "409 conflict"),
    Row("cancel_request", "DELETE /api/requests/{of_alice}", NOBODY, _NEVER, NOT_FOUND),
    Row("list_conversations", "GET /api/conversations", NOBODY, _NEVER, OK),
    Row("get_conversation", "GET /api/conversations/{their_own}", NOBODY, _NEVER, OK),
    Row("get_conversation", "GET /api/conversations/{of_alice}", NOBODY, _NEVER, NOT_FOUND),
    Row("delete_conversation", "DELETE /api/conversations/{of_alice}", NOBODY, _NEVER, NOT_FOUND),
    Row("chat_completions", "POST /api/openai/v1/chat/completions", NOBODY, _NEVER, MALFORMED, {}),
    Row("list_models", "GET /api/openai/v1/models", NOBODY, _NEVER, "200 handbook sales-helper", shows=_models),
    Row("get_model", "GET /api/openai/v1/models/handbook", NOBODY, _NEVER, OK),
    Row("get_model", "GET /api/openai/v1/models/{ledger}", NOBODY, _NEVER, "404 model_not_found"),
    Row("get_me", "GET /api/me", NOBODY, _NEVER, OK, support=True),
    Row("get_openapi", "GET /api/openapi.json", NOBODY, _NEVER, OK, support=True),

    # Publishing.
    Row("list_drafts", "GET /api/drafts", PUBLISHER, _TEAMS, ROLE_MISSING, shows=_owners),
    Row("create_assistant", "POST /api/assistants",
        PUBLISHER, (CREATED, CREATED, ROLE_MISSING), ROLE_MISSING, DRAFT),
    Row("get_draft", "GET /api/assistants/{ledger}/draft",
        PUBLISHER, (OK, OK, NOT_FOUND), NOT_FOUND),
    Row("list_versions", "GET /api/assistants/{ledger}/versions",
        PUBLISHER, (OK, OK, NOT_FOUND), NOT_FOUND),
    Row("put_draft", "PUT /api/assistants/{ledger}/draft",
        PUBLISHER, (OUTDATED, OUTDATED, NOT_FOUND), NOT_FOUND, DRAFT, STALE),
    Row("put_draft", "PUT /api/assistants/{ledger}/draft",
        PUBLISHER, (CONFLICT, ROLE_MISSING, NOT_FOUND), NOT_FOUND, GIVEN_AWAY, "{etag}", what=" for another team"),
    Row("publish_assistant", "POST /api/assistants/{ledger}/publish",
        PUBLISHER, (OUTDATED, OUTDATED, NOT_FOUND), NOT_FOUND, REASON, STALE),
    Row("restore_assistant", "POST /api/assistants/{ledger}/restore",
        PUBLISHER, (OUTDATED, OUTDATED, NOT_FOUND), NOT_FOUND, {**REASON, "version": 1}, STALE),
    Row("retire_assistant", "POST /api/assistants/{ledger}/retire",
        PUBLISHER, (OUTDATED, OUTDATED, NOT_FOUND), NOT_FOUND, REASON, STALE),

    # Collections of documents.
    Row("list_collections", "GET /api/collections", PUBLISHER, _TEAMS, ROLE_MISSING, shows=_holders),
    Row("create_collection", "POST /api/collections",
        PUBLISHER, (CONFLICT, CONFLICT, ROLE_MISSING), ROLE_MISSING, COLLECTION),
    Row("get_collection", "GET /api/collections/{ledger}", PUBLISHER, (OK, OK, NOT_FOUND), NOT_FOUND),
    Row("put_collection", "PUT /api/collections/{ledger}",
        PUBLISHER, (OUTDATED, OUTDATED, NOT_FOUND), NOT_FOUND, COLLECTION, STALE),
    Row("list_documents", "GET /api/collections/{ledger}/documents", PUBLISHER, (OK, OK, NOT_FOUND), NOT_FOUND),
    Row("get_document", "GET /api/collections/{ledger}/documents/none",
        PUBLISHER, (NOT_FOUND, NOT_FOUND, NOT_FOUND), NOT_FOUND),
    Row("add_document", "POST /api/collections/{ledger}/documents",
        PUBLISHER, (WRONG_TYPE, WRONG_TYPE, NOT_FOUND), NOT_FOUND, {}),
    Row("add_version", "POST /api/collections/{ledger}/documents/none/versions",
        PUBLISHER, (NOT_FOUND, NOT_FOUND, NOT_FOUND), NOT_FOUND, {}),
    Row("delete_document", "DELETE /api/collections/{ledger}/documents/none",
        PUBLISHER, (NOT_FOUND, NOT_FOUND, NOT_FOUND), NOT_FOUND),

    # Teams and roles: the platform's, so that no role that is limited to a team reaches them.
    Row("list_teams", "GET /api/teams", ANYBODY, _TEAMS, ROLE_MISSING, shows=_ids),
    Row("put_team", "PUT /api/teams/finance",
        ADMIN, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, TEAM, STALE),
    Row("remove_team", "POST /api/teams/finance/remove",
        ADMIN, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, REASON, STALE),
    Row("list_roles", "GET /api/roles", ADMIN_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("put_role", "PUT /api/roles/auditor",
        ADMIN, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {**REASON, "bindings": []}, STALE),

    # Policies: the platform's, too.
    Row("list_policies", "GET /api/policies", NAMERS, (OK, OK, OK), ROLE_MISSING),
    Row("get_policy", "GET /api/policies/standard",
        GOVERNOR_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("get_policy_version", "GET /api/policies/standard/versions/1",
        GOVERNOR_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("put_policy", "PUT /api/policies/standard",
        GOVERNOR, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {**REASON, "rules": {}}, STALE),
    Row("try_policy", "POST /api/policies/none/try",
        GOVERNOR, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {"text": "any"}),

    # Model endpoints and routes: the platform's, too.
    Row("list_endpoints", "GET /api/endpoints",
        GOVERNOR_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("get_endpoint", "GET /api/endpoints/own-model",
        GOVERNOR_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("put_endpoint", "PUT /api/endpoints/own-model",
        GOVERNOR, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, ENDPOINT, STALE),
    Row("try_endpoint", "POST /api/endpoints/none/test",
        GOVERNOR, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {**REASON, "team": "finance"}),
    Row("list_routes", "GET /api/routes", NAMERS, (OK, OK, OK), ROLE_MISSING),
    Row("get_route", "GET /api/routes/general",
        GOVERNOR_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("put_route", "PUT /api/routes/general",
        GOVERNOR, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, ROUTE, STALE),

    # What people say of answers, and IT Operations' inbox.
    Row("set_reaction", "POST /api/requests/{their_own}/reaction", NOBODY, _NEVER, MALFORMED, {}),
    Row("set_reaction", "POST /api/requests/{of_alice}/reaction", NOBODY, _NEVER, NOT_FOUND, {"useful": True}),
    Row("report_request", "POST /api/requests/{their_own}/report", NOBODY, _NEVER, MALFORMED, {}),
    Row("report_request", "POST /api/requests/{of_alice}/report", NOBODY, _NEVER, NOT_FOUND, REPORT),
    Row("get_feedback", "GET /api/assistants/{ledger}/feedback", PUBLISHER, (OK, OK, NOT_FOUND), NOT_FOUND),
    Row("list_escalations", "GET /api/escalations", IT_OPS, (OK, OK, OK), ROLE_MISSING),
    *(
        Row(function, f"{call} /api/escalations/none{verb}",
            IT_OPS, (NOT_FOUND, NOT_FOUND, NOT_FOUND), NOT_FOUND, body, STALE if body else None)
        for function, call, verb, body in (
            ("get_escalation", "GET", "", None),
            ("acknowledge_escalation", "POST", "/acknowledge", REASON),
            ("assign_escalation", "POST", "/assign", REASON),
            ("comment_escalation", "POST", "/comment", {"text": "a try"}),
            ("stop_escalated", "POST", "/stop", REASON),
            ("open_incident", "POST", "/incident", REASON),
            ("resolve_escalation", "POST", "/resolve", REASON),
        )
    ),
    Row("get_escalation_rules", "GET /api/escalation-rules", GOVERNOR_IT_OPS, (OK, OK, OK), ROLE_MISSING),
    Row("put_escalation_rules", "PUT /api/escalation-rules",
        GOVERNOR, (OUTDATED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {**REASON, "rules": {}}, STALE),

    # The kill switches.
    Row("list_switches", "GET /api/switches", READERS, (OK, OK, OK), ROLE_MISSING),
    Row("get_switch", "GET /api/switches/platform", READERS, (OK, OK, OK), ROLE_MISSING),
    Row("get_switch", "GET /api/switches/{ledger}", READERS, (OK, OK, NOT_FOUND), ROLE_MISSING),
    Row("put_switch", "PUT /api/switches/platform",
        GOVERNOR_IT_OPS, (MALFORMED, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, {}),
    Row("put_switch", "PUT /api/switches/{ledger}",
        GOVERNOR_IT_OPS, (MALFORMED, MALFORMED, NOT_FOUND), ROLE_MISSING, {}),

    # The trail.
    Row("get_own_trail", "GET /api/me/audit?limit=0", NOBODY, _NEVER, MALFORMED),
    Row("get_trail", "GET /api/audit?limit=0", AUDITOR, (MALFORMED, MALFORMED, MALFORMED), ROLE_MISSING),
    Row("export_own_table", "GET /api/me/audit.csv?from=x", NOBODY, _NEVER, MALFORMED),
    Row("export_own_lines", "GET /api/me/audit.jsonl?from=x", NOBODY, _NEVER, MALFORMED),
    Row("export_table", "GET /api/audit.csv?from=x", AUDITOR, (MALFORMED, MALFORMED, MALFORMED), ROLE_MISSING),
    Row("export_lines", "GET /api/audit.jsonl?from=x", AUDITOR, (MALFORMED, MALFORMED, MALFORMED), ROLE_MISSING),

    # Caps.
    Row("list_caps", "GET /api/caps", READERS, _TEAMS, ROLE_MISSING, shows=_capped),
    Row("get_cap", "GET /api/caps/finance", READERS, (OK, OK, ROLE_MISSING), ROLE_MISSING),
    Row("put_cap", "PUT /api/caps/finance", GOVERNOR, (OUTDATED, OUTDATED, ROLE_MISSING), ROLE_MISSING, CAP, STALE),
    Row("reset_cap", "POST /api/caps/finance/reset",
        GOVERNOR, (MALFORMED, MALFORMED, MALFORMED), ROLE_MISSING, {}),
    Row("reset_cap", "POST /api/caps/nobody/reset",
        GOVERNOR, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, REASON, what=" of no team"),

    # Costs: of the teams that the role reaches.
    Row("get_costs", "GET /api/costs", READERS, (OK, OK, OK), ROLE_MISSING),
    Row("get_costs_table", "GET /api/costs.csv", READERS, (OK, OK, OK), ROLE_MISSING),

    # Notices.
    Row("list_notices", "GET /api/notices", OBSERVERS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("publish_notice", "POST /api/notices",
        ADMIN, (CONFLICT, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, PASSED),
    Row("withdraw_notice", "POST /api/notices/none/withdraw",
        ADMIN, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, REASON),

    # The queues.
    Row("list_dead_letters", "GET /api/queues/none/dead-letters",
        IT_OPS, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("redrive_dead_letters", "POST /api/queues/none/dead-letters",
        IT_OPS, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, REASON),

    # Support.
    Row("list_grants", "GET /api/support-grants", ADMIN_AUDITOR, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING),
    Row("open_grant", "POST /api/support-grants",
        ADMIN, (CONFLICT, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, TOO_LATE),
    Row("close_grant", "POST /api/support-grants/none/close",
        ADMIN, (NOT_FOUND, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, REASON),
    Row("get_health", "GET /api/health/ready",
        ADMIN_IT_OPS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, support=True),
    Row("get_versions", "GET /api/support/versions",
        ADMIN_IT_OPS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, support=True),
    Row("get_configuration", "GET /api/support/configuration",
        ADMIN_IT_OPS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, support=True),
    Row("get_queues", "GET /api/queues",
        ADMIN_IT_OPS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, support=True),
    Row("get_errors", "GET /api/support/errors",
        ADMIN_IT_OPS, (OK, ROLE_MISSING, ROLE_MISSING), ROLE_MISSING, support=True),
)
# fmt: on
