"""Agents that nobody works with: warned of first, stopped once their template's ``idle_timeout_s`` has passed."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction

from agents import lifecycle, tenure
from agents.models import Agent, Fact
from events.faults import Fault
from events.journal import record
from events.models import Event
from events.plain_text import span

WARNING = "agent.idle"
_WARN_SHARE = 4  # the last quarter of the time
_WARN_MOST = timedelta(minutes=5)
# Seen by looking only: nothing that somebody did.
_PASSIVE = (Fact.Kind.SANDBOX_INSPECTED,)


def stop_idle(*, busy: Collection[uuid.UUID], now: datetime) -> int:
    """Warn of and stop those that are not ``busy``. Idempotent; returns how many were stopped."""
    running = Agent.objects.filter(state=Agent.State.RUNNING).exclude(pk__in=busy).prefetch_related("facts")
    return sum(_look(agent, now=now) for agent in running)


def idle_since(agent: Agent) -> datetime:
    """When it was last worked with, or began to run; later where somebody asked to keep it so much longer."""
    seen = [fact.observed_at for fact in agent.facts.all() if fact.kind not in _PASSIVE]
    timeout = tenure.idle_timeout(agent)
    kept = [agent.keep_until - timeout] if agent.keep_until and timeout else []
    return max([agent.state_since, *seen, *kept])


def stops_at(agent: Agent) -> datetime | None:
    """When it is stopped if nobody works with it any more; None: never."""
    timeout = tenure.idle_timeout(agent)
    return idle_since(agent) + timeout if timeout and agent.state == Agent.State.RUNNING else None


def _look(agent: Agent, *, now: datetime) -> bool:
    timeout = tenure.idle_timeout(agent)
    if timeout is None:
        return False
    since = idle_since(agent)
    notice = min(timeout / _WARN_SHARE, _WARN_MOST)
    if now - since < timeout - notice:
        return False
    warnings = Event.objects.filter(topic=agent.topic, kind=WARNING, created_at__gte=since)
    warned_at = warnings.order_by("id").values_list("created_at", flat=True).first()
    if warned_at is None:
        return _warn(agent, stops_at=max(since + timeout, now + notice), timeout=timeout)
    return now >= max(since + timeout, warned_at + notice) and _stop(agent, timeout=timeout)


def _warn(agent: Agent, *, stops_at: datetime, timeout: timedelta) -> bool:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if current.generation == agent.generation:
            words = f"nobody works with it; it is stopped after {span(timeout)} of that"
            record(
                "agent.idle", current, actor="system", reason=words, stops_at=stops_at.isoformat(),
                **lifecycle.snapshot(current),
            )  # fmt: skip
    return False


def _stop(agent: Agent, *, timeout: timedelta) -> bool:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if current.generation != agent.generation or current.keep_until != agent.keep_until:
            return False
        try:
            lifecycle.request_stop(agent.pk, actor="system", reason=f"idle for {span(timeout)}, as its template allows")
        except Fault:
            return False  # it moved on by itself
    return True
