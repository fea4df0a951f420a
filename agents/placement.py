"""Who gets a berth, where, and why the others wait."""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agents import lifecycle, outfits
from agents.models import Agent
from events.journal import record
from resources import admission
from resources.sandboxes.protocol import Tier

LEASE_TTL = timedelta(minutes=10)  # renewed every sweep while the agent lives
PATIENCE = timedelta(minutes=5)  # after that, nobody behind a waiting agent overtakes it
RECHECK = timedelta(seconds=30)  # a waiting agent is looked at again even if no event said that room came free


def place(agent_id: uuid.UUID | str, *, now: datetime) -> bool:
    """Reserve a berth for a spawning agent without a host, or note what blocks it. True when it has a host
    now.

    One transaction: the reservation and the link to it stand or fall together.
    """
    with transaction.atomic():
        agent = lifecycle.load(agent_id)
        if agent.state != Agent.State.SPAWNING or agent.host_id is not None:
            return agent.host_id is not None
        spec = agent.resolved["spec"]
        overtaken = _whom_it_would_overtake(agent, now=now)
        answer = (
            admission.Blocked(
                ({"kind": "queue", "behind": str(overtaken.pk), "detail": f"{overtaken.name} waits longer"},)
            )
            if overtaken
            else admission.admit(
                owner=agent.owner,
                generation=agent.generation,
                size=outfits.size_of(spec),
                minimum=Tier(spec["isolation"]["min"]),
                now=now,
                expires_at=now + LEASE_TTL,
            )
        )
        if isinstance(answer, admission.Blocked):
            _note_blocked(agent, answer.reasons, now=now)
            return False
        agent.host, agent.blocked_by, agent.waiting_since = answer.host, [], None
        agent.wake_up_at = now + timedelta(seconds=settings.REDISPATCH_S)
        agent.save(update_fields=["host", "blocked_by", "waiting_since", "wake_up_at"])
        record("agent.placed", agent, actor="system", **lifecycle.snapshot(agent))
        return True


def place_waiting(*, now: datetime, attempts: int = 50) -> int:
    """Room came free: try those who wait, in order. Returns how many got a berth.

    Stops as soon as nobody could be admitted any more; smaller ones may pass a bigger one that has not
    waited long.
    """
    placed = 0
    for agent in waiting()[:attempts]:
        if place(agent.pk, now=now):
            placed += 1
            continue
        agent.refresh_from_db(fields=["blocked_by"])  # empty when it left the queue meanwhile
        if admission.Blocked(tuple(agent.blocked_by)).for_everyone:
            break
    return placed


def waiting() -> Sequence[Agent]:
    """Spawning agents without a host, the next one first."""
    return list(Agent.objects.filter(state=Agent.State.SPAWNING, host=None).order_by("-priority", "created_at", "pk"))


def position(agent: Agent) -> int | None:
    """Place in the queue, from 1; None when it does not wait for a berth."""
    if agent.state != Agent.State.SPAWNING or agent.host_id is not None:
        return None
    return 1 + Agent.objects.filter(_ahead_of(agent), state=Agent.State.SPAWNING, host=None).count()


class Queue:
    """Everybody's place in the queue, by one query at the first question: for lists."""

    def __init__(self) -> None:
        self._places: dict[uuid.UUID, int] | None = None

    def position(self, agent: Agent) -> int | None:
        """Like :func:`position`, as of the first question."""
        if agent.state != Agent.State.SPAWNING or agent.host_id is not None:
            return None
        if self._places is None:
            spawning = Agent.objects.filter(state=Agent.State.SPAWNING, host=None)
            ids = spawning.order_by("-priority", "created_at", "pk").values_list("pk", flat=True)
            self._places = {pk: place for place, pk in enumerate(ids, 1)}
        return self._places.get(agent.pk)


def queue_in(context: MutableMapping[str, Any]) -> Queue:
    """The queue that a list's rows share: made at the first question."""
    queue: Queue = context.setdefault("queue", Queue())
    return queue


def _ahead_of(agent: Agent) -> Q:
    same = Q(priority=agent.priority)
    return (
        Q(priority__gt=agent.priority)
        | (same & Q(created_at__lt=agent.created_at))
        | (same & Q(created_at=agent.created_at, pk__lt=agent.pk))
    )


def _whom_it_would_overtake(agent: Agent, *, now: datetime) -> Agent | None:
    """The first that has waited long enough. One that no host could ever take keeps nobody waiting."""
    patient = Agent.objects.filter(
        _ahead_of(agent), state=Agent.State.SPAWNING, host=None, waiting_since__lt=now - PATIENCE
    )
    ordered = patient.order_by("-priority", "created_at", "pk")
    return next((other for other in ordered if admission.Blocked(tuple(other.blocked_by)).curable), None)


def _note_blocked(agent: Agent, reasons: Sequence[admission.Reason], *, now: datetime) -> None:
    changed = agent.blocked_by != list(reasons)
    agent.blocked_by = list(reasons)
    agent.waiting_since = agent.waiting_since or now
    agent.wake_up_at = now + max(RECHECK, timedelta(seconds=settings.SWEEP_S))
    agent.save(update_fields=["blocked_by", "waiting_since", "wake_up_at"])
    if changed:
        record("agent.blocked", agent, actor="system", **lifecycle.snapshot(agent))
