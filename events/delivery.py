"""From the outbox to the bus and the live stream: on commit, and again by the sweep until both have taken it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError

from events import bus, live, receipts
from events.faults import Fault
from events.models import Undelivered
from events.recorded import Recorded

log = logging.getLogger(__name__)

BACKOFF_S = (5, 10, 20, 40, 60)
ATTEMPTS_COUNTED = 30_000  # the column ends at 32 767, a broker that is away for weeks would not


class DeliveryFailed(Exception):
    """A handler could not take an event now (the broker is away); it will be offered again."""


def deliver(event: Recorded) -> bool:
    """Hand one committed event to every handler and to the live stream; False leaves it in the outbox.

    Never raises for a dead Redis: the request that recorded the event has been accepted.
    """
    # First the stream: it knows within two seconds that Redis hangs, which the broker's client learns in twenty.
    taken = live.publish(event)
    for handler in bus.handlers():
        try:
            handler(event)
        except (DeliveryFailed, Fault, DatabaseError) as error:
            taken = False
            log.warning("event not taken", extra={"topic": event.topic, "seq": event.seq, "error": str(error)})
    if taken:
        receipts.add(event.id)
    return taken


def sweep(*, now: datetime, limit: int = 500) -> int:
    """Deliver what the commit hook did not, oldest first. Returns how many were delivered."""
    delivered = 0
    due = Undelivered.objects.filter(next_attempt_at__lte=now).select_related("event").order_by("event_id")[:limit]
    for row in due:
        wait = BACKOFF_S[min(row.attempts, len(BACKOFF_S) - 1)]
        # Compare and swap on the due time: of two sweeps at once, one takes the row.
        mine = Undelivered.objects.filter(pk=row.pk, next_attempt_at=row.next_attempt_at).update(
            attempts=min(row.attempts + 1, ATTEMPTS_COUNTED), next_attempt_at=now + timedelta(seconds=wait)
        )
        if mine and deliver(Recorded.of(row.event)):
            delivered += 1
    receipts.hand_in()
    return delivered
