"""Periodic duties that only one of many may do: a compare-and-swap on the row's due time decides who."""

from __future__ import annotations

from datetime import datetime, timedelta

from resources.models import Tick


def claim(*, name: str, every: timedelta, now: datetime) -> bool:
    """True for exactly one caller per period, however many beats tick."""
    row, made = Tick.objects.get_or_create(name=name, defaults={"due_at": now + every})
    if made:
        return True
    return row.due_at <= now and bool(Tick.objects.filter(name=name, due_at=row.due_at).update(due_at=now + every))
