"""Templates as the database keeps them: versions that never change, what is in force, and drafts."""

from __future__ import annotations

import uuid

from django.db import models


class Version(models.Model):
    """A text that was in force once. Immutable: the database refuses a change; its name is the digest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the document's canonical JSON.")
    name = models.CharField(max_length=63, db_index=True)
    version = models.CharField(max_length=32)
    text = models.TextField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150, help_text="Who brought it: user:NAME or host:NAME.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Source(models.TextChoices):
    """Where what is in force came from."""

    LIBRARY = "library", "Shipped with Moorage"
    FILE = "file", "A file in the templates directory"
    PUBLISHED = "published", "Published by a person"


class Template(models.Model):
    """One name: the version in force, and what is to be said about it."""

    Source = Source

    name = models.CharField(primary_key=True, max_length=63)
    current = models.ForeignKey(Version, null=True, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=Source.choices)
    host = models.CharField(max_length=100, blank=True, help_text="On which host the file lies.")
    activated_at = models.DateTimeField(null=True)
    deprecated_at = models.DateTimeField(null=True)
    deprecation = models.CharField(max_length=300, blank=True)
    replaced_by = models.CharField(max_length=63, blank=True)
    refused = models.JSONField(null=True, help_text="The last change, where it was refused: when, whose, its errors.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        """Its stream in the journal."""
        return f"template.{self.name}"


class Activation(models.Model):
    """One change of what is in force, of one template or hundreds. Its number decides who was first."""

    number = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    changes = models.JSONField(help_text="By name: the digest before and after; null for none.")

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"activation {self.number}"


class Draft(models.Model):
    """A text on its way to becoming a version. It may be wrong; nothing but its editors reads it."""

    name = models.CharField(primary_key=True, max_length=63)
    text = models.TextField()
    revision = models.PositiveIntegerField(default=1, help_text="Raised by each change: who saves names what they saw.")
    edited_by = models.CharField(max_length=150)
    edited_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class SeenFile(models.Model):
    """What a host last saw of one of its files: only what differs from it is news."""

    class Verdict(models.TextChoices):
        TAKEN = "taken", "In force, or was"
        REFUSED = "refused", "Refused"
        OLDER = "older", "Not newer than what was in force when this host came"

    host = models.CharField(max_length=100)
    name = models.CharField(max_length=63)
    stamp = models.CharField(max_length=64, help_text="SHA-256 of the file, or what is wrong with it as a file.")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    judged_at = models.PositiveBigIntegerField(default=0, help_text="The activation against which it was judged.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="one_sight_per_host_and_template")]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
