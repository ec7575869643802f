"""The timers: each does its round and may run twice, late, or not at all until the next time."""

import logging
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

from governance import caps, costs, reservations
from governance.access import EVERYWHERE
from governance.audit import NOTES
from governance.changes import Journal, change_event
from governance.cost_differences import differences
from governance.sweep import (
    ABANDONED,
    STUCK,
    announce_pending,
    forget_values,
    give_up,
    kept_usage,
    reconcile,
    release_written,
)
from pipeline import alerts, indexing
from services.clock import utc_now
from services.documents import StoreError
from services.platform import platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

RECONCILED_HOURS = 24
"""How far back ``reconcile_audit`` compares."""
COMPARED_DAYS = 3
"""Which days before today ``reconcile_costs`` compares, should it have missed one."""


class RoundIncomplete(Exception):
    """Some of a timer's steps failed; the others were done. The message names the steps."""


@bp.timer_trigger(arg_name="timer", schedule="0 5 * * * *")
async def rollup_costs(timer: func.TimerRequest) -> None:
    """Hourly: the sums of every team's costs, up to now."""
    store = (await platform()).store
    failed = []
    for team in sorted(await costs.paying_teams(store.budgets, EVERYWHERE)):
        try:
            days = await costs.roll_up(store.budgets, store.usage, team, utc_now())
            log.info("costs of %s: %d days summed", team, days)
        except StoreError as error:  # the next team may have better luck
            log.warning("costs of %s: %s: %s", team, type(error).__name__, error)
            failed.append(team)
    if failed:
        raise RoundIncomplete(", ".join(failed))


@bp.timer_trigger(arg_name="timer", schedule="0 20 4 * * *")
async def reconcile_costs(timer: func.TimerRequest) -> None:
    """Daily: what the ledger, the sums and the trail say of the days before must be the same."""
    services = await platform()
    store, today = services.store, utc_now().date()
    for team in sorted(await costs.paying_teams(store.budgets, EVERYWHERE)):
        for day in (today - timedelta(days=back) for back in range(1, COMPARED_DAYS + 1)):
            for difference in await differences(store, services.audit_log, team, day):
                log.warning("costs of %s on %s differ: %s", team, day, difference)


@bp.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")
async def reset_caps(timer: func.TimerRequest) -> None:
    """Every quarter of an hour, as time zones differ by: a period that has begun starts with nothing spent."""
    begun = await caps.begin_periods((await platform()).store.budgets, EVERYWHERE, utc_now())
    if begun:
        log.info("%d caps began a new period", begun)


@bp.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def sweep(timer: func.TimerRequest) -> None:
    """Every minute: requests given up, reservations expired, audit events sent again, late answers released."""
    services = await platform()
    settings, store, bus, now = services.settings, services.store, services.bus, utc_now()
    ttl = settings.request_ttl_seconds
    orphaned = now - timedelta(seconds=settings.orphan_after_seconds)
    stuck = now - timedelta(seconds=settings.stuck_after_seconds)
    unwritten = now - timedelta(seconds=settings.audit_pending_after_seconds)
    steps = {
        "abandoned": give_up(store, bus, "queued", orphaned, ABANDONED, ttl),
        "stuck": give_up(store, bus, "running", stuck, STUCK, ttl),
        "reservations": reservations.settle_expired(store.budgets, kept_usage(store), now),
        "thresholds": caps.tell_thresholds(store.budgets, now),
        "audit": announce_pending(store, bus, unwritten),
        "answers": release_written(store, bus, stuck),
        "values": forget_values(store, stuck),
        "escalations": alerts.carry_on(services, unwritten),
        "blocked": alerts.watch_blocked(services, now),
        "documents": indexing.take_up(services, unwritten, stuck),
    }
    failed = []
    for what, step in steps.items():  # each for itself: one that can't be done must not keep the others from it
        try:
            if count := await step:
                log.info("swept: %d %s", count, what)
        except Exception as error:
            log.warning("sweep: %s failed: %s", what, type(error).__name__)
            failed.append(what)
    if failed:
        raise RoundIncomplete(", ".join(failed))


@bp.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")
async def reconcile_audit(timer: func.TimerRequest) -> None:
    """Every quarter of an hour: what was written must be found; what is not is made pending for the sweep.

    The trail has an event of each round: alert on a number missing, and on no event.
    """
    services = await platform()
    until = utc_now() - timedelta(seconds=services.settings.reconcile_after_seconds)
    hours = [
        await reconcile(services.store, services.audit_log, until - timedelta(hours=back), timedelta(hours=1))
        for back in range(RECONCILED_HOURS)  # one at a time, since a query gives 500,000 rows at most
    ]
    missing = sum(hour.missing for hour in hours)
    if missing:
        log.warning("%d audit events were not in Log Analytics and are sent again", missing)
    after = {"events": sum(hour.events for hour in hours), "missing": missing}
    told = change_event("audit.reconcile", actor="", target="audit", reason="", After=after)
    await Journal(services.store, services.bus).note("config", NOTES, told)
