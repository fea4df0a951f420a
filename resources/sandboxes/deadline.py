"""Until when one running command is waited for: its time, whether it is still wanted, and how long it may take to obey.

The same for every way in which a command is held, whatever it is held by.
"""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_S = 0.2


class Deadline:
    """Asked before each wait. Hangs up once, when time is over or the command is no longer wanted; then gives up."""

    def __init__(
        self, *, timeout_s: float, cancelled: Callable[[], bool] | None, hang_up: Callable[[], None], obey_s: float
    ) -> None:
        self._cancelled = cancelled
        self._hang_up = hang_up
        self._obey_s = obey_s
        self._began = time.monotonic()
        self._until = self._began + timeout_s
        self._next_poll = self._began
        self._give_up_at: float | None = None
        self.timed_out = False
        self.cancelled = False
        self.stuck = False  # it did not obey in its time: something of it may still run

    @property
    def passed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def killed(self) -> bool:
        """Whether the command was ended by us, so that its exit code means nothing."""
        return self.timed_out or self.cancelled

    def wait_s(self, *, broken: bool = False) -> float | None:
        """How long to wait for the next byte; None when it did not obey. ``broken``: end it for another reason."""
        now = time.monotonic()
        if self._give_up_at is not None:
            self.stuck = now >= self._give_up_at
            return None if self.stuck else POLL_S
        self.timed_out = now >= self._until
        if not self.timed_out and self._cancelled is not None and now >= self._next_poll:
            self.cancelled = self._cancelled()
            self._next_poll = now + POLL_S
        if self.killed or broken:
            self._hang_up()
            self._give_up_at = now + self._obey_s
            return POLL_S
        return min(POLL_S, self._until - now)
