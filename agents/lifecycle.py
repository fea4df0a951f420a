"""The life of an agent: request, run, stop, fail, retry.

Each door loads the agent, lets the FSM decide, saves by compare-and-swap on ``generation`` and records the
event, in one transaction. Placing it on a host is :mod:`agents.placement`; making the berth real is
:mod:`agents.berths`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from agents import admittance, faults, size_choice
from agents.models import Agent, Capability, Priority
from agents.outfits import Outfit, outfit
from events.faults import Fault
from events.journal import record
from resources import leases

_FIELDS = (
    "state", "host_id", "tier", "tier_note", "sandbox", "blocked_by", "waiting_since", "error", "resolved",
    "wake_up_at", "claimed_until",
)  # fmt: skip


def check_capabilities(names: Iterable[str], *, pointer: str = "/capabilities") -> list[str]:
    """The names, sorted and unique. Raises UnknownCapability for one outside the fixed set."""
    known = {value for value, _ in Capability.choices}
    unknown = sorted(set(names) - known)
    if unknown:
        raise faults.UnknownCapability(
            f"unknown capability {', '.join(map(repr, unknown))}",
            remedy=f"Choose from {', '.join(sorted(known))}.",
            pointer=pointer,
        )
    return sorted(set(names))


def request_spawn(
    *,
    template: str,
    actor: str,
    by: Any = None,
    name: str = "",
    project_id: uuid.UUID | None = None,
    capabilities: Iterable[str] = (),
    priority: Priority = Priority.NORMAL,
    fitted: Outfit | None = None,
) -> Agent:
    """Ask for an agent from a template: a row in ``spawning``, nothing taken yet. 202 material.

    ``fitted`` is the template as the caller resolved it, for one who calls inside a transaction: resolving reads files.
    Raises the template's faults (unknown, invalid, abstract), UserNotAllowed, UnknownCapability and
    CapabilityNotOffered before anything is written.
    """
    wanted = check_capabilities(capabilities)
    fitted = fitted or outfit(template)
    admittance.check(fitted.spec, template=template, user=by)
    admittance.check_capabilities(fitted.spec, wanted, template=template, pointer="/capabilities")
    now = timezone.now()
    with transaction.atomic():
        agent = Agent(
            template=template,
            resolved=fitted.as_dict(),
            capabilities=wanted or list(fitted.spec.get("capabilities", [])),
            project_id=project_id,
            created_by=by,
            priority=priority,
            created_at=now,
            state_since=now,
            wake_up_at=now + timedelta(seconds=settings.REDISPATCH_S),
        )
        agent.name = name or f"{template[:73]}-{agent.pk.hex[:6]}"
        agent.save(force_insert=True)
        record("agent.spawn_requested", agent, actor=actor, **snapshot(agent))
    return agent


def move(
    agent: Agent,
    step: Callable[[Agent], None],
    *,
    kind: str,
    actor: str,
    reason: str,
    now: datetime | None = None,
    **data: Any,
) -> Agent:
    """One transition of a freshly loaded agent, inside the caller's transaction.

    Refused twice over: by the FSM (IllegalTransition) and by compare-and-swap on ``generation``
    (StaleGeneration).
    """
    now = now or timezone.now()
    before, generation = agent.state, agent.generation
    try:
        step(agent)
    except TransitionNotAllowed:
        raise faults.IllegalTransition(
            f"agent {agent.name} is {before}: {kind.partition('.')[2]} is not possible"
        ) from None
    agent.generation, agent.state_since = generation + 1, now
    agent.claimed_until = None
    agent.wake_up_at = now + timedelta(seconds=settings.REDISPATCH_S) if agent.state in Agent.BUSY else None
    changed = Agent.objects.filter(pk=agent.pk, generation=generation).update(
        generation=agent.generation, state_since=now, **{field: getattr(agent, field) for field in _FIELDS}
    )
    if not changed:
        raise faults.StaleGeneration(f"agent {agent.name} changed in between")
    record(kind, agent, actor=actor, reason=reason, source=before, **snapshot(agent), **data)
    return agent


def load(agent_id: uuid.UUID | str) -> Agent:
    """The agent with its row locked where the database locks rows. Inside a transaction only."""
    agent = Agent.objects.select_for_update(of=("self",)).select_related("host").filter(pk=agent_id).first()
    if agent is None:
        raise faults.AgentNotFound(f"there is no agent {agent_id}")
    return agent


def request_stop(agent_id: uuid.UUID | str, *, actor: str, reason: str) -> Agent:
    """Ask the agent to leave. Asking again, or asking one that has left, changes nothing."""
    with transaction.atomic():
        agent = load(agent_id)
        if agent.state in {Agent.State.STOPPING, Agent.State.STOPPED}:
            return agent
        return move(agent, Agent.leave, kind="agent.stop_requested", actor=actor, reason=reason)


def retry(agent_id: uuid.UUID | str, *, actor: str, reason: str) -> Agent:
    """The way back out of ``error``: spawn anew, on whatever host has room. Waits for its old berth to be cleared."""
    row = Agent.objects.filter(pk=agent_id).values("template", "resolved").first()
    if row is None:
        raise faults.AgentNotFound(f"there is no agent {agent_id}")
    fitted = size_choice.chosen(
        row["template"], row["resolved"].get("chosen", {})
    )  # anew: its ranges and rules meet another host
    with transaction.atomic():
        agent = load(agent_id)
        if leases.live(owner=agent.owner):
            raise faults.IllegalTransition(
                f"the old berth of {agent.name} is still being cleared", remedy="Try again in a moment."
            )
        admittance.check(fitted.spec, template=agent.template, user=agent.created_by)
        agent.resolved = fitted.as_dict()
        return move(agent, Agent.again, kind="agent.spawn_requested", actor=actor, reason=reason)


def fail(agent_id: uuid.UUID | str, *, generation: int, fault: Fault, actor: str) -> Agent | None:
    """The agent broke. None when it has moved on since ``generation``: an old failure is no news."""
    with transaction.atomic():
        agent = load(agent_id)
        if agent.generation != generation or agent.state not in Agent.LIVE:
            return None
        return move(
            agent, lambda a: a.broke(fault.as_dict()), kind="agent.failed", actor=actor, reason=fault.detail,
            error=fault.as_dict(),
        )  # fmt: skip


def cleared(agent: Agent, *, actor: str, reason: str, now: datetime) -> None:
    """Nothing stands any more of a stopping or broken agent's berth: give its leases back. Inside a transaction.

    A stopping agent has thereby stopped; a broken one may be retried.
    """
    leases.release(owner=agent.owner, actor=actor, reason=f"agent {agent.state}", now=now)
    if agent.state == Agent.State.STOPPING:
        move(agent, Agent.left, kind="agent.stopped", actor=actor, reason=reason, now=now)
        return
    Agent.objects.filter(pk=agent.pk, generation=agent.generation).update(
        wake_up_at=None, claimed_until=None, sandbox=None
    )
    record("agent.cleared", agent, actor=actor, reason=reason, **snapshot(agent))


def snapshot(agent: Agent) -> dict[str, Any]:
    """The state of an agent as its events carry it: initial state plus these is the current state."""
    return {
        "state": str(agent.state),
        "generation": agent.generation,
        "name": agent.name,
        "template": agent.template,
        "host": agent.host.name if agent.host else None,
        "tier": agent.tier,
        "size": agent.resolved.get("taken"),
        "blocked_by": agent.blocked_by,
    }
