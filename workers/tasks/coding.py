"""Tasks of the coding workflow: one per stage attempt."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from operations import budgets
from operations.coding import engine, standstill
from workers import presence


@shared_task(name="coding.run_stage")
def run_stage(*, operation_id: str, turn: int, **_newer: Any) -> None:
    """One attempt of the stage that this turn is."""
    engine.run_stage(operation_id, turn=turn, worker=presence.name(), time_up=(SoftTimeLimitExceeded,))


@shared_task(name="coding.wake_for_agent")
def wake_for_agent(*, agent_id: str, **_newer: Any) -> None:
    """The operation that waits for this agent looks at it."""
    engine.wake_for_agent(agent_id, worker=presence.name())


@shared_task(name="coding.agent_gone")
def agent_gone(*, agent_id: str, **_newer: Any) -> None:
    """The operation of a broken or leaving agent is recovered."""
    engine.agent_gone(agent_id, worker=presence.name())


@shared_task(name="coding.go_on")
def go_on(**_newer: Any) -> None:
    """The fleet is released: what it held up goes on."""
    standstill.go_on(now=timezone.now(), actor=presence.name())


@shared_task(name="coding.budget_low")
def budget_low(*, operation_id: str, reason: str, **_newer: Any) -> None:
    """A soft limit was crossed: whoever looks is told."""
    budgets.note_low(operation_id, reason=reason, now=timezone.now())
