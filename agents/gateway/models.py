"""Run tokens, the ledger of calls, the accounts they are booked on, and budgets."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class RunToken(models.Model):
    """A run's right to call models for a while. Only the digest of the token is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    run_id = models.UUIDField(db_index=True, help_text="The operation. A room above: no foreign key points up.")
    lineage = models.CharField(max_length=120, help_text="Attempts at the same work share it, and what was paid for.")
    agent_id = models.UUIDField(null=True, blank=True)
    project_id = models.UUIDField(null=True, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    models_allowed = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    refused = models.JSONField(
        null=True, blank=True, help_text="What stood in the way of the last call; null: nothing."
    )

    class Meta:
        app_label = "agents"

    def __str__(self) -> str:
        return f"token of run {self.run_id}"


class Pulse(models.Model):
    """One gateway process by its heartbeat. What is in flight in one that is dead, nobody will settle but the sweep."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    beat_at = models.DateTimeField(db_index=True)

    class Meta:
        app_label = "agents"

    def __str__(self) -> str:
        return f"gateway {self.id}"


class ModelCall(models.Model):
    """One request as the provider saw it: reserved before, settled after; the reply is kept for a while."""

    class State(models.TextChoices):
        RESERVED = "reserved", "In flight"
        SETTLED = "settled", "Settled"
        FAILED = "failed", "Failed"  # the provider refused it, or was not reached: nothing is charged
        LOST = "lost", "Lost"  # nobody knows what came of it: charged as reserved

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token = models.ForeignKey(RunToken, null=True, on_delete=models.SET_NULL, related_name="calls")
    run_id = models.UUIDField()
    lineage = models.CharField(max_length=120)
    agent_id = models.UUIDField(null=True, blank=True)
    project_id = models.UUIDField(null=True, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    gateway = models.UUIDField(null=True, help_text="The process that it passes through.")
    model = models.CharField(max_length=200, help_text="provider/name")
    answered = models.CharField(max_length=150, blank=True, help_text="Which model answered, as the provider says.")
    price = models.CharField(max_length=250, help_text="Which price was applied: name and date, or dearest.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.RESERVED)
    held_nanos = models.BigIntegerField(help_text="What was reserved, in billionths of a dollar.")
    held_tokens = models.BigIntegerField()
    cost_nanos = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0, help_text="All of them, cached ones included.")
    cached_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    usage_known = models.BooleanField(default=False)
    status = models.PositiveSmallIntegerField(null=True, help_text="The provider's HTTP status.")
    error = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, help_text="Of the request's content.")
    reply = models.BinaryField(null=True, help_text="As it came; kept while its run may have to be resumed.")
    reply_type = models.CharField(max_length=100, blank=True)
    replays = models.PositiveIntegerField(default=0)
    replayed_for = models.UUIDField(null=True, help_text="The token that was served this reply last.")
    day = models.DateField()
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "agents"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["lineage", "digest"]),
            models.Index(fields=["run_id"]),
            models.Index(fields=["day"]),
            models.Index(fields=["state", "created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"


class Scope(models.TextChoices):
    """Whose money it is. ``user`` and ``project`` count by calendar month, ``day`` for everybody, all in UTC."""

    CALL = "call", "one call"
    RUN = "run", "run"
    AGENT = "agent", "agent"
    USER = "user", "user"
    PROJECT = "project", "project"
    DAY = "day", "day"


class Account(models.Model):
    """What is held and spent in one scope and period. One row, changed by one statement."""

    scope = models.CharField(max_length=10, choices=Scope.choices)
    key = models.CharField(max_length=40, blank=True)
    period = models.CharField(max_length=10, blank=True)
    held_nanos = models.BigIntegerField(default=0)
    spent_nanos = models.BigIntegerField(default=0)
    held_tokens = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    calls = models.BigIntegerField(default=0)

    class Meta:
        app_label = "agents"
        constraints = [
            models.UniqueConstraint(fields=["scope", "key", "period"], name="one_account_per_scope_and_period"),
            models.CheckConstraint(condition=Q(held_nanos__gte=0) & Q(held_tokens__gte=0), name="nothing_held_below_0"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key} {self.period}".strip()


class Budget(models.Model):
    """An operator's own limit. An empty key means everyone of the scope; null means no limit of that kind."""

    scope = models.CharField(max_length=10, choices=Scope.choices)
    key = models.CharField(max_length=40, blank=True, help_text="An id; empty for everyone of the scope.")
    limit_nanos = models.BigIntegerField(null=True, blank=True)
    limit_tokens = models.BigIntegerField(null=True, blank=True)
    limit_calls = models.BigIntegerField(null=True, blank=True)
    set_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300, blank=True)
    set_at = models.DateTimeField()

    class Meta:
        app_label = "agents"
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="one_budget_per_scope_and_key")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}".strip()
