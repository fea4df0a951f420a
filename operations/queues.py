"""Queues as people mean them: how many operations wait, run, and why the waiting ones wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db.models import Avg, Count, DateTimeField, DurationField, ExpressionWrapper, F, Min, Q, Value

from events import live
from operations.models import Operation
from operations.snapshots import blocked_by

REASONS_OF = 200  # the longest waiting; more rows would say nothing more


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One queue now. ``average_wait_s`` is over all that wait now; ``reasons`` counts what blocks the first of them."""

    name: str
    total_operations: int
    active_operations: int
    waiting_operations: int
    average_wait_s: float
    oldest_wait_s: float
    reasons: dict[str, int]


def status(*, now: datetime) -> list[QueueStatus]:
    """The queue of coding operations."""
    Status = Operation.Status
    waited = ExpressionWrapper(Value(now, DateTimeField()) - F("created_at"), DurationField())
    waiting_states = Q(status__in=[Status.QUEUED, Status.WAITING])
    totals = Operation.objects.filter(status__in=Operation.ACTIVE).aggregate(
        total=Count("id"), waiting=Count("id", filter=waiting_states), oldest=Min("created_at", filter=waiting_states),
        average=Avg(waited, filter=waiting_states),
    )  # fmt: skip
    rows = Operation.objects.filter(waiting_states).select_related("agent").order_by("created_at")[:REASONS_OF]
    reasons = Counter(reason["kind"] for row in rows for reason in blocked_by(row))
    return [
        QueueStatus(
            name="coding",
            total_operations=totals["total"],
            active_operations=totals["total"] - totals["waiting"],
            waiting_operations=totals["waiting"],
            average_wait_s=round(totals["average"].total_seconds(), 1) if totals["average"] else 0.0,
            oldest_wait_s=round((now - totals["oldest"]).total_seconds(), 1) if totals["oldest"] else 0.0,
            reasons=dict(reasons),
        )
    ]


def publish(*, now: datetime) -> None:
    """Send the status to the live stream's ``queue`` topic: a snapshot, not history."""
    for queue in status(now=now):
        live.publish_snapshot("queue", asdict(queue), now=now)
