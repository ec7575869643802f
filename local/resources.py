"""What Bicep creates in Azure: containers, queues and the audit table. The product itself creates none of it."""

from governance.audit import audit_columns
from local.cosmos.config import Containers, ContainerSpec, VectorSpec
from local.loganalytics.schema import Rule, Stream
from local.servicebus.settings import Entities, QueueSettings

DATABASE = "assistants"
DOCUMENTS = "documents"
"""The container of uploaded files."""
AUDIT_STREAM = "Custom-AuditEvents"
EMBEDDING_DIMENSIONS = 384
"""Of the vectors in the index: a container's are decided when it is made, and all embedding models must make such."""

_PARTITION_KEYS = {
    "config": "/kind",
    "control": "/scope",
    "budgets": "/team",
    "requests": "/id",
    "conversations": "/user",
    "usage": "/team",
    "escalations": "/team",
    "feedback": "/assistant",
    "chunks": "/collection",
}

_EXPIRING = {"config", "control", "requests", "budgets", "conversations", "chunks", "feedback", "escalations"}
"""Containers whose documents may have a ``ttl`` of their own."""


def containers() -> Containers:
    vectors = [VectorSpec(path="/vector", dimensions=EMBEDDING_DIMENSIONS, index="quantizedFlat")]
    specs = [
        ContainerSpec(
            id=name,
            partition_key=key,
            default_ttl=-1 if name in _EXPIRING else None,
            vectors=vectors if name == "chunks" else [],
        )
        for name, key in _PARTITION_KEYS.items()
    ]
    return Containers(database=DATABASE, containers=specs)


def queues(lock_seconds: float) -> Entities:
    """``lock_seconds``: how long a receiver has for a message before it is handed out again."""
    once = QueueSettings(lock_seconds=lock_seconds, max_delivery_count=10, duplicate_detection_seconds=600)
    replies = QueueSettings(lock_seconds=lock_seconds, sessions=True, ttl_seconds=300)
    kept = QueueSettings(lock_seconds=lock_seconds)
    for_others = QueueSettings(lock_seconds=lock_seconds, duplicate_detection_seconds=600, ttl_seconds=14 * 86_400)
    return Entities(
        queues={
            **dict.fromkeys(("requests", "audit", "documents", "alerts"), once),
            "audit-rejected": kept,
            "replies": replies,
            "feedback": for_others,
            "escalations": for_others.model_copy(update={"sessions": True, "max_delivery_count": 10}),
        }
    )


def audit_table() -> Rule:
    return Rule.model_validate(
        {
            "rule_id": "dcr-00000000000000000000000000000001",
            "workspace_id": "10650000-0000-4000-8000-000000000001",
            "streams": {AUDIT_STREAM: Stream.model_validate({"table": "AuditEvents_CL", "columns": audit_columns()})},
        }
    )
