"""Pull requests, the rounds of rework that they came back for, and the deliveries that hinted at them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q


class PullRequest(models.Model):
    """A pull request that an operation opened, at whatever forge. The local forge has no other record."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        MERGED = "merged", "Merged"
        CLOSED = "closed", "Closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("operations.Project", on_delete=models.PROTECT, related_name="pull_requests")
    operation = models.ForeignKey("operations.Operation", on_delete=models.PROTECT, related_name="pull_requests")
    forge = models.CharField(max_length=20, help_text="local or github")
    number = models.PositiveIntegerField()
    url = models.CharField(max_length=500)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    head_branch = models.CharField(max_length=200)
    head_commit = models.CharField(max_length=64)
    base_branch = models.CharField(max_length=200)
    base_commit = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    merged_at = models.DateTimeField(null=True, blank=True)
    merged_commit = models.CharField(max_length=64, blank=True)
    # What the forge said when it was last read, and when it is read again.
    seen = models.JSONField(default=dict, blank=True, help_text="Checks, comments and mergeability, as last read.")
    etags = models.JSONField(default=dict, blank=True, help_text="What the forge answers 304 to, by address.")
    handled = models.JSONField(default=list, blank=True, help_text="Review comments that a round was about.")
    looked_at = models.DateTimeField(null=True, blank=True)
    look_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    quiet_looks = models.PositiveSmallIntegerField(default=0, help_text="Looks in a row that showed nothing new.")
    troubled_since = models.DateTimeField(null=True, blank=True, help_text="Since when a person is needed.")
    note = models.CharField(max_length=500, blank=True, help_text="Why nothing is done about it, or not yet.")
    decided = models.JSONField(null=True, blank=True, help_text="What a person wants done about it, and who.")

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "forge", "number"], name="one_pull_request_per_number"),
            models.UniqueConstraint(
                fields=["project", "forge", "head_branch"],
                condition=Q(state="open"),
                name="one_open_pull_request_per_head",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"


class Rework(models.Model):
    """One round in which an open pull request went back to its engine. The row is there before the work begins."""

    class Cause(models.TextChoices):
        CHECKS = "checks", "Failed checks"
        REVIEW = "review", "Review"
        CONFLICT = "conflict", "The base branch moved"
        PERSON = "person", "Asked for by a person"

    pull_request = models.ForeignKey(PullRequest, on_delete=models.CASCADE, related_name="reworks")
    number = models.PositiveSmallIntegerField(help_text="Counts the rounds of this pull request, from 1.")
    cause = models.CharField(max_length=10, choices=Cause.choices)
    head_commit = models.CharField(max_length=64, help_text="The branch as it was judged.")
    base_commit = models.CharField(max_length=64, help_text="What that commit was made on.")
    fault = models.JSONField(help_text="What the engine is told: code, detail, and texts with their trust labels.")
    turn = models.PositiveIntegerField(help_text="The operation's turn that the round began with.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["pull_request", "number"]
        constraints = [
            models.UniqueConstraint(fields=["pull_request", "number"], name="one_rework_per_number"),
            # Whoever else saw the same trouble on the same commit was second; people may ask as often as they like.
            models.UniqueConstraint(
                fields=["pull_request", "cause", "head_commit"],
                condition=~Q(cause="person"),
                name="one_rework_per_commit",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="reworks_count_from_one"),
        ]

    def __str__(self) -> str:
        return f"round {self.number}: {self.cause}"


class Delivery(models.Model):
    """One webhook delivery that was taken. The forge may send it again: its id is taken once."""

    forge = models.CharField(max_length=20)
    delivery_id = models.CharField(max_length=80)
    event = models.CharField(max_length=60)
    hinted = models.PositiveSmallIntegerField(default=0, help_text="How many pull requests were looked at for it.")
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-received_at"]
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["forge", "delivery_id"], name="one_delivery_per_id")]

    def __str__(self) -> str:
        return f"{self.event} {self.delivery_id}"
