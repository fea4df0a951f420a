"""Small functions that make rows through the verbs, with sizes and times that tests can rely on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from agents import lifecycle, placement
from agents.models import Agent
from resources import hosts
from resources.models import Host
from resources.sandboxes.protocol import Tier


def user(name: str = "ada", *, staff: bool = False) -> Any:
    """A user who can log in nowhere: rows of theirs are all that matters."""
    return get_user_model().objects.create_user(username=name, is_staff=staff)


def host(
    name: str = "node-a",
    *,
    slots: int = 4,
    memory_mb: int = 4096,
    cpu_millis: int = 4000,
    disk_mb: int = 8192,
    ports: tuple[int, int] = (21000, 21099),
    tiers: Sequence[Tier] = (Tier.PROCESS, Tier.LANDLOCK),
    now: datetime | None = None,
) -> Host:
    """A host that registered just now and has these tiers."""
    capacity = hosts.Capacity(slots, memory_mb, cpu_millis, disk_mb, *ports)
    facts = {"cores": 2, "tiers": [{"tier": t.value, "available": True, "reason": "", "remedy": ""} for t in tiers]}
    return hosts.register(name=name, capacity=capacity, facts=facts, now=now or timezone.now())


def agent(template: str = "lightweight", **wishes: Any) -> Agent:
    """An agent that was asked for: ``spawning``, without a host."""
    return lifecycle.request_spawn(template=template, actor="user:ada", **wishes)


def placed(template: str = "lightweight", *, now: datetime | None = None, **wishes: Any) -> Agent:
    """An agent with a host and its reservations; some host must have room."""
    waiting = agent(template, **wishes)
    assert placement.place(waiting.pk, now=now or timezone.now()), "no host has room"
    return Agent.objects.select_related("host").get(pk=waiting.pk)


def running(template: str = "lightweight", *, now: datetime | None = None, **wishes: Any) -> Agent:
    """A running agent that has reservations but no sandbox: for what looks at rows only."""
    berth = placed(template, now=now, **wishes)
    with transaction.atomic():
        return lifecycle.move(berth, Agent.berthed, kind="agent.running", actor="worker:node-a", reason="berth open")
