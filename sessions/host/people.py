"""Who is at a terminal: any number who watch, at most one who types, and who asks for their turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from sessions.host.wire import Problem, Refused, Wish

MOST_SHOWN = 32  # of a crowd; how many more there are is said


class Viewer(Protocol):
    """Somebody at a terminal."""

    number: int
    name: str
    may_type: bool
    acknowledged: int  # they have been shown everything before this offset

    def wake(self) -> None:
        """There is something new to tell them."""


Told = Callable[[str, str, str], None]  # what happened (joined, left, took, gave, asked), who, to whom


class People:
    """The viewers of one terminal and the lock on typing.

    The lock's epoch grows with every change of hands, and every keystroke names an epoch: what was typed before control
    changed hands is refused rather than typed into somebody else's work.
    """

    def __init__(self, *, tell: Told) -> None:
        self.epoch = 0
        self.holder: Viewer | None = None
        self.version = 0  # grows with every change
        self._tell = tell
        self._viewers: dict[int, Viewer] = {}
        self._asking: set[int] = set()
        self._next = 1

    def __len__(self) -> int:
        return len(self._viewers)

    def names(self) -> list[str]:
        """Of everybody here."""
        return [viewer.name for viewer in self._viewers.values()]

    def number(self) -> int:
        """A number that no viewer of this terminal had before."""
        self._next += 1
        return self._next - 1

    def go_on(self, *, epoch: int, number: int) -> None:
        """Take up where another process left off, with nobody here yet."""
        self.epoch, self._next = epoch & 0xFFFF_FFFF, number

    def join(self, viewer: Viewer) -> None:
        """One more watches."""
        self._viewers[viewer.number] = viewer
        self._changed("joined", viewer)

    def leave(self, viewer: Viewer) -> None:
        """Gone; control is free again if it was theirs."""
        if self._viewers.pop(viewer.number, None) is None:
            return
        self._asking.discard(viewer.number)
        if self.holder is viewer:
            self._pass_to(None)
        self._changed("left", viewer)

    def check(self, typist: Viewer, *, epoch: int) -> None:
        """Raises Refused unless it is the holder who types, in this epoch."""
        if self.holder is not typist or epoch != self.epoch:
            raise Refused(Problem.STALE_CONTROL, f"epoch {epoch} has no control here; it is at epoch {self.epoch}")

    def wish(self, viewer: Viewer, wish: int, *, seen: int, other: int) -> None:
        """Take, give back, hand over or ask for control. Raises Refused.

        Compare and swap: of two who take it at once, having seen the same epoch, one gets it.
        """
        if wish == Wish.ASK:
            self._asking.add(viewer.number)
            self._changed("asked", viewer)
        elif wish == Wish.TAKE:
            self._take(viewer, seen=seen)
        elif wish == Wish.GIVE_BACK:
            self.check(viewer, epoch=seen)
            self._pass_to(None)
            self._changed("gave", viewer)
        elif wish == Wish.HAND_TO:
            self.check(viewer, epoch=seen)
            self._hand(viewer, self._viewers.get(other))
        else:
            raise Refused(Problem.MALFORMED, f"{wish} is no wish")

    def list(self) -> tuple[bytes, int]:
        """Who is here, whoever matters most first, as JSON; and how many more there are."""
        first = sorted(
            self._viewers.values(), key=lambda each: (self.holder is not each, each.number not in self._asking)
        )
        shown = [
            {
                "viewer": viewer.number,
                "name": viewer.name,
                "controls": self.holder is viewer,
                "asks": viewer.number in self._asking,
                "may_type": viewer.may_type,
            }
            for viewer in first[:MOST_SHOWN]
        ]
        return json.dumps(shown, ensure_ascii=False).encode(), max(0, len(first) - MOST_SHOWN)

    def _take(self, viewer: Viewer, *, seen: int) -> None:
        if not viewer.may_type:
            raise Refused(Problem.NOT_ALLOWED, "you may watch this terminal; ask whoever has control to hand it to you")
        if seen != self.epoch:
            raise Refused(Problem.STALE_CONTROL, f"control is at epoch {self.epoch}, not {seen}")
        self._pass_to(viewer)
        self._changed("took", viewer)

    def _hand(self, holder: Viewer, other: Viewer | None) -> None:
        if other is None:
            raise Refused(Problem.NOT_ATTACHED, "they are not at this terminal any more")
        self._pass_to(other)
        self._changed("gave", holder, to=other.name)

    def _pass_to(self, viewer: Viewer | None) -> None:
        self.epoch = (self.epoch + 1) & 0xFFFF_FFFF
        self.holder = viewer
        if viewer is not None:
            self._asking.discard(viewer.number)

    def _changed(self, what: str, who: Viewer, *, to: str = "") -> None:
        self.version += 1
        self._tell(what, who.name, to)
