"""Claims: who may run a turn, and until when that is believed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from operations.models import Operation, Step
from tests.operations.coding.turns import take


def test_a_turn_is_claimed_once_until_the_claim_expires(due_operation: Operation) -> None:
    first = take(due_operation)
    assert first is not None
    assert take(due_operation) is None
    second = take(due_operation, after_s=1.5)
    assert second is not None
    assert (first.lost_workers, second.lost_workers) == (0, 1)
    assert list(Step.objects.values_list("outcome", flat=True)) == ["lost", "running"]


def test_of_many_at_once_one_gets_the_claim(due_operation: Operation) -> None:
    start, got = threading.Barrier(6), []

    def go() -> None:
        start.wait(5)
        try:
            got.append(take(due_operation))
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
    due_operation: Operation, changed: dict[str, Any]
) -> None:
    Operation.objects.filter(pk=due_operation.pk).update(**changed)
    assert take(due_operation) is None
    assert Step.objects.count() == 0
