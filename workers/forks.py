"""A worker's child that was forked at a bad moment is noticed before it is given work.

A worker beats and does its host's chores in threads. A child that replaces a killed one is forked while they may be
inside SQLite, and then finds SQLite's own locks held by nobody, for ever: it would take a task and hang, beside a host
that looks alive. So each child asks the database before it says that it is up; one that does not say so in time is
killed by Celery, which forks another (``CELERY_WORKER_PROC_ALIVE_TIMEOUT``).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from celery import signals
from django.db import connection

_BUSY_S = 60.0  # longer than a child has to come up: one that only ever hears "locked" goes the same way


def connect() -> None:
    """Hook into Celery's worker signals. Twice is fine."""
    signals.worker_process_init.connect(ask_the_database, dispatch_uid="moorage.forks.ask")


def ask_the_database(**_signal: Any) -> None:
    """Through every lock that SQLite has: of its files and for writing. By a handle that nobody has seen before."""
    if connection.vendor != "sqlite":
        return
    name = str(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(name, timeout=_BUSY_S, isolation_level=None, uri=name.startswith("file:"))) as own:
        own.execute("BEGIN IMMEDIATE")
        own.execute("ROLLBACK")
