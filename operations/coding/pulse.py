"""The pulse of a running stage: keeps its claim alive, stores its log, and notices when the turn has moved on.

All stages of a process share one thread for it: a thread and a database connection for each would cost more than
most stages' own bookkeeping.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.utils import timezone

from agents import health
from agents.models import Fact
from operations import step_logs
from operations.coding.claims import Claim
from operations.coding.stage_log import StageLog
from operations.models import Operation

log = logging.getLogger(__name__)

TICK_S = 1.0  # between two looks at the turn; a fifth of the claim's life where that is shorter


class Pulse:
    """The pulse of one claim, for the time of a ``with`` block.

    ``lost()`` becomes true within about a second after a cancellation, and when the database could not be reached
    for as long as the claim lives: a runner that cannot prove that it lives stops itself.
    """

    def __init__(self, claimed: Claim, stage_log: StageLog, *, agent_id: uuid.UUID | None) -> None:
        self._claim, self._log, self._agent_id = claimed, stage_log, agent_id
        self._lost, self._beating = threading.Event(), threading.Lock()
        self._ended = False
        self._proved = self._extended = time.monotonic()

    def lost(self) -> bool:
        """Whether the stage should stop: it has no say any more."""
        return self._lost.is_set()

    def lose(self) -> None:
        """Nobody proves any more that this runner lives."""
        self._lost.set()

    def __enter__(self) -> Self:
        _heart.add(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        _heart.remove(self)
        # A beat that has begun may still write the log: the stage's last words come after it.
        if self._beating.acquire(timeout=30):
            self._ended = True
            self._beating.release()

    def beat(self) -> None:
        """One look at the turn; what is said meanwhile is stored, and the claim extended when that is due."""
        with self._beating:
            if self._ended or self.lost():
                return
            due = time.monotonic() - self._extended >= settings.CLAIM_TTL_S / 3
            try:
                if not self._check(extend=due):
                    self.lose()
                    return
            except DatabaseTrouble as error:
                log.warning("pulse cannot reach the database", extra={"error": str(error)})
                connection.close()
                if time.monotonic() - self._proved > settings.CLAIM_TTL_S:
                    self.lose()
                return
            self._proved = time.monotonic()
            self._extended = self._proved if due else self._extended

    def _check(self, *, extend: bool) -> bool:
        mine = Operation.objects.filter(pk=self._claim.operation_id, turn=self._claim.turn, claim=self._claim.token)
        now = timezone.now()
        if news := self._log.unsaved():
            step_logs.store(self._claim.step_id, news, now=now)
            self._seen(Fact.Kind.LAST_OUTPUT, now)
        if not extend:
            return mine.exists()
        self._seen(Fact.Kind.WORKER_HEARTBEAT, now)
        return bool(mine.update(claimed_until=now + timedelta(seconds=settings.CLAIM_TTL_S)))

    def _seen(self, kind: Fact.Kind, now: datetime) -> None:
        if self._agent_id is not None:
            health.observe(self._agent_id, kind, now=now)


class _Heart:
    """The one thread of this process that beats for all its pulses; it starts with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pulses: set[Pulse] = set()
        self._thread: threading.Thread | None = None

    def add(self, pulse: Pulse) -> None:
        with self._lock:
            self._pulses.add(pulse)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
                self._thread.start()

    def remove(self, pulse: Pulse) -> None:
        with self._lock:
            self._pulses.discard(pulse)

    def _all(self) -> list[Pulse]:
        with self._lock:
            return list(self._pulses)

    def _beat(self) -> None:
        try:
            while True:
                time.sleep(min(TICK_S, settings.CLAIM_TTL_S / 5))
                pulses = self._all()
                for pulse in pulses:
                    pulse.beat()
                if not pulses:
                    connection.close()  # nothing to do, nothing to hold
        finally:
            for pulse in self._all():
                pulse.lose()


_heart = _Heart()


def _begin_anew() -> None:
    """A forked child has the pulses of its parent in memory and no thread that beats for them."""
    global _heart
    _heart = _Heart()


os.register_at_fork(after_in_child=_begin_anew)
