"""Agents, and the dated facts from which their health is derived."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from agents.gateway.models import Account, Budget, ModelCall, Pulse, RunToken
from resources.models import Host

__all__ = ["Account", "Agent", "Budget", "Capability", "Fact", "ModelCall", "Priority", "Pulse", "RunToken", "State"]


class Capability(models.TextChoices):
    """What an agent may be asked for. A fixed set: an unknown one is refused by name."""

    CODE_REVIEW = "code_review", "Code review"
    TESTING = "testing", "Testing"
    DEVELOPMENT = "development", "Development"
    DOCUMENTATION = "documentation", "Documentation"
    DEPLOYMENT = "deployment", "Deployment"


class Priority(models.IntegerChoices):
    """Who is admitted first. Stored as a number so that the database sorts it."""

    LOW = 0, "low"
    NORMAL = 1, "normal"
    HIGH = 2, "high"


class State(models.TextChoices):
    """What is intended for an agent. Health is another matter: see :mod:`agents.health`."""

    SPAWNING = "spawning", "Spawning"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    ERROR = "error", "Error"


class Agent(models.Model):
    """A worker with a berth. ``generation`` is the fencing token: each transition raises it by one."""

    State = State
    LIVE = (State.SPAWNING, State.RUNNING, State.STOPPING)
    BUSY = (State.SPAWNING, State.STOPPING, State.ERROR)  # somebody has to do something next

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    template = models.CharField(max_length=80)
    resolved = models.JSONField(default=dict, blank=True, help_text="The resolved template this agent was given.")
    capabilities = models.JSONField(default=list, blank=True)
    state = FSMField(choices=State.choices, default=State.SPAWNING, protected=True)
    generation = models.PositiveIntegerField(default=1)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    project_id = models.UUIDField(null=True, blank=True, db_index=True)  # a room above: no foreign key points up
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="agents"
    )
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.PROTECT, related_name="agents")
    tier = models.CharField(max_length=10, blank=True, help_text="The isolation actually used.")
    tier_note = models.CharField(max_length=300, blank=True, help_text="What that tier does not cover here.")
    sandbox = models.JSONField(null=True, blank=True, help_text="The reference from which the sandbox is found again.")
    blocked_by = models.JSONField(default=list, blank=True)
    waiting_since = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    state_since = models.DateTimeField()
    keep_until = models.DateTimeField(null=True, blank=True, help_text="Not stopped for being idle before then.")
    claimed_until = models.DateTimeField(null=True, help_text="Until when its host is believed to work on its berth.")
    wake_up_at = models.DateTimeField(
        null=True, help_text="When the sweep sends its wake-up again; empty while nothing is due."
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["wake_up_at"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[value for value, _ in State.choices]), name="agent_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(host__isnull=False), name="running_agents_have_a_host"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> str:
        """How this agent signs its leases."""
        return f"agent:{self.pk}"

    @property
    def topic(self) -> str:
        """Its stream in the journal."""
        return f"agent.{self.pk}"

    # Transitions change fields and nothing else; agents.lifecycle saves, fences and records them.

    @transition(field=state, source=State.SPAWNING, target=State.RUNNING)
    def berthed(self) -> None:
        self.blocked_by, self.waiting_since = [], None

    @transition(field=state, source=[State.SPAWNING, State.RUNNING, State.ERROR], target=State.STOPPING)
    def leave(self) -> None:
        self.blocked_by, self.waiting_since = [], None

    @transition(field=state, source=State.STOPPING, target=State.STOPPED)
    def left(self) -> None:
        self.sandbox = None

    @transition(field=state, source=[State.SPAWNING, State.RUNNING, State.STOPPING], target=State.ERROR)
    def broke(self, error: dict[str, object]) -> None:
        self.error = error
        self.blocked_by, self.waiting_since = [], None

    @transition(field=state, source=State.ERROR, target=State.SPAWNING)
    def again(self) -> None:
        self.error = None
        self.host = None
        self.sandbox = None
        self.tier = self.tier_note = ""


class Fact(models.Model):
    """The last time something was seen of an agent. One row per agent and kind, overwritten by a later sighting."""

    class Kind(models.TextChoices):
        SANDBOX_INSPECTED = "sandbox_inspected", "Sandbox inspected"
        WORKER_HEARTBEAT = "worker_heartbeat", "Worker heartbeat"
        LAST_OUTPUT = "last_output", "Last output"
        LAST_TOOL_RESULT = "last_tool_result", "Last tool result"
        LAST_MODEL_CALL = "last_model_call", "Last model call"
        LAST_COMMIT = "last_commit", "Last commit"

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="facts")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    observed_at = models.DateTimeField()
    ok = models.BooleanField(default=True)
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "kind"], name="one_fact_per_agent_and_kind")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.observed_at:%H:%M:%S}"
