"""Who gets a berth, where, and why the others wait."""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import lifecycle, line, sizes, wishes
from agents.faults import StaleGeneration
from agents.models import Agent
from events.journal import record
from resources import admission, warm
from resources.models import Host

LEASE_TTL = timedelta(minutes=10)  # renewed every sweep while the agent lives
PATIENCE = timedelta(minutes=5)  # after that, nobody behind a waiting agent overtakes it
RECHECK = timedelta(seconds=30)  # a waiting agent is looked at again even if no event said that room came free
ATTEMPTS = 50  # berths tried for in one pass


class _Tried(Enum):
    PLACED = "placed"
    NOT_WAITING = "not waiting"  # it left, or somebody else has placed it


def place(agent_id: uuid.UUID | str, *, now: datetime) -> bool:
    """Reserve a berth for a spawning agent without a host, or note what blocks it. True when it has a host now.

    Whoever stands before it in the line is served first.
    """
    agent = Agent.objects.filter(pk=agent_id).only("state", "host_id").first()
    if agent is None:
        raise lifecycle.faults.AgentNotFound(f"there is no agent {agent_id}")
    if agent.state == Agent.State.SPAWNING and agent.host_id is None:
        _serve(now=now, until=agent.pk)
    return Agent.objects.filter(pk=agent.pk, host__isnull=False).exists()


def place_waiting(*, now: datetime, attempts: int = ATTEMPTS) -> int:
    """Room came free: try those who wait, in order. Returns how many got a berth."""
    return _serve(now=now, until=None, attempts=attempts)


def _serve(*, now: datetime, until: uuid.UUID | None, attempts: int = ATTEMPTS) -> int:
    """One pass along the line, to its end or to one agent, who hears why it waits if it does.

    Ends where nobody could be admitted any more, and at one that has waited long and that others must not overtake.
    Smaller ones may pass a bigger one that has not; one of the same template as a blocked one need not try.
    """
    placed = tries = 0
    blocked: dict[str, admission.Blocked] = {}  # by template
    for standing in line.places(now=now):
        answer: admission.Blocked | _Tried | None = blocked.get(standing.template)
        if answer is None:
            if tries >= attempts:
                _note_behind(until, count=tries, now=now)
                break
            tries += 1
            answer = _try(standing.agent_id, now=now)
            if isinstance(answer, admission.Blocked):
                _make_way(answer, now=now)
        elif standing.agent_id == until and isinstance(answer, admission.Blocked):
            _note_blocked(until, answer, now=now)
        if standing.agent_id == until:
            break
        if not isinstance(answer, admission.Blocked):
            placed += answer is _Tried.PLACED
            continue
        if in_front := _ends_the_pass(standing, answer, now=now):
            _note_blocked(until, in_front, now=now)
            break
        if not (answer.by_quota or answer.by_volume):
            blocked[standing.template] = answer
    return placed


def _ends_the_pass(standing: line.Place, answer: admission.Blocked, *, now: datetime) -> admission.Blocked | None:
    """What everybody behind is told, where nobody behind can or may be served now."""
    if answer.for_everyone:
        return answer.shared
    patient = standing.blocked_since is not None and standing.blocked_since < now - PATIENCE
    if not (patient and answer.curable):
        return None  # one that no host could ever take keeps nobody waiting
    name = Agent.objects.values_list("name", flat=True).get(pk=standing.agent_id)
    behind = {"kind": "queue", "behind": str(standing.agent_id), "detail": f"{name} waits longer"}
    return admission.Blocked((behind,))


def _try(agent_id: uuid.UUID, *, now: datetime) -> admission.Blocked | _Tried:
    """One transaction: the reservation and the link to it stand or fall together."""
    wished = wishes.of(agent_id)  # reads templates, which is nothing for a transaction
    with transaction.atomic():
        agent = lifecycle.load(agent_id)
        if agent.state != Agent.State.SPAWNING or agent.host_id is not None:
            return _Tried.NOT_WAITING
        if wished is None or wished.generation != agent.generation:
            return _Tried.NOT_WAITING  # it asks for something else by now: the next pass looks again
        answer = wishes.admit(wished, agent, now=now, expires_at=now + LEASE_TTL)
        if isinstance(answer, admission.Blocked):
            _blocked(agent, answer.reasons, now=now)
            return answer
        agent.resolved = {
            **agent.resolved,
            "taken": sizes.taken(answer.spec, answer.size, warm=answer.warm),
            "facts": dict(answer.facts),
        }
        agent.host, agent.blocked_by, agent.waiting_since = answer.host, [], None
        agent.wake_up_at = now + timedelta(seconds=settings.REDISPATCH_S)
        _save(agent, "host", "blocked_by", "waiting_since", "wake_up_at", "resolved")
        record("agent.placed", agent, actor="system", **lifecycle.snapshot(agent))
        return _Tried.PLACED


def _make_way(answer: admission.Blocked, *, now: datetime) -> None:
    """What only stands ready gives way to who waits: one warm berth per blocked attempt, until there is room."""
    if not settings.WARM_POOL:
        return
    for host in Host.objects.filter(name__in=answer.hosts_without_room):
        warm.retire(host, keep={}, most=1, actor="system", reason="an agent waits for its room")


def _note_behind(agent_id: uuid.UUID | None, *, count: int, now: datetime) -> None:
    reason = {"kind": "queue", "detail": f"{count} agents were tried for before it; the next pass goes on"}
    _note_blocked(agent_id, admission.Blocked((reason,)), now=now)


def _note_blocked(agent_id: uuid.UUID | None, answer: admission.Blocked, *, now: datetime) -> None:
    """Tell one that was not tried for, since it would be in vain."""
    if agent_id is None:
        return
    with transaction.atomic():
        agent = lifecycle.load(agent_id)
        if agent.state == Agent.State.SPAWNING and agent.host_id is None:
            _blocked(agent, answer.reasons, now=now)


def _blocked(agent: Agent, reasons: Sequence[admission.Reason], *, now: datetime) -> None:
    changed = agent.blocked_by != list(reasons)
    agent.blocked_by = list(reasons)
    agent.waiting_since = agent.waiting_since or now
    agent.wake_up_at = now + max(RECHECK, timedelta(seconds=settings.SWEEP_S))
    _save(agent, "blocked_by", "waiting_since", "wake_up_at")
    if changed:
        record("agent.blocked", agent, actor="system", **lifecycle.snapshot(agent))


def _save(agent: Agent, *fields: str) -> None:
    """By compare-and-swap: where the database locks no rows, this is what keeps an old view from being written."""
    same = Agent.objects.filter(pk=agent.pk, generation=agent.generation, state=Agent.State.SPAWNING, host=None)
    if not same.update(**{field: getattr(agent, field) for field in fields}):
        raise StaleGeneration(f"agent {agent.name} changed in between")


def waiting(*, now: datetime | None = None) -> Sequence[Agent]:
    """Spawning agents without a host, the next one first."""
    ids = [standing.agent_id for standing in line.places(now=now or timezone.now())]
    rows = Agent.objects.in_bulk(ids)
    return [rows[pk] for pk in ids if pk in rows]


def position(agent: Agent) -> int | None:
    """Place in the queue, from 1; None when it does not wait for a berth."""
    return Queue().position(agent)


class Queue:
    """Everybody's place in the queue, looked up at the first question: for lists."""

    def __init__(self) -> None:
        self._places: dict[uuid.UUID, int] | None = None

    def position(self, agent: Agent) -> int | None:
        """Like :func:`position`, as of the first question."""
        if agent.state != Agent.State.SPAWNING or agent.host_id is not None:
            return None
        if self._places is None:
            found = line.places(now=timezone.now())
            self._places = {standing.agent_id: place for place, standing in enumerate(found, 1)}
        return self._places.get(agent.pk)


def queue_in(context: MutableMapping[str, Any]) -> Queue:
    """The queue that a list's rows share: made at the first question."""
    queue: Queue = context.setdefault("queue", Queue())
    return queue
