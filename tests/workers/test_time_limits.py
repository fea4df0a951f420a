"""A stage that runs into Celery's time limit is told apart from one that breaks."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from operations.models import Operation
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, TESTS, make

__all__ = ["inline"]


@pytest.fixture
def soft_limit() -> Any:
    """What the pool does in a child: the signal raises in the middle of whatever runs."""

    def raise_it(*_signal: Any) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, raise_it)
    timers: list[threading.Timer] = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, lambda: signal.raise_signal(signal.SIGUSR1)))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.cancel()
    signal.signal(signal.SIGUSR1, before)


def test_a_stage_beyond_its_limit_is_tried_once_more_and_then_shown_to_a_person(
    inline: Inline, soft_limit: Any
) -> None:
    slow = {**PROJECT, "test_calc.py": "import time\ntime.sleep(30)\n" + TESTS}
    operation = inline.submit(inline.project(make(inline.roots / "r.git", slow)))
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "analyze")
    for _attempt in range(2):
        soft_limit(1.5)
        inline.wake(operation)
        inline.run()
    inline.run()
    operation.refresh_from_db()
    assert (operation.status, operation.error["code"]) == ("failed", "stage.timeout")
    assert operation.error["remedy"]
    assert [row for row in stages(operation) if row[0] == "analyze"] == [("analyze", "fault")] * 2
    assert left_held() == []
