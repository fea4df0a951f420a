"""A child of a worker gets work only once it has been through SQLite's locks."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from celery import signals
from django.conf import settings
from django.db import connection

from workers import forks


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database whose writers come and go."""
    path = tmp_path / "moorage.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", path)
    monkeypatch.setattr(connection, "vendor", "sqlite")
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE beats (at REAL)")
    return path


def _asks() -> int:
    """The pid of a forked child that asks, and ends with 0 when it was answered."""
    pid = os.fork()
    if pid == 0:
        try:
            forks.ask_the_database()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def _ended(pid: int, *, within_s: float) -> int | None:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def test_a_child_forked_at_a_quiet_moment_is_answered(database: Path) -> None:
    assert _ended(_asks(), within_s=60) == 0


def test_a_child_forked_while_somebody_writes_in_its_parent_does_not_come_up(database: Path) -> None:
    """The lock is its parent's thread's, which it has not got: to wait for it is to wait for ever."""
    writing = sqlite3.connect(database, isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    pid = _asks()
    writing.execute("COMMIT")  # nobody writes any more, and still
    assert _ended(pid, within_s=3) is None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert _ended(_asks(), within_s=60) == 0, "the next one is forked at a better moment"
    writing.close()


def test_celery_asks_each_child_and_kills_one_that_does_not_come_up() -> None:
    assert "moorage.forks.ask" in [key[0] for key, _ in signals.worker_process_init.receivers]
    assert settings.CELERY_WORKER_PROC_ALIVE_TIMEOUT < forks._BUSY_S
