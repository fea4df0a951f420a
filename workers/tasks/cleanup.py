"""The sweep: what got lost is found. Idempotent, and done by one worker per period however many beats tick."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.utils import timezone

from agents import idleness, outfit_changes, placement, upkeep
from agents.gateway import ledger
from events import delivery
from events.faults import Fault
from operations import budgets, figures, history, queues
from operations.coding import engine, retention, safekeeping, standstill, watching, webhooks
from resources import hosts, orphans, samples, ticks
from resources.models import Host
from sessions import upkeep as terminals
from workers import routes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing to do, at most once per ``every_s`` seconds in the whole cluster."""

    name: str
    every_s: float
    do: Callable[[datetime], None]


def _wake_operations(now: datetime) -> None:
    for operation in engine.overdue(now=now):
        routes.wake_operation(operation)


def _wake_agents(now: datetime) -> None:
    for agent in upkeep.overdue(now=now):
        routes.wake_agent(agent)


def _stop_idle_agents(now: datetime) -> None:
    idleness.stop_idle(busy=queues.agents_at_work() | terminals.agents_attended(), now=now)


def _on_every_host(task: str, *, every_s: float, when: Callable[[], bool] = lambda: True) -> Callable[[datetime], None]:
    expires_s = max(every_s, settings.SWEEP_S)

    def send(now: datetime) -> None:
        if not when():
            return
        for host in Host.objects.filter(heartbeat_at__gt=now - timedelta(seconds=settings.HOST_TTL_S)):
            routes.send(task, queue=routes.host_queue(host.name), expires_s=expires_s, host=host.name)

    return send


def _hosts_duty(name: str, every_s: float, task: str, *, when: Callable[[], bool] = lambda: True) -> Duty:
    return Duty(name, every_s, _on_every_host(task, every_s=every_s, when=when))


def _look_at_pull_requests(now: datetime) -> None:
    for pull_request_id in watching.due(now=now):
        routes.send("forges.look_routinely", pull_request_id=str(pull_request_id))


def _settle_orphaned_calls(now: datetime) -> None:
    ledger.expire(now=now, pulse_s=settings.HOST_TTL_S, after_s=max(UNSETTLED_S, 2 * settings.MODEL_TIMEOUT_S))


UNSETTLED_S = 1500.0  # longer than the gateway holds any call
KEEP_REPLIES = timedelta(days=2)  # for runs that are resumed

DUTIES: tuple[Duty, ...] = (
    Duty("deliver events", 2, lambda now: void(delivery.sweep(now=now))),
    Duty("wake operations", 2, _wake_operations),
    Duty("wake agents", 2, _wake_agents),
    Duty("go on after a pause of the fleet", 5, lambda now: void(standstill.go_on(now=now, actor="system"))),
    Duty("place waiting agents", 15, lambda now: void(placement.place_waiting(now=now))),
    _hosts_duty("tend the warm pool", 10, "agents.tend_pool", when=lambda: bool(settings.WARM_POOL)),
    Duty("stop idle agents", 15, _stop_idle_agents),
    Duty("renew leases", 60, lambda now: void(upkeep.renew_leases(now=now))),
    Duty("release leases without owner", 60, lambda now: void(upkeep.release_expired(now=now))),
    Duty("note lost hosts", 2, lambda now: void(hosts.note_lost(now=now))),
    Duty("agents of lost hosts", 2, lambda now: void(upkeep.fail_on_lost_hosts(now=now))),
    Duty("berths of hosts that are gone", 60, lambda now: void(upkeep.write_off(now=now))),
    Duty("agents of drained hosts", 10, lambda now: void(upkeep.move_off_drained(now=now))),
    Duty("forget old samples", 300, lambda now: void(samples.prune(now=now))),
    Duty("reload outfits", 60, lambda now: void(outfit_changes.reach(actor="system"))),
    _hosts_duty("remove orphans", 120, "cleanup.orphans"),
    Duty("settle calls of dead gateways", 5, _settle_orphaned_calls),
    Duty("forget replies", 3600, lambda now: void(ledger.forget_replies(before=now - KEEP_REPLIES))),
    Duty("budgets of a new day", 60, lambda now: void(budgets.resume_renewed(now=now))),
    Duty("look at pull requests", 5, _look_at_pull_requests),
    Duty("forget deliveries", 3600, lambda now: void(webhooks.forget(now=now))),
    _hosts_duty("tidy vaults", 86_400, "cleanup.tidy_vaults"),
    Duty("lose unattended terminals", 30, lambda now: void(terminals.lose_unattended(now=now))),
    Duty("forget old recordings", 3600, lambda now: void(forget_recordings(now))),
    Duty("queue status", 2, lambda now: queues.publish(now=now)),
    Duty("note how the work stands", history.EVERY.total_seconds(), lambda now: history.note(now=now)),
    Duty("forget how the work stood", 3600, lambda now: void(history.prune(now=now))),
    Duty("figures", 5, lambda now: figures.publish(now=now)),
)


def forget_recordings(now: datetime) -> int:
    return terminals.forget_recordings(now=now, days=settings.TERMINAL_RECORDING_DAYS)


def void(_result: object) -> None:
    """A duty's figures are for tests and callers, not for the sweep."""


@shared_task(name="cleanup.sweep")
def sweep(**_newer: Any) -> None:
    """Do what is due."""
    perform(DUTIES, now=timezone.now())


def perform(duties: Sequence[Duty], *, now: datetime) -> None:
    """Do every duty that is due and not claimed by another worker; a failing one does not stop the others."""
    for duty in duties:
        if not ticks.claim(name=duty.name, every=timedelta(seconds=max(duty.every_s, settings.SWEEP_S)), now=now):
            continue
        try:
            duty.do(now)
        except (DatabaseTrouble, Fault, delivery.DeliveryFailed, OSError) as error:
            log.warning("duty failed; it comes again", extra={"duty": duty.name, "error": str(error)})


@shared_task(name="cleanup.tidy_vaults")
def tidy_vaults(*, host: str, **_newer: Any) -> None:
    """Drop kept work whose time is over, repack the vaults of this host, and drop what killed workers left there."""
    now = timezone.now()
    retention.forget_old(now=now)
    safekeeping.tidy_vaults(now=now)


@shared_task(name="cleanup.orphans")
def remove_orphans(*, host: str, **_newer: Any) -> None:
    """Remove what carries our mark on this host and belongs to nobody any more."""
    orphans.sweep(host_name=host, now=timezone.now())
