"""Tasks of agents' lives."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from agents import berths, outfit_changes, placement, upkeep, warm_pool
from operations.coding import safekeeping
from workers import presence


@shared_task(name="agents.place")
def place(*, agent_id: str, **_newer: Any) -> None:
    """Reserve a berth, or note why not."""
    placement.place(agent_id, now=timezone.now())


@shared_task(name="agents.place_waiting")
def place_waiting(**_newer: Any) -> None:
    """Room came free."""
    placement.place_waiting(now=timezone.now())


@shared_task(name="agents.open_berth")
def open_berth(*, agent_id: str, generation: int, **_newer: Any) -> None:
    """Make a reserved berth real, on its host."""
    berths.open_berth(agent_id, generation=generation, worker=presence.name())


@shared_task(name="agents.clear_berth")
def clear_berth(*, agent_id: str, generation: int, **_newer: Any) -> None:
    """Keep unfinished work, then tear the berth down and give back what it held."""
    safekeeping.keep_work(agent_id)
    berths.clear_berth(agent_id, generation=generation, worker=presence.name())


@shared_task(name="agents.reload_outfits")
def reload_outfits(**_newer: Any) -> None:
    """Templates have changed: live fields reach running agents."""
    outfit_changes.reach(actor="system")


@shared_task(name="agents.inspect")
def inspect(*, host: str, **_newer: Any) -> None:
    """Look at the sandboxes of this host."""
    upkeep.inspect(host=host, now=timezone.now(), worker=presence.name())


@shared_task(name="agents.tend_pool")
def tend_pool(*, host: str, **_newer: Any) -> None:
    """Keep as many berths ready on this host as its operator wants, and clear what is out of use."""
    warm_pool.tend(host_name=host, now=timezone.now(), actor=presence.name())
