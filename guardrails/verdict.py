"""What the guardrails decided about a text, and why; stored and audited as JSON, so never any of the text itself."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Action(StrEnum):
    """What becomes of a text, or of one finding in it; declared from the mildest to the strictest."""

    ALLOW = "allow"
    LOG = "log"
    WARN = "warn"
    REDACT = "redact"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """Greater is stricter."""
        return list(Action).index(self)


class Finding(BaseModel):
    """One place in a text that a rule matched.

    `start` and `end` count code points of the text as it was given to `check`, `end` exclusive. `rule` is the id of the
    deny pattern, or `pii/` and the name of the recogniser.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str
    rule: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    confidence: float = Field(ge=0, le=1)
    action: Action


class Verdict(BaseModel):
    """The strictest action of all findings (allow if there are none), and the findings in order of their place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    findings: tuple[Finding, ...] = ()

    @staticmethod
    def strictest(verdicts: Iterable["Verdict"]) -> Action:
        """The strictest action of several texts'; allow of none."""
        return max((each.action for each in verdicts), key=lambda action: action.severity, default=Action.ALLOW)

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Self:
        """The verdict that these findings amount to."""
        ordered = sorted(findings, key=lambda found: (found.start, found.end, found.category, found.rule))
        action = max((found.action for found in ordered), key=lambda action: action.severity, default=Action.ALLOW)
        return cls(action=action, findings=tuple(ordered))
