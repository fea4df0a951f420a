"""What the sweep asks about agents: whose wake-up was lost, who stays, whose host is gone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from agents import berth_volumes, health, lifecycle
from agents.faults import BerthLost, HostDrained
from agents.models import Agent, Fact
from agents.placement import LEASE_TTL
from events.journal import record
from resources import leases, workspaces
from resources.files import WorkspaceFull
from resources.sandboxes import selection
from resources.sandboxes.engine import EngineUnreachable
from resources.sandboxes.protocol import SandboxGone, Tier

PATIENCE = 3  # times MOORAGE_HOST_TTL_S, which a killed worker's new one needs where the machine is busy
GONE_FOR_GOOD = timedelta(minutes=10)  # a host without a heartbeat for so long does not clear its berths any more


def overdue(*, now: datetime, limit: int = 200) -> Sequence[Agent]:
    """Agents whose wake-up got lost, or whose worker did. Each is answered to one caller per redispatch period."""
    again = now + timedelta(seconds=settings.REDISPATCH_S)
    due = Agent.objects.filter(wake_up_at__lte=now).select_related("host").order_by("wake_up_at")[:limit]
    return [
        agent
        for agent in due
        if Agent.objects.filter(pk=agent.pk, wake_up_at=agent.wake_up_at).update(wake_up_at=again)
    ]


def renew_leases(*, now: datetime) -> int:
    """Living agents keep what they hold."""
    owners = [f"agent:{pk}" for pk in Agent.objects.filter(state__in=Agent.LIVE).values_list("pk", flat=True)]
    return leases.renew(owners=owners, expires_at=now + LEASE_TTL)


def fail_on_lost_hosts(*, now: datetime) -> int:
    """Agents whose host stopped beating break with that reason; their operations then move to another host.

    Not before ``PATIENCE`` times the time after which it counts as lost: a worker that was killed is back within
    seconds, slower where the machine is busy, and finds its berths as they were.
    """
    silent_since = now - PATIENCE * timedelta(seconds=settings.HOST_TTL_S)
    failed = 0
    berthed = Agent.objects.filter(state__in=(Agent.State.SPAWNING, Agent.State.RUNNING), host__isnull=False)
    for agent in berthed.select_related("host"):
        heard_at = agent.host.heartbeat_at if agent.host else None
        if agent.host and (heard_at is None or heard_at < silent_since):
            fault = BerthLost(f"host {agent.host.name} stopped beating", host=agent.host.name)
            failed += lifecycle.fail(agent.pk, generation=agent.generation, fault=fault, actor="system") is not None
    return failed


def move_off_drained(*, now: datetime) -> int:
    """Agents that still run on a host when its drain's time is over leave it: their work goes on elsewhere.

    What was begun there is kept before the berth is cleared. Returns how many had to leave.
    """
    until = now - timedelta(seconds=settings.DRAIN_S)
    late = Agent.objects.filter(
        state__in=(Agent.State.SPAWNING, Agent.State.RUNNING), host__draining_since__lte=until
    ).select_related("host")
    left = 0
    for agent in late:
        if agent.host is not None:
            words = f"host {agent.host.name} is drained since {agent.host.draining_since:%H:%M:%S} UTC"
            fault = HostDrained(words, host=agent.host.name)
            left += lifecycle.fail(agent.pk, generation=agent.generation, fault=fault, actor="system") is not None
    return left


def write_off(*, now: datetime) -> int:
    """Nobody can clear a berth of a host that is gone: after ``GONE_FOR_GOOD`` its leases are given back from here.

    So a stop comes to its end and a retry becomes possible. Should the host return, its own orphan sweep finds what
    still stands there. Returns how many agents were written off.
    """
    stuck = Agent.objects.filter(state__in=(Agent.State.STOPPING, Agent.State.ERROR), wake_up_at__isnull=False)
    gone = stuck.filter(host__heartbeat_at__lt=now - GONE_FOR_GOOD)
    return sum(_write_off(agent, now=now) for agent in gone)


def _write_off(agent: Agent, *, now: datetime) -> bool:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if current.generation != agent.generation:
            return False
        lifecycle.cleared(current, actor="system", reason=f"host {current.host} is gone", now=now)
    return True


def inspect(*, host: str, now: datetime, worker: str) -> int:
    """Look at the sandboxes of this host's running agents; one that is gone breaks its agent. Returns how many live."""
    alive = 0
    for agent in Agent.objects.filter(state=Agent.State.RUNNING, host__name=host):
        try:
            there = agent.sandbox is not None and selection.adopt(agent.sandbox).alive()
        except SandboxGone:
            there = False
        except EngineUnreachable as silent:  # nobody can say: its agent stays, and the screen says why
            health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=now, ok=False, detail=silent.detail)
            continue
        health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=now, ok=there, detail="there" if there else "gone")
        fault = (
            (_overfull(agent, now=now) or berth_volumes.overfull(agent))
            if there
            else BerthLost("the sandbox is gone", host=host)
        )
        if fault is None:
            alive += 1
        else:
            lifecycle.fail(agent.pk, generation=agent.generation, fault=fault, actor=worker)
    return alive


def sandbox_died(*, host: str, name: str, cause: str, removed: bool, now: datetime, worker: str) -> bool:
    """The engine says that a container died: shown at once, with its cause. False when no running agent has it.

    One that is still there is started again at the next look, with its workspace; one that was removed breaks its
    agent. A berth that is being cleared dies as it should.
    """
    agent = _agent_in(name, host=host)
    if agent is None:
        return False
    health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=now, ok=False, detail=cause)
    if removed:
        fault = BerthLost(f"the sandbox is gone: {cause}", cause=cause)
        return lifecycle.fail(agent.pk, generation=agent.generation, fault=fault, actor=worker) is not None
    return _note(agent, "agent.sandbox_died", reason=cause, worker=worker)


def out_of_memory(*, host: str, name: str, worker: str) -> bool:
    """A process in a berth was ended for want of memory: said in the agent's stream."""
    agent = _agent_in(name, host=host)
    if agent is None:
        return False
    words = "a process was ended: the berth's memory was used up"
    return _note(agent, "agent.out_of_memory", reason=words, worker=worker)


def _agent_in(sandbox: str, *, host: str) -> Agent | None:
    """Whoever runs in it. Not by the container's label: a warm one keeps that of the days before it was taken."""
    return Agent.objects.filter(state=Agent.State.RUNNING, host__name=host, sandbox__name=sandbox).first()


def _note(agent: Agent, kind: str, *, reason: str, worker: str) -> bool:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if current.generation != agent.generation:
            return False
        record(kind, current, actor=worker, reason=reason, **lifecycle.snapshot(current))
    return True


def engine_silent(*, host: str, now: datetime, words: str) -> int:
    """The engine of a host does not answer: said of every agent whose berth is a container there."""
    berthed = Agent.objects.filter(state=Agent.State.RUNNING, host__name=host, tier=Tier.CONTAINER.value)
    for agent in berthed:
        detail = f"the container engine is gone: {words}"
        health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=now, ok=False, detail=detail)
    return len(berthed)


def _overfull(agent: Agent, *, now: datetime) -> WorkspaceFull | None:
    """Counts the agent's disk. One that is only counted, not bounded, and too much, ends its berth."""
    lease = workspaces.lease_of(agent.owner)
    counted = workspaces.measure(lease, now=now) if lease else None
    if lease is None or counted is None or not counted.over:
        return None
    kind, limit_mb = workspaces.bounds_of(lease)
    if kind is workspaces.Kind.IMAGE:
        return None  # it harms nobody, and its own commands are told
    return WorkspaceFull(f"The berth was ended: {counted.over}.", limit_mb=limit_mb, used_mb=counted.used_mb)


def release_expired(*, now: datetime) -> int:
    """Leases that nobody renews: their agent has ended or is gone. What still stands there is the orphan sweep's."""
    released = 0
    for owner in leases.expired(now=now):
        agent = _agent_named(owner)
        if agent is None or agent.state == Agent.State.STOPPED:
            released += leases.release(owner=owner, actor="system", reason="lease expired", now=now)
    return released


def _agent_named(owner: str) -> Agent | None:
    """The agent that signs its leases so; None for an owner of another kind."""
    kind, _, key = owner.partition(":")
    try:
        return Agent.objects.filter(pk=uuid.UUID(key)).first() if kind == "agent" else None
    except ValueError:
        return None
