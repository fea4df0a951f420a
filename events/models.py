"""Journal rows. Events are append-only; what is still to be delivered stands beside them, not in them."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models


class AppendOnly(Exception):
    """Someone tried to change or remove what happened."""


class AppendOnlyQuerySet(models.QuerySet["Event"]):
    """Refuses every way of changing rows; the database trigger refuses what goes around it."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AppendOnly("the journal is append-only: record a new event instead")

    update = delete = bulk_update = update_or_create = _refuse  # type: ignore[assignment]


class Topic(models.Model):
    """One subject's stream (``operation.<uuid>``) and the number of its last event."""

    name = models.CharField(max_length=99, primary_key=True)
    head = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}@{self.head}"


class Event(models.Model):
    """Something that happened to one subject. ``seq`` counts per topic, from 1, without gaps."""

    topic = models.CharField(max_length=99, help_text="Subject type and id: operation.<uuid>.")
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=60, help_text="What happened: operation.stage_finished.")
    actor = models.CharField(max_length=150, help_text="Who did it: user:NAME, worker:HOST, system.")
    reason = models.CharField(max_length=500, blank=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_index=True)

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["topic", "seq"], name="one_event_per_topic_and_seq")]
        indexes = [models.Index(fields=["kind", "created_at"])]

    def __str__(self) -> str:
        return f"{self.topic}#{self.seq} {self.kind}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise AppendOnly("the journal is append-only: record a new event instead")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("the journal is append-only")


class Undelivered(models.Model):
    """The outbox: an event that the bus or the live stream has not taken yet. Gone once both have."""

    event = models.OneToOneField(Event, on_delete=models.DO_NOTHING, primary_key=True, related_name="undelivered")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "undelivered events"

    def __str__(self) -> str:
        return f"{self.event_id} after {self.attempts} attempts"
