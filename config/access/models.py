"""API tokens. Only a digest is stored; the token itself is shown once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models

PREFIX = "moor_"


class Scope(models.TextChoices):
    """What a token allows on top of its user's own rights."""

    READ = "read", "Read"
    WRITE = "write", "Read and write"


class ApiToken(models.Model):
    """A bearer token of one user, found by the SHA-256 of its text (256 random bits need no slow hash)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="What it is used for.")
    hint = models.CharField(max_length=12, editable=False, help_text="Its first characters, to tell tokens apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.WRITE)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.user} {self.hint}…"

    def valid(self, *, now: datetime) -> bool:
        """Whether it may be used at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def digest_of(token: str) -> str:
    """The stored form of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(*, user: Any, scope: Scope = Scope.WRITE, name: str = "", expires_at: datetime | None = None) -> str:
    """Create a token and return its text: the only time that it can be seen."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(
        user=user, scope=scope, name=name, hint=token[:12], digest=digest_of(token), expires_at=expires_at
    )
    return token
