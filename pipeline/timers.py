"""The timers: each does its round and may run twice, late, or not at all until the next time."""

import logging
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

from governance import caps, costs
from governance.access import EVERYWHERE
from governance.sweep import ABANDONED, STUCK, announce_pending, forget_values, give_up, reconcile, release_written
from governance.teams import list_teams
from services.clock import utc_now
from services.platform import platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

RECONCILED = timedelta(hours=24)
"""How far back ``reconcile_audit`` compares."""
ROLLED_UP_DAYS = 3
"""Which days ``rollup_costs`` sums anew, should it have missed one."""


class RoundIncomplete(Exception):
    """Some of a timer's steps failed; the others were done. The message names the steps."""


@bp.timer_trigger(arg_name="timer", schedule="0 5 * * * *")
async def rollup_costs(timer: func.TimerRequest) -> None:
    """Hourly: the sums of today and the days before, of every team."""
    store = (await platform()).store
    today = utc_now().date()
    async for team, _ in list_teams(store.config, EVERYWHERE):
        for day in (today - timedelta(days=back) for back in range(ROLLED_UP_DAYS)):
            rows = await costs.roll_up(store.budgets, store.usage, team.id, day)
            log.info("costs of %s on %s: %d rows", team.id, day, rows)


@bp.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
async def reset_caps(timer: func.TimerRequest) -> None:
    """Hourly: a team whose month is over begins the new one with nothing spent."""
    store = (await platform()).store
    async for team, _ in list_teams(store.config, EVERYWHERE):
        if await caps.reset(store.budgets, team.id, utc_now()):
            log.info("the cap of %s was reset", team.id)


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
        "reservations": caps.settle_expired(store.budgets, now),
        "audit": announce_pending(store, bus, unwritten),
        "answers": release_written(store, stuck),
        "values": forget_values(store, stuck),
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
    """Every quarter of an hour: what was written must be found; what is not is made pending for the sweep."""
    services = await platform()
    until = utc_now() - timedelta(seconds=services.settings.reconcile_after_seconds)
    missing = await reconcile(services.store, services.audit_log, until, RECONCILED)
    if missing:
        log.warning("%d audit events were not in Log Analytics and are sent again", missing)
