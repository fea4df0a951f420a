"""One viewer of one terminal: a cursor into its ring, what they have acknowledged, and what they have been told.

Nothing is queued for a viewer but a snapshot that is on its way: what is still to be said is state that is compared.
So a viewer who does not read costs a window of bytes, however much is printed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sessions.host import wire
from sessions.host.session import Session
from sessions.host.wire import LIVE_ONLY, MOST_DATA, TOLD, WINDOW, Kind, Problem, Refused
from sessions.ring import Ring

FALLEN_BEHIND = 4 * WINDOW  # whoever watches and is further back sees the screen as it is instead of all that passed
_CAUGHT_UP_WITH = 3 * WINDOW  # by whoever sees a terminal from its start


class Watch:
    """One channel of a client."""

    def __init__(
        self,
        *,
        session: Session,
        channel: int,
        offset: int,
        may_type: bool,
        name: str,
        wake: Callable[[Watch], None],
    ) -> None:
        self.session, self.channel = session, channel
        self.number, self.name, self.may_type = session.people.number(), name, may_type
        self._wake = wake
        self.finished = False
        self.typist, self.typed_in_vain = b"", False
        head = session.ring.head
        if LIVE_ONLY != offset > head:
            raise Refused(Problem.BAD_OFFSET, f"{offset} lies behind the head at {head}")
        if offset == LIVE_ONLY and session.from_start:
            offset = _beginning(session.ring)
        self._seen = head if offset == LIVE_ONLY else offset
        self._cursor = self.acknowledged = self._seen
        self._redraw = offset == LIVE_ONLY
        self._window_full = False
        self._snapshot: deque[bytes] = deque()
        self._control_told = session.people.epoch
        self._people_told = -1
        self._notice_told = ""
        self._size_told = (session.columns, session.rows)

    @property
    def in_control(self) -> bool:
        """Whether what they type reaches the program."""
        return self.session.people.holder is self

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake(self)

    def acknowledge(self, offset: int) -> None:
        """They have shown everything before ``offset``. An older acknowledgement changes nothing."""
        if offset > self._cursor:
            raise Refused(Problem.BAD_OFFSET, f"{offset} has not been sent: {self._cursor} is the next")
        self.acknowledged = max(self.acknowledged, offset)
        self.session.heard_from(self)
        if self._window_full:  # else whatever there was to tell has been told
            self.wake()

    def took(self, count: int) -> None:
        """So many bytes that were typed here went to the program."""
        if self.typed_in_vain:  # something before them did not
            self.session.typists.forget(self.typist)
        else:
            self.session.typists.took(self.typist, count)

    def next_frame(self) -> bytes | None:
        """The next thing to tell, or None. The end comes last, after all that was printed."""
        if told := self._news():
            return told
        if self._snapshot:
            return self._snapshot.popleft()
        ring = self.session.ring
        room = WINDOW - (self._cursor - self.acknowledged)
        self._window_full = room < min(MOST_DATA, ring.head - self._cursor)
        if self._window_full:
            return None  # a whole frame once there is room for it costs less than a small one now and one more then
        if self._redraw or self._cursor < ring.start or ring.head - self._cursor > FALLEN_BEHIND:
            return self._show_screen()
        if data := ring.read(self._cursor, MOST_DATA):
            offset = self._cursor
            self._cursor = offset + len(data)
            return self._frame(Kind.DATA, offset, rest=data)
        if self.session.exit is not None:
            self.finished = True
            return self._frame(Kind.EXIT, ring.head, self.session.exit.code, rest=self.session.exit.reason.encode())
        return None

    def _news(self) -> bytes | None:
        session, people = self.session, self.session.people
        if self._control_told != people.epoch:
            self._control_told = people.epoch
            return self._frame(Kind.CONTROL, people.epoch, self.in_control)
        if self._people_told != session.people_shown:
            self._people_told = session.people_shown
            listed, others = people.list()
            return self._frame(Kind.PEOPLE, self.number, others, rest=listed)
        if self._notice_told != session.notice:
            self._notice_told = session.notice
            return self._frame(Kind.NOTICE, rest=session.notice.encode())
        if self._size_told != (session.columns, session.rows):
            self._size_told = (session.columns, session.rows)
            return self._frame(Kind.RESIZE, *self._size_told)
        return None

    def _show_screen(self) -> bytes:
        """The screen as it is now instead of bytes that are gone, or that would take too long to catch up with."""
        session, head = self.session, self.session.ring.head
        drawn, exact = session.screen.dump()
        size = (session.columns, session.rows)
        self._size_told = size
        pieces = [drawn[at : at + MOST_DATA] for at in range(0, len(drawn), MOST_DATA)] or [b""]
        for at, piece in enumerate(pieces, 1):
            self._snapshot.append(self._frame(Kind.SNAPSHOT, head, *size, exact, at == len(pieces), rest=piece))
        missed, self._cursor, self._redraw = self._cursor, head, False
        return self._snapshot.popleft() if missed == head else self._frame(Kind.RESYNC, missed, head)

    def _frame(self, kind: Kind, *values: Any, rest: bytes = b"") -> bytes:
        return wire.encode(kind, self.channel, wire.pack(TOLD, kind, *values, rest=rest))


def _beginning(ring: Ring) -> int:
    """The first byte, or that of the first line from which on all can still be caught up with."""
    start = max(ring.start, ring.head - _CAUGHT_UP_WITH)
    return start + ring.read(start, MOST_DATA).find(b"\n") + 1 if start else start
