"""The line of agents that wait for a berth: everybody's place in it, as :mod:`resources.fairness` orders them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from agents.models import Agent, Priority
from resources import fairness, quotas
from resources.quotas import Party


@dataclass(frozen=True, slots=True)
class Place:
    """One agent in the line. ``blocked_since`` is when it was first told why it waits."""

    agent_id: uuid.UUID
    template: str
    blocked_since: datetime | None


def party_of(agent: Agent) -> Party:
    """On whose behalf an agent takes what it takes."""
    return _party(agent.created_by_id, agent.project_id)


def places(*, now: datetime) -> list[Place]:
    """Spawning agents without a host, the next one first: three queries, whatever their number."""
    columns = (
        "pk",
        "template",
        "waiting_since",
        "priority",
        "created_at",
        "state_since",
        "created_by_id",
        "project_id",
    )
    rows = {row["pk"]: row for row in Agent.objects.filter(state=Agent.State.SPAWNING, host=None).values(*columns)}
    if len(rows) < 2:  # as mostly: nothing to put in order
        return [Place(pk, row["template"], row["waiting_since"]) for pk, row in rows.items()]
    waiters = [_waiter(row) for row in rows.values()]
    users, projects = quotas.berths_allowed({Party(waiter.user, waiter.project) for waiter in waiters})
    rules = fairness.Rules(
        aging=timedelta(seconds=settings.AGING_S), highest=max(Priority), users=users, projects=projects
    )
    ordered = fairness.order(waiters, held=quotas.held(), rules=rules, now=now)
    return [Place(w.id, rows[w.id]["template"], rows[w.id]["waiting_since"]) for w in ordered]


def _waiter(row: Mapping[str, Any]) -> fairness.Waiter:
    party = _party(row["created_by_id"], row["project_id"])
    return fairness.Waiter(
        id=row["pk"], priority=row["priority"], asked_at=row["created_at"], since=row["state_since"],
        user=party.user, project=party.project,
    )  # fmt: skip


def _party(user_id: int | None, project_id: uuid.UUID | None) -> Party:
    return Party(user=str(user_id or ""), project=str(project_id or ""))
