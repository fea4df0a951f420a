"""Hosts and what they lend. A lease is an intent row before it is a thing."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from resources.watched import FleetPause as FleetPause
from resources.watched import Orphan as Orphan
from resources.watched import Sample as Sample


class Host(models.Model):
    """One machine that lends berths. Whether it is alive is derived from ``heartbeat_at``, never stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    slots = models.PositiveIntegerField(help_text="Berths at once.")
    memory_mb = models.PositiveIntegerField(help_text="Memory lent to berths, in MB.")
    cpu_millis = models.PositiveIntegerField(help_text="Processor time lent, in thousandths of a core.")
    disk_mb = models.PositiveBigIntegerField(help_text="Disk lent to workspaces, in MB.")
    port_first = models.PositiveIntegerField(help_text="First port lent.")
    port_last = models.PositiveIntegerField(help_text="Last port lent, included.")
    draining_since = models.DateTimeField(null=True, blank=True, help_text="Takes no new berths since then.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True, help_text="Tiers found, load, memory and disk in use.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(port_first__lte=models.F("port_last")), name="port_range_is_a_range")
        ]

    def __str__(self) -> str:
        return self.name


class Account(models.Model):
    """A user or a project as a borrower: limits of its own, where it has any, in place of the settings' defaults.

    Its row is what two admissions for the same borrower on different hosts wait for each other at.
    """

    class Kind(models.TextChoices):
        USER = "user", "User"
        PROJECT = "project", "Project"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=36, help_text="A user's or a project's id.")
    slots = models.PositiveIntegerField(null=True, blank=True, help_text="Berths at once; empty for the default.")
    memory_mb = models.PositiveIntegerField(null=True, blank=True, help_text="Memory in MB; empty for the default.")
    cpu_millis = models.PositiveIntegerField(
        null=True, blank=True, help_text="Thousandths of a core; empty for the default."
    )
    disk_mb = models.PositiveBigIntegerField(null=True, blank=True, help_text="Disk in MB; empty for the default.")
    reason = models.CharField(max_length=300, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["kind", "key"]
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="one_account_per_borrower")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def topic(self) -> str:
        """Its stream in the journal."""
        return f"account.{self.kind}-{self.key}"


class Lease(models.Model):
    """One thing taken from a host by one owner. At most one live lease per host, kind and key."""

    class Kind(models.TextChoices):
        SLOT = "slot", "Slot"
        MEMORY = "memory", "Memory (MB)"
        CPU = "cpu", "Processor (thousandths of a core)"
        DISK = "disk", "Disk (MB)"
        PORT = "port", "Port"
        UID = "uid", "User id"
        DIRECTORY = "directory", "Directory"
        PROCESS = "process", "Process"
        CONTAINER = "container", "Container"
        EGRESS = "egress", "Way out"
        VOLUME = "volume", "Volume"

    class State(models.TextChoices):
        INTENT = "intent", "Intended"
        HELD = "held", "Held"
        RELEASED = "released", "Released"
        SQUATTED = "squatted", "Taken by a stranger"

    LIVE = (State.INTENT, State.HELD)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="leases")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(
        max_length=200, blank=True, help_text="What exactly: a port number, a path, a container name."
    )
    name = models.CharField(max_length=60, blank=True, help_text="What the owner calls it: web for PORT_WEB.")
    amount = models.PositiveBigIntegerField(default=1)
    owner = models.CharField(max_length=60, db_index=True, help_text="agent:<uuid>")
    generation = models.PositiveIntegerField(help_text="The owner's fencing token when it was taken.")
    for_user = models.CharField(max_length=36, blank=True, help_text="Id of the user whose quota it counts in.")
    for_project = models.CharField(max_length=36, blank=True, help_text="Id of the project whose quota it counts in.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.INTENT)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Released by the sweep when its owner does not renew it.")
    released_at = models.DateTimeField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["host", "state", "kind"]),
            models.Index(fields=["state", "expires_at"]),
            models.Index(fields=["kind", "released_at"], name="leases_released_of_kind"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "kind", "key"],
                condition=Q(state__in=["intent", "held", "squatted"]) & ~Q(key=""),
                name="one_holder_per_key",
            ),
            models.CheckConstraint(
                condition=Q(state="released", released_at__isnull=False)
                | (~Q(state="released") & Q(released_at__isnull=True)),
                name="released_leases_say_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key or self.amount} of {self.owner}"


class Tick(models.Model):
    """One periodic duty: whoever moves ``due_at`` forward by compare-and-swap does it."""

    name = models.CharField(max_length=60, primary_key=True)
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.due_at:%H:%M:%S}"


class EgressGrant(models.Model):
    """An operator's yes to one destination, for the berths of one template or of one project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    template = models.CharField(max_length=80, blank=True, help_text="Berths of this very template.")
    project_id = models.UUIDField(null=True, blank=True, help_text="Or berths of this project.")  # a room above
    host = models.CharField(max_length=255, help_text="A host, or *.suffix.")
    port = models.PositiveIntegerField(default=0, help_text="0 means 80 and 443.")
    granted_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(template="", project_id__isnull=False) | (~Q(template="") & Q(project_id__isnull=True)),
                name="egress_grants_are_for_one_thing",
            ),
            models.UniqueConstraint(
                fields=["template", "host", "port"],
                condition=Q(withdrawn_at__isnull=True, project_id__isnull=True),
                name="one_egress_grant_per_template",
            ),
            models.UniqueConstraint(
                fields=["project_id", "host", "port"],
                condition=Q(withdrawn_at__isnull=True, template=""),
                name="one_egress_grant_per_project",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.destination} for {self.template or self.project_id}"

    @property
    def destination(self) -> str:
        """As it was asked for."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def topic(self) -> str:
        """Its stream in the journal."""
        return f"egress.{self.pk}"
