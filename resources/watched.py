"""What is seen of hosts, as rows: samples of what is used, orphans with their first sighting; and the fleet's pause."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Sample(models.Model):
    """What a host, or one berth of it, used at one moment. Kept for MOORAGE_SAMPLES_KEEP_HOURS."""

    host = models.ForeignKey("resources.Host", on_delete=models.CASCADE, related_name="samples")
    owner = models.CharField(max_length=60, blank=True, help_text="agent:<uuid>; empty for the host itself.")
    at = models.DateTimeField()
    cpu_s = models.FloatField(null=True, help_text="Processor seconds used so far.")
    memory_mb = models.PositiveIntegerField(null=True)
    disk_mb = models.PositiveBigIntegerField(null=True)
    processes = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["host", "owner", "at"], name="samples_of_one"),
            models.Index(fields=["owner", "at"], name="samples_of_an_owner"),
            models.Index(fields=["at"], name="samples_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.owner or self.host} at {self.at:%H:%M:%S}"


class FleetPause(models.Model):
    """There while the fleet is paused, and one at most. See resources.fleet."""

    name = models.CharField(max_length=10, primary_key=True, default="fleet", editable=False)
    since = models.DateTimeField()
    by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(name="fleet"), name="one_pause_of_the_fleet")]

    def __str__(self) -> str:
        return f"paused by {self.by}: {self.reason}"


class Orphan(models.Model):
    """Something of ours on a host that nobody owns any more, or that we cannot say who owns. See resources.orphans."""

    class Fate(models.TextChoices):
        WAITS = "waits", "Removed after its grace"
        DUE = "due", "Removed at the next sweep"
        KEPT = "kept", "Left alone"
        REFUSED = "refused", "The sweep refuses to act"
        RESISTS = "resists", "Could not be removed; tried again"
        REMOVED = "removed", "Removed"
        CLEARED = "cleared", "Gone by itself, or owned again"

    OPEN = (Fate.WAITS, Fate.DUE, Fate.KEPT, Fate.REFUSED, Fate.RESISTS)

    host = models.ForeignKey("resources.Host", on_delete=models.CASCADE, related_name="orphans")
    kind = models.CharField(max_length=20, help_text="workspace, container, network, volume, process, group, way out.")
    key = models.CharField(max_length=200, help_text="Its name on the host.")
    owner = models.CharField(max_length=60, blank=True, help_text="Whose it was, as far as it says.")
    reason = models.CharField(max_length=300, help_text="Why it is listed.")
    fate = models.CharField(max_length=10, choices=Fate.choices)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_seen_at", "kind", "key"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "kind", "key"], condition=Q(ended_at__isnull=True), name="one_open_sighting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
