"""The outbox part of the health: late is what has waited long, whatever was tried meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from config import health
from events.models import Event, Undelivered

pytestmark = pytest.mark.django_db


def outbox() -> health.Part:
    (part,) = [part for part in health.parts() if part.name == "outbox"]
    return part


def waiting(*, seconds: int, seq: int) -> None:
    """An event of so long ago whose delivery will be tried again in a moment, as a sweep has just decided."""
    now = timezone.now()
    then = now - timedelta(seconds=seconds)
    event = Event.objects.create(topic="berth.a", seq=seq, kind="berth.moved", actor="system", created_at=then)
    Undelivered.objects.create(event=event, attempts=9, next_attempt_at=now + timedelta(seconds=5))


def test_it_says_empty_only_when_it_is_and_late_by_the_age_of_the_event() -> None:
    assert (outbox().ok, outbox().detail) == (True, "empty")
    waiting(seconds=1, seq=1)
    assert (outbox().ok, outbox().detail) == (True, "1 events are on their way")
    waiting(seconds=31, seq=2)
    assert (outbox().ok, outbox().detail) == (False, "1 events wait for delivery")
    assert outbox().remedy
