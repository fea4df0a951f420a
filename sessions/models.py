"""Terminal sessions. Their bytes live in the session host; a row says what is intended and who may look."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from agents.models import Agent
from resources.models import Host


class Terminal(models.Model):
    """One shared terminal in one agent's berth. ``generation`` is the fencing token: each transition raises it."""

    class State(models.TextChoices):
        OPENING = "opening", "Opening"
        LIVE = "live", "Live"
        DETACHED = "detached", "Detached"
        CLOSED = "closed", "Closed"
        LOST = "lost", "Lost"

    class Kind(models.TextChoices):
        SHELL = "shell", "Shell"
        WATCH = "watch", "Watch"

    class Recorded(models.TextChoices):
        NONE = "none", "Nothing"
        OUTPUT = "output", "Output"
        INPUT = "input", "Output and input"

    RUNNING = (State.LIVE, State.DETACHED)
    OPEN = (State.OPENING, *RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="terminals")
    kind = models.CharField(
        max_length=10, choices=Kind.choices, default=Kind.SHELL,
        help_text="A shell in the berth, or what the commands of the agent's work print.",
    )  # fmt: skip
    title = models.CharField(max_length=100, blank=True)
    state = FSMField(choices=State.choices, default=State.OPENING, protected=True)
    generation = models.PositiveIntegerField(default=1)
    columns = models.PositiveSmallIntegerField(default=80)
    rows = models.PositiveSmallIntegerField(default=24)
    recording = models.CharField(
        max_length=10, choices=Recorded.choices, default=Recorded.NONE, help_text="What is recorded of it."
    )
    exit_code = models.IntegerField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it is closed or lost.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="terminals"
    )
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state"], name="terminals_by_state")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["opening", "live", "detached"], closed_at__isnull=True)
                | Q(state__in=["closed", "lost"], closed_at__isnull=False),
                name="ended_terminals_say_when",
            ),
            models.CheckConstraint(
                condition=Q(columns__range=(1, 1000), rows__range=(1, 1000)), name="terminals_have_a_size"
            ),
            models.UniqueConstraint(
                fields=["agent"],
                condition=Q(kind="watch", state__in=["opening", "live", "detached"]),
                name="one_watch_of_an_agent",
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)

    @property
    def topic(self) -> str:
        return f"terminal.{self.pk}"

    @transition(field=state, source=State.OPENING, target=State.LIVE)
    def opened(self) -> None:
        """The session host owns its PTY now."""

    @transition(field=state, source=State.LIVE, target=State.DETACHED)
    def detached(self) -> None:
        """It runs on, and nobody is at it."""

    @transition(field=state, source=State.DETACHED, target=State.LIVE)
    def attached(self) -> None:
        """Somebody is at it again."""

    @transition(field=state, source=OPEN, target=State.CLOSED)
    def closed(self, reason: str, exit_code: int | None) -> None:
        self.reason, self.exit_code = reason, exit_code

    @transition(field=state, source=OPEN, target=State.LOST)
    def lost(self, reason: str) -> None:
        self.reason = reason


class TerminalGuest(models.Model):
    """Somebody who was let in by the owner: sees the terminal, and types into it where that was granted too."""

    terminal = models.ForeignKey(Terminal, on_delete=models.CASCADE, related_name="guests")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shared_terminals")
    may_type = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at"]
        constraints = [models.UniqueConstraint(fields=["terminal", "user"], name="a_guest_of_a_terminal_once")]

    def __str__(self) -> str:
        return f"{self.user} at {self.terminal}"


class Recording(models.Model):
    """What was recorded of a terminal. The file, an asciicast, lies on the terminal's machine."""

    terminal = models.OneToOneField(Terminal, on_delete=models.CASCADE, primary_key=True, related_name="record")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    truncated = models.BooleanField(default=False, help_text="It reached the size that one may have.")

    class Meta:
        indexes = [models.Index(fields=["started_at"], name="recordings_by_start")]

    def __str__(self) -> str:
        return f"recording of {self.terminal_id}"


class SessionHost(models.Model):
    """The daemon that owns the PTYs of one host. Alive is derived from ``heartbeat_at``."""

    host = models.OneToOneField(Host, on_delete=models.CASCADE, primary_key=True, related_name="session_host")
    epoch = models.CharField(max_length=32, help_text="Changes with every start of the daemon.")
    socket = models.CharField(max_length=200)
    place = models.CharField(
        max_length=100, default="", help_text="Machine and directory of the socket: a path alone is the same on many."
    )
    heartbeat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"session host of {self.host_id}"
