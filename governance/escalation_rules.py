"""What makes a report urgent, and what an urgent one does: the governors' word, for the whole platform."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from governance.changes import Journal, as_seen, change_event
from services.documents import Items

ESCALATION = "escalation"
"""The partition of ``config``."""
RULES_ID = "rules"


class Kind(StrEnum):
    """What a report is about."""

    ETHICAL = "ethical"
    CORRECTNESS = "correctness"
    SAFETY = "safety"
    PRIVACY = "privacy"
    OTHER = "other"
    BLOCKED = "blocked"
    """Nobody's report: somebody's questions were blocked again and again."""


class Severity(StrEnum):
    """Declared from the least."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    def reaches(self, other: "Severity") -> bool:
        return list(Severity).index(self) >= list(Severity).index(other)


class Threshold(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1, le=1_000)
    minutes: int = Field(ge=1, le=7 * 1_440)


class EscalationRules(BaseModel):
    """A report is urgent by its kind, by its severity, or by how many people report the same assistant in a time."""

    model_config = ConfigDict(extra="forbid")

    urgent_kinds: list[Kind] = [Kind.SAFETY]
    urgent_severity: Severity = Severity.HIGH
    reporters: Threshold | None = Threshold(count=5, minutes=60)
    """So many different people."""
    stops_assistant: bool = False
    """Whether an urgent report stops its assistant by itself, until somebody releases it."""
    blocked_questions: Threshold | None = None
    """After how many blocked questions of one person IT Operations are told; never, unless it is set."""
    webhook: Annotated[str, StringConstraints(pattern="^https://[^\\s@#]+$", max_length=2_000)] | None = None
    """Who is told of urgent reports and of incidents, beside the queue: a host that the deployment allows."""


async def read_rules(config: Items) -> tuple[EscalationRules, str | None]:
    """The rules, and the ETag of their document; those of the product and None as long as nobody has set any."""
    document = await config.read(RULES_ID, ESCALATION)
    if document is None:
        return EscalationRules(), None
    return EscalationRules.model_validate(document["rules"]), document["_etag"]


async def save_rules(journal: Journal, rules: EscalationRules, *, etag: str | None, actor: str, reason: str) -> str:
    """Returns the new ETag. Raises :class:`governance.changes.Outdated`."""
    before = await journal.store.config.read(RULES_ID, ESCALATION)
    as_seen(before, etag)
    document = {"kind": ESCALATION, "id": RULES_ID, "v": 1, "rules": rules.model_dump(mode="json")}
    event = change_event(
        "escalation.rules",
        actor=actor,
        target="escalation:rules",
        reason=reason,
        Before={} if before is None else before["rules"],
        After=document["rules"],
    )
    if before is None:
        return await journal.create("config", document, event)
    return await journal.replace("config", before, document, event)
