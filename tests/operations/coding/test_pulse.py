"""The pulse of a running stage: one thread for all of a process, and a runner that stops by itself."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.db import connection

from operations.coding.pulse import Pulse
from operations.coding.stage_log import StageLog
from operations.models import Operation, Project, Step
from tests.operations.coding.turns import take
from tests.patience import eventually


def test_a_pulse_keeps_its_claim_as_long_as_it_beats(due_operation: Operation) -> None:
    claimed = take(due_operation)
    assert claimed is not None
    with Pulse(claimed, StageLog(), agent_id=None) as pulse:
        time.sleep(1.6)
        assert take(due_operation) is None
        assert not pulse.lost()


def test_a_pulse_stores_the_log_while_the_stage_still_runs(due_operation: Operation) -> None:
    claimed, log = take(due_operation), StageLog()
    assert claimed is not None
    with Pulse(claimed, log, agent_id=None):
        log.say("hello")
        eventually(lambda: Step.objects.get().log == "hello\n")


def test_a_pulse_notices_that_the_turn_moved_on(due_operation: Operation) -> None:
    claimed = take(due_operation)
    assert claimed is not None
    with Pulse(claimed, StageLog(), agent_id=None) as pulse:
        Operation.objects.filter(pk=due_operation.pk).update(turn=1, claim="")
        began = time.monotonic()
        eventually(pulse.lost)
        assert time.monotonic() - began < 4


def test_a_pulse_that_cannot_prove_that_it_lives_says_so(due_operation: Operation, settings: Any) -> None:
    """The database refuses every write of it: its runner stops rather than run unseen."""
    claimed, log = take(due_operation), StageLog()
    assert claimed is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER no_steps BEFORE UPDATE ON operations_step BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            if connection.vendor == "sqlite"
            else "ALTER TABLE operations_step RENAME COLUMN log TO log_away"
        )
    try:
        with Pulse(claimed, log, agent_id=None) as pulse:
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


def test_a_busy_database_delays_a_pulse_and_does_not_end_it(due_operation: Operation) -> None:
    """Another connection holds the write lock for a while: SQLite says "locked" only after twenty seconds."""
    from django.db import transaction

    claimed, log = take(due_operation), StageLog()
    assert claimed is not None
    with Pulse(claimed, log, agent_id=None) as pulse:
        with transaction.atomic():
            Project.objects.update(name="q")
            log.say("said while the lock was held")
            time.sleep(0.8)
        eventually(lambda: "said while" in Step.objects.get().log)
        assert not pulse.lost()


def test_one_thread_beats_for_all_stages_of_a_process(due_operation: Operation) -> None:
    claimed = take(due_operation)
    assert claimed is not None
    with Pulse(claimed, StageLog(), agent_id=None), Pulse(claimed, StageLog(), agent_id=None):
        assert [thread.name for thread in threading.enumerate()].count("pulse") == 1


def test_after_its_end_a_pulse_writes_nothing(due_operation: Operation) -> None:
    claimed, log = take(due_operation), StageLog()
    assert claimed is not None
    with Pulse(claimed, log, agent_id=None) as pulse:
        pass
    log.say("too late")
    pulse.beat()
    assert Step.objects.get().log == ""
