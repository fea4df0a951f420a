"""Projects, the work requested on them, its steps, its evidence and its pull requests."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from agents.models import Agent, Capability, Priority
from operations.pull_request_models import Delivery, PullRequest, Rework

__all__ = ["Delivery", "Evidence", "Minute", "Operation", "Project", "PullRequest", "Rework", "Stage", "Step"]


class Project(models.Model):
    """One repository that operations may work on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    repository_url = models.CharField(max_length=500)
    base_branch = models.CharField(max_length=200, blank=True, help_text="Empty: whatever the remote's HEAD names.")
    default_template = models.CharField(max_length=80, default="python")
    metadata = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="projects")
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], condition=Q(archived_at__isnull=True), name="one_project_per_owner_and_name"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        return f"project.{self.pk}"


class Stage(models.TextChoices):
    """The nine stages, in order."""

    INIT = "init", "Init"
    ANALYZE = "analyze", "Analyze"
    PLAN = "plan", "Plan"
    CODE = "code", "Code"
    TEST = "test", "Test"
    VALIDATE = "validate", "Validate"
    COMMIT = "commit", "Commit"
    PR = "pr", "Pull request"
    COMPLETE = "complete", "Complete"

    @property
    def position(self) -> int:
        """0 for INIT to 8 for COMPLETE."""
        return list(Stage).index(self)


def title_of(requirement: str) -> str:
    """The first line of a requirement that says something, at most 80 characters."""
    lines = (line.strip("# \t`") for line in requirement.splitlines())
    first = next((line for line in lines if line), "(no title)")
    return first if len(first) <= 80 else first[:79] + "…"


class Operation(models.Model):
    """One requested piece of work. ``turn`` is the fencing token: every write of the engine raises it by one."""

    class Type(models.TextChoices):
        CODING = "coding", "Coding"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Approval(models.TextChoices):
        NONE = "none", "None"
        PLAN = "plan", "Plan"
        PULL_REQUEST = "pull_request", "Pull request"

    ACTIVE = (Status.QUEUED, Status.WAITING, Status.RUNNING)
    TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(max_length=20, choices=Type.choices, default=Type.CODING)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="operations")
    agent = models.ForeignKey(Agent, null=True, blank=True, on_delete=models.PROTECT, related_name="operations")
    capability = models.CharField(max_length=20, choices=Capability.choices, default=Capability.DEVELOPMENT)
    requirements = models.TextField()
    engine = models.CharField(max_length=10, default="auto", help_text="The engine that was asked for.")
    engine_kind = models.CharField(max_length=10, blank=True, help_text="The engine that was picked.")
    engine_label = models.CharField(max_length=120, blank=True)
    template = models.CharField(max_length=80)
    size = models.JSONField(
        default=dict, blank=True, help_text="What was asked for of memory_mb, cpu_millis, disk_mb; else the template's."
    )
    approval = models.CharField(max_length=12, choices=Approval.choices, default=Approval.NONE)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.INIT)
    resume_at = models.CharField(
        max_length=10, choices=Stage.choices, blank=True, help_text="The stage to enter once a new berth is there."
    )
    turn = models.PositiveIntegerField(default=0)
    attention = models.JSONField(null=True, blank=True, help_text="What it waits for from a person: kind and reason.")
    blocked = models.JSONField(default=list, blank=True, help_text="Why it waits of itself: budget or provider.")
    notice = models.JSONField(null=True, blank=True, help_text="What a person should know though nothing waits.")
    retry_count = models.PositiveIntegerField(default=0)
    retry_strategy = models.CharField(max_length=30, blank=True)
    last_retry_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    take_over_by = models.CharField(
        max_length=150, blank=True, default="", help_text="Who is given the berth as soon as there is code to change."
    )
    metadata = models.JSONField(default=dict, blank=True)
    answers = models.JSONField(default=list, blank=True, help_text="What people answered to its questions, in order.")
    idempotency_key = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="operations")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    # The claim: who runs the current turn, and until when that is believed without a heartbeat.
    claim = models.CharField(max_length=32, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    wake_up_at = models.DateTimeField(
        null=True, help_text="When the sweep sends the current turn's wake-up again; empty while nothing is due."
    )
    counting_from = models.PositiveIntegerField(default=0, help_text="Recovery counts attempts since this turn.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["status", "wake_up_at"]),
            models.Index(fields=["project", "-created_at"]),
            models.Index(fields=["status", "-priority", "created_at"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="one_operation_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["succeeded", "failed", "cancelled"], completed_at__isnull=False)
                | (Q(status__in=["queued", "waiting", "running"]) & Q(completed_at__isnull=True)),
                name="ended_operations_say_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.name}: {self.title}"

    @property
    def title(self) -> str:
        """The first line of the requirement that says something, at most 80 characters."""
        return title_of(self.requirements)

    @property
    def topic(self) -> str:
        return f"operation.{self.pk}"

    @property
    def progress(self) -> float:
        """0 to 1: the share of the nine stages that is behind it."""
        if self.status == Operation.Status.SUCCEEDED:
            return 1.0
        return round(Stage(self.resume_at or self.stage).position / len(Stage), 3)


class Minute(models.Model):
    """How the work stood at a moment, about once a minute: for charts, and forgotten after a day."""

    at = models.DateTimeField(primary_key=True)
    waiting = models.PositiveIntegerField()
    running = models.PositiveIntegerField()
    oldest_s = models.PositiveIntegerField(help_text="For how long the oldest that waits has been there.")
    spent_nanos = models.PositiveBigIntegerField(help_text="What models were paid on that day until then.")
    succeeded = models.PositiveIntegerField(help_text="Operations since the minute before.")
    failed = models.PositiveIntegerField()

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.at:%H:%M}: {self.waiting} wait"


class Step(models.Model):
    """One attempt at one stage: what it made (``product``), or why not (``fault``) and what was done about it."""

    class Outcome(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        WAITING = "waiting", "Waiting"
        FAULT = "fault", "Fault"
        CANCELLED = "cancelled", "Cancelled"
        LOST = "lost", "Worker lost"

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    agent = models.ForeignKey(
        Agent, null=True, blank=True, on_delete=models.SET_NULL, related_name="steps", help_text="Whose berth it was."
    )
    turn = models.PositiveIntegerField()
    stage = models.CharField(max_length=10, choices=Stage.choices)
    attempt = models.PositiveSmallIntegerField(help_text="Counts the entries into this stage, from 1.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.RUNNING)
    claim = models.CharField(max_length=32)
    worker = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    product = models.JSONField(default=dict, blank=True)
    fault = models.JSONField(null=True, blank=True)
    action = models.CharField(max_length=30, blank=True, help_text="What recovery decided.")
    log = models.TextField(blank=True, help_text="At most 256 KiB; the middle is cut out.")
    log_said = models.PositiveBigIntegerField(default=0, help_text="Characters said in all, those cut out included.")

    class Meta:
        ordering = ["operation", "id"]
        constraints = [
            models.UniqueConstraint(fields=["operation", "turn", "claim"], name="one_step_per_turn_and_claim"),
            models.UniqueConstraint(
                fields=["operation", "turn"], condition=Q(outcome="done"), name="one_finished_step_per_turn"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stage} #{self.attempt}: {self.outcome}"


class Evidence(models.Model):
    """What the engine itself saw, bound to the exact tree it saw it on."""

    class Kind(models.TextChoices):
        BASELINE = "tests.baseline", "Tests before"
        TESTS = "tests.run", "Tests after"
        GATE = "gate", "Gate"
        REVIEW = "review", "Review"

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="evidence")
    turn = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=60, blank=True)
    tree = models.CharField(max_length=64, help_text="Git tree hash.")
    passed = models.BooleanField()
    command = models.JSONField(default=list, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    counts = models.JSONField(default=dict, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    tier = models.CharField(max_length=10, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["operation", "id"]
        verbose_name_plural = "evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "turn", "kind", "name", "tree"], name="one_evidence_per_turn_and_name"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {'passed' if self.passed else 'failed'} on {self.tree[:10]}"


class KeptResult(models.Model):
    """A result by the hash of what it depends on. Deleting any of them loses time and nothing else."""

    class Kind(models.TextChoices):
        ANALYSIS = "analysis", "Analysis"
        TESTS = "tests", "Clean tests"
        SYMBOLS = "symbols", "Outline of a file"

    key = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    result = models.JSONField()
    hits = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-used_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.key[:12]}"
