"""Figures of the whole: counts by state, and capacity against reservations per host."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import Count, Model

from agents.models import Agent
from events import live
from operations.models import Operation
from resources import hosts, samples
from resources.models import Host


def now_at(*, now: datetime) -> dict[str, Any]:
    """The figures as the API and the live stream show them."""
    measured = samples.latest(now=now)
    return {
        "operations": by(Operation, "status"),
        "agents": by(Agent, "state"),
        "hosts": [
            {
                "name": host.name,
                "verdict": hosts.verdict(host, now=now).value,
                "capacity": hosts.capacity_of(host),
                "reserved": asdict(hosts.usage(host)),
                "load": host.facts.get("load"),
                "measured": samples.as_json(measured[host.pk]) if host.pk in measured else None,
            }
            for host in Host.objects.all()
        ],
    }


def publish(*, now: datetime) -> None:
    """Send the figures to the live stream's ``metrics`` topic: a snapshot, not history."""
    live.publish_snapshot("metrics", now_at(now=now), now=now)


def by(model: type[Model], field: str) -> dict[str, int]:
    """How many rows there are of each value of a field."""
    return dict(model._default_manager.order_by().values_list(field).annotate(Count("pk")))
