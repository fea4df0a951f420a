"""How the work went: the queue, what was spent and how operations ended, noted once a minute, kept for a day.

Doors: :func:`note`, :func:`since`, :func:`prune`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q

from agents.gateway.models import Account, Scope
from operations.models import Minute, Operation

EVERY = timedelta(minutes=1)


def note(*, now: datetime) -> None:
    """One moment. What ended is counted since the moment before, of the last few minutes at most."""
    Status = Operation.Status
    last = Minute.objects.filter(at__gt=now - 5 * EVERY, at__lt=now).order_by("-at").first()
    since = last.at if last else now - EVERY
    waits = Q(status__in=[Status.QUEUED, Status.WAITING])
    active = Operation.objects.filter(status__in=Operation.ACTIVE).aggregate(
        waiting=Count("pk", filter=waits), running=Count("pk", filter=~waits), oldest=Min("created_at", filter=waits),
    )  # fmt: skip
    ended = Operation.objects.filter(completed_at__gt=since, completed_at__lte=now).aggregate(
        succeeded=Count("pk", filter=Q(status=Status.SUCCEEDED)), failed=Count("pk", filter=Q(status=Status.FAILED)),
    )  # fmt: skip
    oldest, day = active.pop("oldest"), Account.objects.filter(scope=Scope.DAY, key="", period=now.date().isoformat())
    Minute.objects.get_or_create(
        at=now,
        defaults={
            **active, **ended, "oldest_s": max(0, int((now - oldest).total_seconds())) if oldest else 0,
            "spent_nanos": day.values_list("spent_nanos", flat=True).first() or 0,
        },
    )  # fmt: skip


def since(moment: datetime) -> Sequence[Minute]:
    """What was noted since then, oldest first, by one query."""
    return list(Minute.objects.filter(at__gte=moment))


def prune(*, now: datetime) -> int:
    """Forget what is older than MOORAGE_SAMPLES_KEEP_HOURS. Returns how many."""
    return Minute.objects.filter(at__lt=now - timedelta(hours=settings.SAMPLES_KEEP_HOURS)).delete()[0]
