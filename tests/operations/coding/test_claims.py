"""Claims: who may run a turn, and until when that is believed."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from operations.coding import claims
from operations.models import Operation, Project, Step


@pytest.fixture
def operation(transactional_db: None, settings: Any) -> Operation:
    settings.CLAIM_TTL_S = 1.0
    user = get_user_model().objects.create_user("ada")
    now = timezone.now()
    project = Project.objects.create(name="p", repository_url="/x", owner=user, created_at=now)
    return Operation.objects.create(
        project=project, requirements="r", template="python", created_by=user, created_at=now, wake_up_at=now
    )


def take(operation: Operation, *, turn: int = 0, after_s: float = 0) -> claims.Claim | None:
    return claims.claim(operation.pk, turn=turn, worker="worker:a", now=timezone.now() + timedelta(seconds=after_s))


def test_a_turn_is_claimed_once_until_the_claim_expires(operation: Operation) -> None:
    first = take(operation)
    assert first is not None
    assert take(operation) is None
    second = take(operation, after_s=1.5)
    assert second is not None
    assert (first.lost_workers, second.lost_workers) == (0, 1)
    assert list(Step.objects.values_list("outcome", flat=True)) == ["lost", "running"]


def test_of_many_at_once_one_gets_the_claim(operation: Operation) -> None:
    start, got = threading.Barrier(6), []

    def go() -> None:
        start.wait(5)
        try:
            got.append(take(operation))
        finally:
            connection.close()

    threads = [threading.Thread(target=go) for _each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 6
    assert len([claim for claim in got if claim]) == 1


@pytest.mark.parametrize(
    "changed", [{"turn": 1}, {"status": "cancelled", "completed_at": timezone.now()}, {"attention": {"kind": "x"}}]
)
def test_what_moved_on_ended_or_waits_for_a_person_is_not_claimed(
    operation: Operation, changed: dict[str, Any]
) -> None:
    Operation.objects.filter(pk=operation.pk).update(**changed)
    assert take(operation) is None
    assert Step.objects.count() == 0
