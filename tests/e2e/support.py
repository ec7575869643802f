"""How support is opened and closed over HTTP, what victor calls, and what is to be seen of it."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from api.operation import Operation
from local.readback import query_logs
from local.seed import policy, published
from services.clock import utc_text
from tests.e2e.asking import KEPT, Asking, Reply
from tests.e2e.kit import eventually

GRANTS = "/api/support-grants"
READABLE = ("get_health", "get_versions", "get_configuration", "get_queues", "get_errors")
ALSO_ANSWERED = ("get_me", "get_openapi")
"""They tell the holder of a grant about themselves, and about the API."""


def in_(**how: float) -> str:
    return utc_text(datetime.now(UTC) + timedelta(**how))


async def open_grant(asking: Asking, *, by: str = "adam", **members: Any) -> Reply:
    """For the vendor's group and an hour, unless said otherwise; None leaves a member out."""
    usual = {"group": asking.stack.group("Vendor Support"), "reason": "an outage", "until": in_(hours=1)}
    body = {name: value for name, value in {**usual, **members}.items() if value is not None}
    return await asking.call("POST", GRANTS, token=asking.stack.token(by), json=body)


async def close(asking: Asking, grant: str, *, by: str = "adam", reason: str = "that is enough") -> Reply:
    path = f"{GRANTS}/{grant}/close"
    return await asking.call("POST", path, token=asking.stack.token(by), json={"reason": reason})


@asynccontextmanager
async def granted(asking: Asking, **members: Any) -> AsyncIterator[dict[str, Any]]:
    """An open grant meanwhile."""
    opened = await open_grant(asking, **members)
    assert opened.status == 201, opened.text
    try:
        yield opened.body
    finally:
        assert (await close(asking, opened.body["id"])).status == 200


async def call(asking: Asking, operation: Operation, *, token: str | None = None, **ids: str) -> Reply:
    """What victor is answered. ``ids`` are the parts of the path."""
    known = {"team_id": "sales", "role": "auditor", "scope": "platform", "policy_id": "standard", "version": "1"}
    known |= {"endpoint_id": "own-model", "workload": "general", "conversation_id": "none"}
    known |= {"collection_id": "offers", "document_id": "none", "escalation_id": "none", "notice_id": "none"}
    known |= {"name": "audit", **ids}
    path = f"/api/{operation.route.format(**known)}"
    options: dict[str, Any] = {"json": {}} if operation.body else {}
    return await asking.call(operation.method, path, token=token or asking.stack.token("victor"), **options)


async def read(asking: Asking, what: str = "versions") -> Reply:
    return await asking.call("GET", f"/api/support/{what}", token=asking.stack.token("victor"))


def victor(asking: Asking) -> str:
    return str(asking.stack.person("victor").oid)


async def kept(asking: Asking, grant: str, *types: str) -> list[dict[str, Any]]:
    """The events of these types that are in the store under a grant: there as soon as the call is answered."""
    query = "SELECT VALUE c.audit.event FROM c WHERE c.type = 'audit' AND c.audit.event.Grant = @grant"
    events = asking.kit.store.config.query(query, {"@grant": grant}, partition="access")
    return [event async for event in events if event["EventType"] in types]


async def in_trail(asking: Asking, grant: str, expected: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """What victor did under a grant, when the trail says just this: the type and the target of each event."""
    kql = f"AuditEvents_CL | where Grant == '{grant}' and EventType !in ('support.open', 'support.close')"
    wanted = Counter(expected)

    async def told() -> list[dict[str, Any]]:
        events = list({event["EventId"]: event for event in await query_logs(asking.stack, kql)}.values())
        assert Counter((event["EventType"], event["Target"]) for event in events) == wanted
        return events

    events = await eventually(told)
    assert {event["Actor"] for event in events} <= {victor(asking)}
    return events


@asynccontextmanager
async def nothing_changed(asking: Asking) -> AsyncIterator[None]:
    """Fails if anything but events is stored meanwhile."""

    async def written() -> dict[str, int]:
        wanted = {f"{kind} {container}" for kind in KEPT for container in ("requests", "budgets", "control", "config")}
        counts = await asking.stack.control("cosmos").counts()
        return {name: count for name, count in counts.items() if name in wanted - {"create config"}}

    before = await written()
    yield
    assert await written() == before


@asynccontextmanager
async def opened_to_everyone(asking: Asking, word: str) -> AsyncIterator[str]:
    """An assistant whose audience is everyone, with a policy and an endpoint; ``word`` is in all that is not shown."""
    config, id_ = asking.kit.store.config, f"open-house-{secrets.token_hex(4)}"
    settings = {
        **{"name": "Open house", "description": f"About {word}", "system_prompt": f"Praise the {word}."},
        **{"route": "general", "temperature": 0, "max_output_tokens": 80, "audience": "everyone"},
        **{"owner_team": "sales", "policies": ["standard", id_], "residency": "any"},
    }
    rule = {"id": "no-praise", "category": word, "patterns": [rf"\b{word}\b"], "action": "warn"}
    endpoint = {"provider": "openai-compatible", "base_url": f"https://{word}.example/v1", "api_key": word}
    terms = {"no_training": True, "retention_days": 0, "reference": "a contract"}
    place = {"model": "large", "region": "westeurope", "residency": "external", "contract": terms}
    documents = [
        *published(id_, 2, settings),
        *policy(id_, {"acceptable_use": [rule]}),
        {"kind": "endpoint", "id": id_, **endpoint, **place},
    ]
    for document in documents:
        await config.create(document)
    try:
        yield id_
    finally:
        for document in documents:
            await config.batch(document["kind"], [("delete", (document["id"],))])
