"""Tasks of delivered pull requests."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from operations.coding import watching
from workers import presence


@shared_task(name="forges.look")
def look(*, pull_request_id: str, **_newer: Any) -> None:
    """Something may have happened to a pull request."""
    watching.look_for_hint(pull_request_id, now=timezone.now(), actor=presence.name())


@shared_task(name="forges.look_routinely")
def look_routinely(*, pull_request_id: str, **_newer: Any) -> None:
    """Nobody said anything; somebody looks."""
    watching.look(pull_request_id, now=timezone.now(), actor=presence.name(), routine=True)
