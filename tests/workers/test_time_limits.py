"""A stage that runs into Celery's time limit is told apart from one that breaks."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from operations.models import Operation
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, TESTS, make
from tests.patience import eventually

__all__ = ["inline"]


@pytest.fixture
def soft_limit() -> Any:
    """What the pool does in a child: the signal raises in the middle of whatever runs. Here: once a file is there."""

    def raise_it(*_signal: Any) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, raise_it)
    main, over = threading.main_thread().ident, threading.Event()
    assert main is not None

    def watch(mark: Path) -> None:
        eventually(lambda: mark.exists() or over.is_set(), within_s=100)
        if not over.is_set():
            mark.unlink()
            signal.pthread_kill(main, signal.SIGUSR1)

    watchers: list[threading.Thread] = []

    def after(mark: Path) -> None:
        watchers.append(threading.Thread(target=watch, args=(mark,)))
        watchers[-1].start()

    yield after
    over.set()
    for watcher in watchers:
        watcher.join()
    signal.signal(signal.SIGUSR1, before)


def test_a_stage_beyond_its_limit_is_tried_once_more_and_then_shown_to_a_person(
    inline: Inline, soft_limit: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "its tests run"
    endless = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(3600)\n"
    slow = {**PROJECT, "test_calc.py": endless + TESTS}
    operation = inline.submit(inline.project(make(inline.roots / "r.git", slow)))
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "analyze")
    for _attempt in range(2):
        soft_limit(mark)
        inline.wake(operation)
        inline.run()
    inline.run()
    operation.refresh_from_db()
    assert (operation.status, operation.error["code"]) == ("failed", "stage.timeout")
    assert operation.error["remedy"]
    assert [row for row in stages(operation) if row[0] == "analyze"] == [("analyze", "fault")] * 2
    assert left_held() == []
