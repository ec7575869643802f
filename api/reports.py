"""A report of an answer that did harm or may do: to IT Operations, at once (claims F2, F3)."""

from contextlib import suppress

import azure.durable_functions as df
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.operation import Call, Reply, operation
from api.own import asked_by, owner_of, policies_of
from api.words import redacted
from governance.changes import Conflict, Outdated
from governance.escalation_rules import Kind, Severity, read_rules
from governance.escalations import Escalation, EscalationState, announce_alerts, open_escalation, stop_if_due
from services.bus import BusUnavailable
from services.clock import Timestamp, utc_now

bp = df.Blueprint()


class NewReport(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Kind
    severity: Severity
    words: str = Field(default="", max_length=4_000)
    unnamed: bool = False
    """Whether the team that owns the assistant is not to know who reported it; IT Operations do."""

    @field_validator("kind")
    @classmethod
    def _of_people(cls, kind: Kind) -> Kind:
        if kind is Kind.BLOCKED:
            raise ValueError("the guardrails report these")
        return kind


class Report(BaseModel):
    """A report, as the one who made it sees it."""

    id: str
    request_id: str
    kind: Kind
    severity: Severity
    words: str
    """As the guardrails left them."""
    unnamed: bool
    urgent: bool
    state: EscalationState
    created_at: Timestamp


@operation(bp, "POST", "requests/{request_id}/report", body=NewReport, answers={201: Report})
async def report_request(call: Call[NewReport]) -> Reply:
    """Report the answer to one's own question to IT Operations. The same kind of report again is the first one."""
    request = await asked_by(call)
    asked = await call.body()
    store, journal, now = call.services.store, call.journal, utc_now()
    rules, _ = await read_rules(store.config)
    escalation = Escalation(
        id=f"{request.id}:{asked.kind}",
        team=await owner_of(store.config, request),
        assistant=request.assistant,
        assistant_version=request.assistant_version,
        request=request.id,
        reporter=call.caller.oid,
        unnamed=asked.unnamed,
        kind=asked.kind,
        severity=asked.severity,
        words=await redacted(store.config, asked.words, await policies_of(store.config, request)),
        created_at=now,
        changed_at=now,
    )
    opened = await open_escalation(journal, escalation, rules)
    with suppress(BusUnavailable):  # they are due: the sweep sees to them
        await announce_alerts(call.services.bus, opened)
    with suppress(Conflict, Outdated):  # somebody sets the switch at this moment: the sweep looks again
        await stop_if_due(journal, opened)
    shown = opened.model_dump(include=set(Report.model_fields))
    return Reply(Report(request_id=request.id, **shown), 201)
