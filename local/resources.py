"""What Bicep creates in Azure, from the file that it reads, too: containers, queues and the audit table
(``infra/resources.json``). The product itself creates none of it."""

import json
from pathlib import Path
from typing import Any

from local.cosmos.config import Containers, ContainerSpec, VectorSpec
from local.loganalytics.schema import Rule, Stream
from local.servicebus.settings import Entities, QueueSettings

RESOURCES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "infra" / "resources.json").read_text(encoding="utf-8")
)
DATABASE: str = RESOURCES["database"]
DOCUMENTS: str = RESOURCES["blob_container"]
"""The container of uploaded files."""
AUDIT_STREAM: str = RESOURCES["audit_stream"]
EMBEDDING_DIMENSIONS = 384
"""Of the vectors in the index: a container's are decided when it is made, and all embedding models must make such."""
MOST_DELIVERIES = 10
DUPLICATES_SECONDS = 600


def containers() -> Containers:
    specs = [
        ContainerSpec(
            id=each["name"],
            partition_key=each["partition_key"],
            default_ttl=-1 if each["expires"] else None,
            vectors=[
                VectorSpec(path=path, dimensions=EMBEDDING_DIMENSIONS, index="quantizedFlat")
                for path in each["vectors"]
            ],
        )
        for each in RESOURCES["containers"]
    ]
    return Containers(database=DATABASE, containers=specs)


def queues(lock_seconds: float) -> Entities:
    """``lock_seconds``: how long a receiver has for a message before it is handed out again."""
    return Entities(
        queues={
            each["name"]: QueueSettings(
                lock_seconds=lock_seconds,
                max_delivery_count=MOST_DELIVERIES,
                sessions=each["sessions"],
                duplicate_detection_seconds=DUPLICATES_SECONDS if each["duplicate_detection"] else None,
                ttl_seconds=each["ttl_seconds"],
            )
            for each in RESOURCES["queues"]
        }
    )


def audit_table() -> Rule:
    stream = Stream.model_validate({"table": RESOURCES["audit_table"], "columns": RESOURCES["audit_columns"]})
    return Rule.model_validate(
        {
            "rule_id": "dcr-00000000000000000000000000000001",
            "workspace_id": "10650000-0000-4000-8000-000000000001",
            "streams": {AUDIT_STREAM: stream},
        }
    )
