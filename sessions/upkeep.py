"""The sweep's part of terminals: rows whose session host went away and did not come back. Idempotent."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.db.models import Q

from events.faults import Fault
from sessions import lifecycle
from sessions.models import Recording, Terminal

log = logging.getLogger(__name__)

LOST_AFTER = timedelta(minutes=2)  # a restart of the daemon takes seconds, and it marks its own


def forget_recordings(*, now: datetime, days: float) -> int:
    """Drop the rows of recordings that ended so long ago; the session host that made them removes their files."""
    if not days:
        return 0
    before = now - timedelta(days=days)
    gone = Q(ended_at__lt=before) | Q(ended_at=None, terminal__closed_at__lt=before)
    return Recording.objects.filter(gone).delete()[0]


def lose_unattended(*, now: datetime, limit: int = 200) -> int:
    """Open terminals whose session host is silent for LOST_AFTER, or was never there, are lost. Returns how many.

    Should the daemon only be cut off from the database, it ends those PTYs when it is back: rows are the truth.
    """
    silent = Q(agent__host__session_host__heartbeat_at__lt=now - LOST_AFTER) | Q(agent__host__session_host=None)
    rows = Terminal.objects.filter(silent, state__in=Terminal.OPEN, created_at__lt=now - LOST_AFTER)
    count = 0
    for row in rows[:limit]:
        try:
            lifecycle.lost(row.pk, actor="system", reason="its session host has gone away", generation=row.generation)
            count += 1
        except Fault as fault:
            log.info("terminal moved on", extra={"terminal": str(row.pk), "reason": fault.detail})
    return count


def agents_attended() -> set[uuid.UUID]:
    """The agents at whose terminals somebody sits, or is about to; to watch one at work keeps it from nothing."""
    attended = Terminal.objects.filter(
        state__in=(Terminal.State.OPENING, Terminal.State.LIVE), kind=Terminal.Kind.SHELL
    )
    return set(attended.values_list("agent_id", flat=True))
