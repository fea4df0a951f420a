"""A client of the session host for tests: says any frame, hears the frames one by one."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

from sessions.host import wire
from sessions.host.wire import ASKED, TOLD, Frame, Kind, Problem, Wish
from sessions.models import Terminal


class Viewer:
    """One connection. What it printed per channel is collected in ``screen``."""

    def __init__(self, path: Path, *, greet: bool = True, receive_buffer: int = 0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._frames = wire.Splitter()
        self._arrived: list[Frame] = []
        self.control_epoch = 0
        self.acknowledges = True
        if greet:
            self.say(Kind.HELLO, wire.VERSION)
            assert self.hear().kind == Kind.HELLO

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def say(self, kind: Kind, *values: Any, rest: bytes = b"", channel: int = 1) -> None:
        self.raw(wire.encode(kind, channel, wire.pack(ASKED, kind, *values, rest=rest)))

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> Frame:
        """The next frame; EOFError when the daemon hung up."""
        while not self._arrived:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._arrived += self._frames.feed(data)
        frame = self._arrived.pop(0)
        if frame.kind == Kind.DATA and self.acknowledges:
            offset, data = wire.unpack(TOLD, frame)
            with contextlib.suppress(BrokenPipeError):  # the daemon hung up; what it said before can still be heard
                self.say(Kind.ACK, offset + len(data), channel=frame.channel)
        return frame

    def hear_kind(self, kind: Kind) -> tuple[Any, ...]:
        """The values of the next frame of this kind; others are passed over, an error among them is not."""
        while True:
            frame = self.hear()
            if frame.kind == kind:
                return wire.unpack(TOLD, frame)
            assert frame.kind != Kind.ERROR, wire.unpack(TOLD, frame)

    def refused(self) -> Problem:
        """The problem named by the next ERROR frame."""
        while True:
            frame = self.hear()
            if frame.kind == Kind.ERROR:
                return Problem(wire.unpack(TOLD, frame)[0])

    def open(self, terminal: Terminal, *, offset: int = 0, channel: int = 1) -> None:
        """Wait until it is live, and attach."""
        self.say(Kind.OPEN, terminal.pk.bytes, channel=channel)
        self.hear_kind(Kind.OPEN)
        self.attach(terminal, offset=offset, channel=channel)

    def attach(
        self, terminal: Terminal, *, offset: int = 0, channel: int = 1, may_type: bool = True, name: str = "ada"
    ) -> tuple[Any, ...]:
        self.say(Kind.ATTACH, terminal.pk.bytes, offset, may_type, rest=name.encode(), channel=channel)
        told = self.hear_kind(Kind.ATTACH)
        self.control_epoch = told[2]
        return told

    def take_control(self, *, channel: int = 1) -> int:
        self.say(Kind.CONTROL, self.control_epoch, Wish.TAKE, 0, channel=channel)
        epoch, yours = self.hear_kind(Kind.CONTROL)
        assert yours
        self.control_epoch = epoch
        return int(epoch)

    def type(self, text: bytes, *, channel: int = 1) -> None:
        self.say(Kind.INPUT, self.control_epoch, rest=text, channel=channel)

    def read_until(self, wanted: bytes, *, within_s: float = 60.0) -> bytes:
        """What is printed from here on, up to and with ``wanted``; offsets must join without a gap."""
        seen, deadline, expected = b"", time.monotonic() + within_s, None
        while wanted not in seen:
            assert time.monotonic() < deadline, seen[-2000:]
            offset, data = self.hear_kind(Kind.DATA)
            assert expected in (None, offset)
            expected = offset + len(data)
            seen += data
        return seen
