"""A committed event in its frozen form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.models import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """A committed event as handlers and readers see it."""

    id: int
    topic: str
    seq: int
    kind: str
    actor: str
    reason: str
    data: dict[str, Any]
    created_at: datetime

    @property
    def subject_id(self) -> str:
        """The part of the topic behind the dot."""
        return self.topic.partition(".")[2]

    @classmethod
    def of(cls, event: Event) -> Recorded:
        """The frozen form of a row."""
        return cls(
            event.pk, event.topic, event.seq, event.kind, event.actor, event.reason, event.data, event.created_at
        )
