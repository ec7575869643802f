"""What follows an escalation by itself: the webhook is told, and the sweep sees to whatever is still due."""

import json
import logging
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from governance.changes import Conflict, Journal, Outdated, change_event
from governance.escalation_rules import Kind, Severity, read_rules
from governance.escalations import (
    Alert,
    Escalation,
    announce_alerts,
    message_body,
    note_attempt,
    open_escalation,
    stop_if_due,
)
from governance.request import Person
from governance.telling import PENDING, tell_pending
from routing.assistants import ASSISTANT
from services.bus import ALERTS
from services.clock import utc_now, utc_text
from services.platform import Platform, platform
from services.webhook import WebhookFailed

log = logging.getLogger(__name__)

bp = df.Blueprint()

MOST_ATTEMPTS = 7
"""Over two hours: a minute after the first, two after the second, and so on."""


@bp.service_bus_queue_trigger(arg_name="message", queue_name=ALERTS, connection="SERVICEBUS")
async def send_alert(message: func.ServiceBusMessage) -> None:
    """Tell the webhook of an urgent report or an incident. What fails is due again later, and given up in the end; the
    trail says which."""
    named = json.loads(message.get_body())
    services = await platform()
    items = services.store.escalations
    document = await items.read(named["escalation"], named["team"])
    if document is None:
        return
    escalation, now = Escalation.model_validate(document), utc_now()
    alert = next((each for each in escalation.alerts if each.id == named["alert"]), None)
    if alert is None or alert.status != PENDING or alert.next_at > now:
        return
    rules, _ = await read_rules(services.store.config)
    error, next_at = "", None
    try:
        if rules.webhook is None:
            raise WebhookFailed("the escalation rules name none any more")
        await services.webhook.post(rules.webhook, _body(escalation, alert))
    except WebhookFailed as failure:
        error = str(failure)
        if alert.attempts + 1 < MOST_ATTEMPTS:
            next_at = now + timedelta(minutes=2**alert.attempts)
    if not await note_attempt(items, escalation, alert, error=error, next_at=next_at):
        return
    if next_at is None:
        event = change_event(
            "escalation.notify",
            actor="",
            target=f"escalation:{escalation.id}",
            reason=error,
            Outcome="failed" if error else "done",
            Team=escalation.team,
            Assistant=escalation.assistant,
            RequestId=escalation.request or "",
            After={"what": alert.what, "attempts": alert.attempts + 1},
        )
        await Journal(services.store, services.bus).note("escalations", escalation.team, event)


def _body(escalation: Escalation, alert: Alert) -> dict[str, Any]:
    incident = escalation.incident.model_dump(mode="json") if alert.what == "incident" and escalation.incident else None
    return {
        "v": 1,
        "id": alert.id,
        "event": f"escalation.{alert.what}",
        "escalation": message_body(escalation),
        **({"incident": incident} if incident else {}),
    }


async def carry_on(services: Platform, before: datetime) -> int:
    """The sweep: messages that no queue has yet, stops and alerts that are due."""
    store, bus = services.store, services.bus
    done = await tell_pending(store.feedback, bus, "assistant", before)
    done += await tell_pending(store.escalations, bus, "team", before)
    query = "SELECT * FROM c WHERE c.type = 'escalation' AND c.stop = 'pending' AND c.changed_at < @before"
    async for document in store.escalations.query(query, {"@before": utc_text(before)}):
        with suppress(Conflict):  # somebody sets the switch at this moment
            await stop_if_due(Journal(store, bus), Escalation.model_validate(document))
            done += 1
    query = """SELECT * FROM c WHERE c.type = 'escalation'
        AND EXISTS(SELECT VALUE n FROM n IN c.alerts WHERE n.status = 'pending' AND n.next_at <= @now)"""
    async for document in store.escalations.query(query, {"@now": utc_text(utc_now())}):
        done += await announce_alerts(bus, Escalation.model_validate(document))
    return done


async def watch_blocked(services: Platform, now: datetime) -> int:
    """The sweep: somebody whose questions are blocked again and again is escalated, if the rules say so; once in the
    time that they count over."""
    store, journal = services.store, Journal(services.store, services.bus)
    rules, _ = await read_rules(store.config)
    if rules.blocked_questions is None:
        return 0
    since = now - timedelta(minutes=rules.blocked_questions.minutes)
    query = """SELECT c.id, c.person, c.team, c.assistant, c.assistant_version FROM c
        WHERE c.problem.type = 'policy-blocked' AND c.ended_at >= @since"""
    blocked: dict[str, list[dict[str, Any]]] = defaultdict(list)
    async for each in store.requests.query(query, {"@since": utc_text(since)}):
        blocked[Person.model_validate(each["person"]).oid].append(each)
    told = 0
    for person, asked in blocked.items():
        last = max(asked, key=lambda each: str(each["id"]))
        assistant = await store.config.read(last["assistant"], ASSISTANT)
        team = str(assistant["draft"]["owner_team"]) if assistant else str(last["team"])
        if len(asked) < rules.blocked_questions.count or await _told_of(services, team, person, since):
            continue
        found = Escalation(
            id=f"{last['id']}:{Kind.BLOCKED}",
            team=team,
            assistant=last["assistant"],
            assistant_version=last["assistant_version"],
            request=last["id"],
            reporter=person,
            unnamed=True,
            kind=Kind.BLOCKED,
            severity=Severity.MEDIUM,
            words=f"{len(asked)} questions were blocked within {rules.blocked_questions.minutes} minutes.",
            created_at=now,
            changed_at=now,
        )
        with suppress(Outdated):  # another round was faster
            opened = await open_escalation(journal, found, rules)
            await announce_alerts(services.bus, opened)
            await stop_if_due(journal, opened)
            told += 1
    return told


async def _told_of(services: Platform, team: str, person: str, since: datetime) -> bool:
    query = """SELECT c.id FROM c WHERE c.type = 'escalation' AND c.kind = 'blocked' AND c.reporter = @person
        AND c.created_at >= @since"""
    found = services.store.escalations.query(query, {"@person": person, "@since": utc_text(since)}, partition=team)
    return bool([each async for each in found])
