"""Receipts: outbox rows of delivered events are cleared away a moment later, many in one statement.

A delete of its own for each event would double the write transactions of everything that Moorage does, and each of
them would meet the next change at the database's door. A process that dies in between loses nothing: the sweep
delivers these events once more, and whoever takes them is idempotent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Final

from django.db import DatabaseError, connection

log = logging.getLogger(__name__)

WITHIN_S: Final = 0.5  # well below the grace after which the sweep takes an event for undelivered
AGAIN_S: Final = 5.0  # after the database refused
AT_ONCE: Final = 500  # rows in one statement


class _Receipts:
    """The receipts of this process, and the one thread that hands them in while there are any."""

    def __init__(self) -> None:
        self._lock, self._handing_in = threading.Lock(), threading.Lock()
        self._some = threading.Event()
        self._delivered: list[int] = []
        self._thread: threading.Thread | None = None

    def add(self, event_id: int) -> None:
        with self._lock:
            self._delivered.append(event_id)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="receipts", daemon=True)
                self._thread.start()
        self._some.set()

    def hand_in(self) -> None:
        """Clear the outbox rows of all that was delivered until now. Raises DatabaseError and forgets nothing."""
        with self._handing_in:
            while some := self._delivered[:AT_ONCE]:
                places = ", ".join(["%s"] * len(some))
                with connection.cursor() as cursor:
                    cursor.execute(f"DELETE FROM events_undelivered WHERE event_id IN ({places})", some)  # noqa: S608
                with self._lock:
                    del self._delivered[: len(some)]  # what came meanwhile stands behind them

    def _work(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(WITHIN_S)
            try:
                self.hand_in()
            except DatabaseError as error:
                log.warning("the outbox was not cleared", extra={"error": str(error)})
                time.sleep(AGAIN_S)
                self._some.set()
            finally:
                connection.close()


_receipts = _Receipts()


def add(event_id: int) -> None:
    """The bus and the live stream took this event: its outbox row goes within about half a second."""
    _receipts.add(event_id)


def hand_in() -> None:
    """Clear the outbox rows of what this process delivered, now."""
    _receipts.hand_in()


def _begin_anew() -> None:
    """A forked child has its parent's receipts in memory; the parent hands them in."""
    global _receipts
    _receipts = _Receipts()


os.register_at_fork(after_in_child=_begin_anew)
