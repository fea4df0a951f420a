"""A turn that is due, and how it is taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from operations.coding import claims
from operations.models import Operation, Project


@pytest.fixture
def due_operation(transactional_db: None, settings: Any) -> Operation:
    settings.CLAIM_TTL_S = 1.0
    user = get_user_model().objects.create_user("ada")
    now = timezone.now()
    project = Project.objects.create(name="p", repository_url="/x", owner=user, created_at=now)
    return Operation.objects.create(
        project=project, requirements="r", template="python", created_by=user, created_at=now, wake_up_at=now
    )


def take(operation: Operation, *, turn: int = 0, after_s: float = 0) -> claims.Claim | None:
    return claims.claim(operation.pk, turn=turn, worker="worker:a", now=timezone.now() + timedelta(seconds=after_s))
