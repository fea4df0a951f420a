"""Claims and their pulse: who may run a turn, and when a runner stops by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from operations.coding import claims
from operations.coding.stage_log import StageLog
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


def eventually(condition: Callable[[], bool], *, timeout_s: float = 6) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


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


def test_a_pulse_keeps_its_claim_as_long_as_it_beats(operation: Operation) -> None:
    claimed = take(operation)
    assert claimed is not None
    with claims.Pulse(claimed, StageLog(), agent_id=None) as pulse:
        time.sleep(1.6)
        assert take(operation) is None
        assert not pulse.lost()


def test_a_pulse_stores_the_log_while_the_stage_still_runs(operation: Operation) -> None:
    claimed, log = take(operation), StageLog()
    assert claimed is not None
    with claims.Pulse(claimed, log, agent_id=None):
        log.say("hello")
        eventually(lambda: Step.objects.get().log == "hello\n")


def test_a_pulse_notices_that_the_turn_moved_on(operation: Operation) -> None:
    claimed = take(operation)
    assert claimed is not None
    with claims.Pulse(claimed, StageLog(), agent_id=None) as pulse:
        Operation.objects.filter(pk=operation.pk).update(turn=1, claim="")
        began = time.monotonic()
        eventually(pulse.lost)
        assert time.monotonic() - began < 4


def test_a_pulse_that_cannot_prove_that_it_lives_says_so(operation: Operation, settings: Any) -> None:
    """The database refuses every write of it: its runner stops rather than run unseen."""
    claimed, log = take(operation), StageLog()
    assert claimed is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER no_steps BEFORE UPDATE ON operations_step BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            if connection.vendor == "sqlite"
            else "ALTER TABLE operations_step RENAME COLUMN log TO log_away"
        )
    try:
        with claims.Pulse(claimed, log, agent_id=None) as pulse:
            talking = threading.Event()
            deadline = time.monotonic() + 6
            while not pulse.lost() and time.monotonic() < deadline:
                log.say("still here")
                talking.wait(0.05)
            assert pulse.lost()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP TRIGGER no_steps"
                if connection.vendor == "sqlite"
                else "ALTER TABLE operations_step RENAME COLUMN log_away TO log"
            )


def test_a_busy_database_delays_a_pulse_and_does_not_end_it(operation: Operation) -> None:
    """Another connection holds the write lock for a while: SQLite says "locked" only after twenty seconds."""
    from django.db import transaction

    claimed, log = take(operation), StageLog()
    assert claimed is not None
    with claims.Pulse(claimed, log, agent_id=None) as pulse:
        with transaction.atomic():
            Project.objects.update(name="q")
            log.say("said while the lock was held")
            time.sleep(0.8)
        eventually(lambda: "said while" in Step.objects.get().log)
        assert not pulse.lost()
