"""The journal: the only writer of events.

``record`` belongs inside the transaction that changes the subject. It takes the topic's next number by one atomic
upsert (which also locks the topic row), stores the event and its outbox row, and hands it over on commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from django.db import connection, transaction
from django.utils import timezone

from events import delivery
from events.models import Event
from events.recorded import Recorded


class Subject(Protocol):
    """Whatever has a stream of its own."""

    @property
    def topic(self) -> str: ...


# Statements and not the ORM: every change of every room goes through here, and the ORM took five times as long.
_NEXT_SEQ = """
INSERT INTO events_topic (name, head) VALUES (%s, 1)
ON CONFLICT (name) DO UPDATE SET head = events_topic.head + 1
RETURNING head
"""
_APPEND = """
INSERT INTO events_event (topic, seq, kind, actor, reason, data, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s)
RETURNING id
"""
_OWE = "INSERT INTO events_undelivered (event_id, attempts, next_attempt_at) VALUES (%s, 0, %s)"
_DATA = Event._meta.get_field("data")
# The sweep leaves a fresh event to the commit hook; only what that hook did not deliver is late.
GRACE = timedelta(seconds=5)


def record(kind: str, subject: Subject | str, *, actor: str, reason: str = "", **data: Any) -> Recorded:
    """Append one event to the subject's stream; deliver it once the surrounding transaction commits.

    ``actor`` is ``user:NAME``, ``worker:HOST`` or ``system``. Raises ``TransactionManagementError`` outside a
    transaction: an event without its change, or a change without its event, cannot be.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("journal.record belongs inside the transaction of its change")
    topic = subject if isinstance(subject, str) else subject.topic
    now = timezone.now()
    at, due = map(connection.ops.adapt_datetimefield_value, (now, now + GRACE))
    actor, reason = actor[:150], reason[:500]
    stored = _DATA.get_db_prep_save(data, connection)
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_SEQ, [topic])
        (seq,) = cursor.fetchone()
        cursor.execute(_APPEND, [topic, seq, kind, actor, reason, stored, at])
        (event_id,) = cursor.fetchone()
        cursor.execute(_OWE, [event_id, due])
    recorded = Recorded(event_id, topic, seq, kind, actor, reason, data, now)
    transaction.on_commit(lambda: delivery.deliver(recorded), robust=True)
    return recorded


def replay(topic: str, *, after: int, limit: int = 1000) -> Sequence[Recorded]:
    """The events of a topic behind ``after``, oldest first, at most ``limit``. Gap-free by construction."""
    rows = Event.objects.filter(topic=topic, seq__gt=after).order_by("seq")[:limit]
    return [Recorded.of(row) for row in rows]


def head(topic: str) -> int:
    """The number of the topic's last event, 0 when there is none."""
    return Event.objects.filter(topic=topic).order_by("-seq").values_list("seq", flat=True).first() or 0
