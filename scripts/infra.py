"""Whether the code and the infrastructure say the same: ``python -m scripts.infra`` tells what differs, and what to do.

What the code uses is taken from the code: queues from the constants of ``services.bus`` and from triggers,
containers from ``services.documents.Store``, columns from the event's schema, settings from ``services.settings``. What
is declared, from ``infra/resources.json`` (which Bicep and the local stack both read) and from the Bicep files.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from governance.audit import PARTITION_KEYS, audit_columns
from local.resources import RESOURCES
from services import bus
from services.settings import Settings

ROOT = Path(__file__).parents[1]
INFRA = ROOT / "infra"
SHARED = "infra/resources.json, which Bicep and the local stack read"

LEFT_TO_THE_CUSTOMER = {
    "SERVICEBUS": "a connection string, for the local stack alone: in Azure there are no keys",
    "LOGS_QUERY_ENDPOINT": "the public cloud's, unless it is set",
    "GRAPH_ENDPOINT": "the public cloud's, unless it is set",
    **dict.fromkeys(
        (
            *("ANSWER_WAIT_SECONDS", "MODEL_TIMEOUT_SECONDS", "MAX_PROMPT_CHARACTERS", "REQUEST_TTL_SECONDS"),
            *("ORPHAN_AFTER_SECONDS", "STUCK_AFTER_SECONDS", "AUDIT_PENDING_AFTER_SECONDS", "RECONCILE_AFTER_SECONDS"),
        ),
        "has a default",
    ),
}
"""Settings of the code that Bicep does not set, and why."""
OF_THE_HOST = re.compile(
    r"AzureWebJobsStorage__\w+|SERVICEBUS__(credential|clientId)|DURABLE_TASK_SCHEDULER|APPLICATIONINSIGHTS_\w+"
)
"""Settings that the Functions host reads."""


def queues_used() -> set[str]:
    """Every queue that the code names."""
    named = {
        value
        for name, value in vars(bus).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch("[a-z][a-z-]*", value)
    }
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "pipeline").glob("*.py"))
    return named | set(re.findall(r'queue_name="([^"]+)"', code))


def containers_used() -> set[str]:
    """Every container that the store opens."""
    code = (ROOT / "services" / "documents.py").read_text(encoding="utf-8")
    return set(re.findall(r'get_container_client\("(\w+)"\)', code))


def settings_used() -> set[str]:
    """Every setting that the code reads; the secrets of models have names that nobody knows before."""
    return {str(field.alias) for field in Settings.model_fields.values() if field.alias}


def settings_declared() -> set[str]:
    """Every setting that Bicep gives the app."""
    names: set[str] = set()
    for file, start in (
        ("platform.bicep", "    settings: {"),
        ("modules/app.bicep", "var allSettings = union(settings, {"),
    ):
        _, _, rest = (INFRA / file).read_text(encoding="utf-8").partition(start)
        block, _, _ = rest.partition("\n    }" if file == "platform.bicep" else "\n})")
        names |= set(re.findall(r"^\s+([A-Za-z]\w+): ", block, re.MULTILINE))
    return names


def different(what: str, used: Iterable[str], declared: Iterable[str], where: str) -> list[str]:
    """What is on one side only, each with what to do about it."""
    used, declared = set(used), set(declared)
    return [
        *(
            f"{what} {each!r} is used by the code and not declared: add it to {where}"
            for each in sorted(used - declared)
        ),
        *(
            f"{what} {each!r} is declared and used by no code: take it out of {where}, or use it"
            for each in sorted(declared - used)
        ),
    ]


def differences() -> list[str]:
    """All of them; none if code and infrastructure agree."""
    declared = {each["name"]: each for each in RESOURCES["containers"]}
    keys = {name: declared[name]["partition_key"] for name in PARTITION_KEYS if name in declared}
    settings = settings_declared()
    columns, kinds = audit_columns(), RESOURCES["audit_columns"]
    return [
        *different("queue", queues_used(), (each["name"] for each in RESOURCES["queues"]), SHARED),
        *different("container", containers_used(), declared, SHARED),
        *(
            f"container {name!r} is partitioned by {keys[name]} and the code says /{key}: one of them is wrong"
            for name, key in PARTITION_KEYS.items()
            if keys.get(name, f"/{key}") != f"/{key}"
        ),
        *different("column", columns, kinds, SHARED),
        *(
            f"column {name!r} is {kinds[name]} and the code says {kind}: one of them is wrong"
            for name, kind in columns.items()
            if kinds.get(name, kind) != kind
        ),
        *different(
            "setting",
            settings_used() - LEFT_TO_THE_CUSTOMER.keys(),
            {each for each in settings if not OF_THE_HOST.fullmatch(each)},
            "`settings` in infra/platform.bicep (or, with the reason, LEFT_TO_THE_CUSTOMER in scripts/infra.py)",
        ),
    ]


if __name__ == "__main__":
    found = differences()
    sys.stdout.write("\n".join(found or ["code and infrastructure agree"]) + "\n")
    raise SystemExit(bool(found))
