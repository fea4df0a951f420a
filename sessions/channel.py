"""One terminal on one channel of a browser's websocket, between the browser and the session host."""

from __future__ import annotations

import asyncio
import uuid
from typing import Protocol

from sessions.host import wire
from sessions.host.wire import TOLD, Frame, Kind, Problem, Refused
from sessions.relay import Line

_LAST_WORDS = frozenset({Kind.EXIT, Kind.DETACH})


class Browser(Protocol):
    """Whoever the channel belongs to."""

    def tell(self, kind: int, channel: int, payload: bytes) -> None:
        """One frame for it."""

    def refuse(self, channel: int, refused: Refused) -> None:
        """An ERROR on this channel."""

    def forget(self, channel: Channel) -> None:
        """The session host's last word on it has been heard."""


class Channel:
    """Hears the session host; until the terminal is open, only whether it is."""

    def __init__(self, browser: Browser, number: int, terminal_id: uuid.UUID) -> None:
        self.number, self.terminal_id = number, terminal_id
        self.line: Line | None = None
        self.upstream = 0
        self.may_type: bool | None = None  # as the session host was told; None before
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._browser = browser

    def hear(self, frame: Frame) -> None:
        """From the session host."""
        kind = frame.kind
        if kind == Kind.OPEN:
            if not self.opened.done():
                self.opened.set_result(None)
            return
        if kind == Kind.ERROR and not self.opened.done():
            problem, words = wire.unpack(TOLD, frame)
            self._not_opened(Refused(Problem(problem), bytes(words).decode("utf-8", "replace")))
            return
        self._browser.tell(kind, self.number, frame.payload)
        if kind in _LAST_WORDS:
            self._browser.forget(self)

    def away(self) -> None:
        """The session host hung up."""
        if not self.opened.done():
            self._not_opened(Refused(Problem.AWAY, "the session host hung up"))
        else:
            self._browser.refuse(self.number, Refused(Problem.AWAY, "the session host is away"))
        self._browser.forget(self)

    def _not_opened(self, refused: Refused) -> None:
        self.opened.set_exception(refused)
        self.opened.exception()  # whoever waited may have left

    def leave(self) -> None:
        """Have the session host take it off; what still comes on the upstream channel is nobody's."""
        if self.line is not None and self.line.open:
            self.line.replace(self.upstream, Gone(self.line, self.upstream))
            self.line.send(Kind.DETACH, self.upstream)


class Gone:
    """Hears the last frames of a channel that its browser has left, until it may be lent again."""

    def __init__(self, line: Line, channel: int) -> None:
        self._line, self._channel = line, channel

    def hear(self, frame: Frame) -> None:
        if frame.kind in _LAST_WORDS or frame.kind == Kind.ERROR:
            self._line.give_back(self._channel)

    def away(self) -> None:
        """Then the whole line is gone."""
