"""Guardrail policies as they are kept: the one in use, and every version that ever was.

What is in them is the guardrails' business; here they are documents.
"""

from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from governance.changes import Journal, as_seen, change_event
from governance.problems import ProblemError
from services.clock import Timestamp, utc_now
from services.documents import Document, Items

POLICY = "policy"
"""The partition of ``config``."""

type PolicyId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class PolicyUnknown(ProblemError):
    """There is no such policy, or not in this version."""

    type = "not-found"
    detail = "There is no such policy, or not in this version."


class KeptPolicy(BaseModel):
    """One version of a policy."""

    id: str
    version: int
    rules: dict[str, Any]
    saved_at: Timestamp
    saved_by: str


async def list_policies(config: Items) -> list[tuple[KeptPolicy, str]]:
    """Those in use, each with its ETag, by id."""
    query = "SELECT * FROM c WHERE c.type = 'policy'"
    found = [(policy_in(document), document["_etag"]) async for document in config.query(query, partition=POLICY)]
    return sorted(found, key=lambda each: each[0].id)


async def find_policy(config: Items, policy_id: str) -> tuple[KeptPolicy, str]:
    """The version in use, with its ETag. Raises :class:`PolicyUnknown`."""
    document = await config.read(policy_id, POLICY)
    if document is None or document["type"] != "policy":
        raise PolicyUnknown
    return policy_in(document), document["_etag"]


async def find_version(config: Items, policy_id: str, version: int) -> KeptPolicy:
    """Raises :class:`PolicyUnknown`."""
    document = await config.read(_version_id(policy_id, version), POLICY)
    if document is None:
        raise PolicyUnknown
    return policy_in(document)


async def save_policy(
    journal: Journal, policy_id: str, rules: dict[str, Any], *, etag: str | None, actor: str, reason: str
) -> tuple[KeptPolicy, str]:
    """The next version of a policy, or the first (``etag`` None), in use from now on.

    Raises :class:`governance.changes.Outdated`.
    """
    before = await journal.store.config.read(policy_id, POLICY)
    as_seen(before, etag)
    was = None if before is None else policy_in(before)
    version = 1 if was is None else was.version + 1
    policy = KeptPolicy(id=policy_id, version=version, rules=rules, saved_at=utc_now(), saved_by=actor)
    event = change_event(
        "policy.set",
        actor=actor,
        target=f"policy:{policy_id}",
        reason=reason,
        Before={} if was is None else {"version": was.version, **was.rules},
        After={"version": version, **rules},
    )
    head, kept = policy_documents(policy)
    if before is None:
        return policy, await journal.create("config", head, event, [kept])
    return policy, await journal.replace("config", before, head, event, [kept])


def policy_documents(policy: KeptPolicy) -> tuple[Document, Document]:
    """The document of the version in use, and the one that stays."""
    document = {"kind": POLICY, "v": 1, **policy.model_dump(mode="json"), "policy": policy.id}
    version = {"type": "version", "id": _version_id(policy.id, policy.version)}
    return {**document, "type": "policy"}, {**document, **version}


def policy_in(document: Document) -> KeptPolicy:
    return KeptPolicy.model_validate({**document, "id": document["policy"]})


def _version_id(policy_id: str, version: int) -> str:
    return f"{policy_id}:{version}"
