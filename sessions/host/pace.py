"""How fast a program may print: as fast as whoever has control sees it, or by a ration where nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sessions.host.master import Master
from sessions.host.people import People, Viewer
from sessions.host.wire import ACK_EVERY, WINDOW

# At most so much per window of a terminal that nobody paces: what nobody waits for does not keep the processor busy.
_WINDOW_S, _WINDOW_BYTES = 0.1, 1_600_000
_STALLED_S = 3.0  # whoever has control and acknowledges nothing for so long paces the program no more
_HANGUP_PAUSE_S = 0.1  # a program may close its terminal and open it again; reading says EIO meanwhile


class Pace:
    """Decides when a terminal's master is read; ``head`` says how much has been printed in all."""

    def __init__(self, *, master: Master, people: People, head: Callable[[], int]) -> None:
        self._master, self._people, self._head = master, people, head
        self._read_in_window = 0
        self._window: asyncio.TimerHandle | None = None
        self._held = False  # the program waits until whoever has control has seen more
        self._stalled: Viewer | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._over = False
        self._loop = asyncio.get_running_loop()

    def printed(self, count: int) -> None:
        """So many bytes more; or none, but it could have."""
        if self._setter is None:
            self._ration(count)
        elif self._behind() >= WINDOW:
            self._hold()

    def hung_up(self) -> None:
        """Nobody has the terminal open just now."""
        self._master.wait()
        self._forget_window()
        self._window = self._loop.call_later(_HANGUP_PAUSE_S, self._next_window)

    def seen_by(self, viewer: Viewer) -> None:
        """They acknowledged something: the program may go on if they pace it."""
        if self._stalled is viewer:
            self._stalled = None
        if self._held and self._behind() <= WINDOW - ACK_EVERY:
            self._go_on()

    def changed_hands(self) -> None:
        """Another one paces the program now, or nobody."""
        self._stalled = None
        self._go_on()

    def end(self) -> None:
        """The program has ended: nothing is read any more."""
        self._over = True
        self._forget_window()
        if self._patience is not None:
            self._patience.cancel()

    @property
    def _setter(self) -> Viewer | None:
        """Whoever has control and shows what is printed."""
        holder = self._people.holder
        return None if holder is self._stalled else holder

    def _behind(self) -> int:
        """How many bytes whoever has control has not acknowledged; 0 when nobody paces the program."""
        setter = self._setter
        return 0 if setter is None else self._head() - setter.acknowledged

    def _ration(self, count: int) -> None:
        self._read_in_window += count
        if self._window is None:
            self._window = self._loop.call_later(_WINDOW_S, self._next_window)
        elif self._read_in_window >= _WINDOW_BYTES:
            self._master.wait()

    def _hold(self) -> None:
        self._held = True
        self._master.wait()
        self._forget_window()
        self._patience = self._loop.call_later(_STALLED_S, self._lose_patience, self._people.holder)

    def _go_on(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._held and not self._over:
            self._held = False
            self._next_window()

    def _lose_patience(self, holder: Viewer | None) -> None:
        self._patience = None
        self._stalled = holder
        self._go_on()

    def _next_window(self) -> None:
        self._window, self._read_in_window = None, 0
        self._master.listen()

    def _forget_window(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
