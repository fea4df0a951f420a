"""A client of ``/ws/terminals/`` for tests: what a browser says and hears, without the browser."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import Any

from websockets.sync.client import ClientConnection, connect

from sessions.host import wire
from sessions.host.wire import ASKED, LIVE_ONLY, SUBPROTOCOL, TOLD, Frame, Kind, Problem, Wish
from sessions.models import Terminal

# A web process on a machine whose cores are all taken needs half a minute to start.
PATIENCE_S = 60.0


class Browser:
    """One socket with any number of terminals."""

    def __init__(self, address: str, *, token: str, greet: bool = True, **how: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        how = {
            "subprotocols": [SUBPROTOCOL],
            "additional_headers": headers,
            "max_size": 1 << 20,
            "ping_interval": None,
            "open_timeout": PATIENCE_S,
            **how,
        }
        self._held = contextlib.ExitStack()
        self.socket: ClientConnection = self._held.enter_context(connect(f"ws://{address}/ws/terminals/", **how))
        self.control_epoch, self.offset = 0, 0
        self.acknowledges = True
        if greet:
            self.say(Kind.HELLO, wire.VERSION)
            assert self.hear().kind == Kind.HELLO

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._held.close()

    def say(self, kind: Kind, *values: Any, rest: bytes = b"", channel: int = 1) -> None:
        self.socket.send(wire.message(kind, channel, wire.pack(ASKED, kind, *values, rest=rest)))

    def hear(self, *, within_s: float = PATIENCE_S) -> Frame:
        message = self.socket.recv(timeout=within_s)
        assert isinstance(message, bytes)
        frame = wire.decode(message)
        assert frame is not None
        if frame.kind == Kind.DATA:
            offset, data = wire.unpack(TOLD, frame)
            self.offset = offset + len(data)
        elif frame.kind == Kind.SNAPSHOT:
            self.offset = wire.unpack(TOLD, frame)[0]
        if frame.kind in (Kind.DATA, Kind.SNAPSHOT) and self.acknowledges:
            self.say(Kind.ACK, self.offset, channel=frame.channel)
        return frame

    def hear_kind(self, kind: Kind) -> tuple[Any, ...]:
        """The values of the next frame of this kind; an error among those before is one."""
        while True:
            frame = self.hear()
            if frame.kind == kind:
                return wire.unpack(TOLD, frame)
            assert frame.kind != Kind.ERROR, wire.unpack(TOLD, frame)

    def refused(self) -> tuple[Problem, str]:
        """The next ERROR."""
        while True:
            frame = self.hear()
            if frame.kind == Kind.ERROR:
                problem, words = wire.unpack(TOLD, frame)
                return Problem(problem), bytes(words).decode()

    def attach(self, terminal: Terminal | uuid.UUID, *, offset: int = LIVE_ONLY, channel: int = 1) -> tuple[Any, ...]:
        key = terminal.pk if isinstance(terminal, Terminal) else terminal
        self.say(Kind.ATTACH, key.bytes, offset, 1, rest=b"mallory", channel=channel)
        told = self.hear_kind(Kind.ATTACH)
        self.control_epoch = told[2]
        return told

    def take_control(self, *, channel: int = 1) -> None:
        self.say(Kind.CONTROL, self.control_epoch, Wish.TAKE, 0, channel=channel)
        self.control_epoch, yours = self.hear_kind(Kind.CONTROL)
        assert yours

    def type(self, text: bytes, *, channel: int = 1) -> None:
        self.say(Kind.INPUT, self.control_epoch, rest=text, channel=channel)

    def read_until(self, wanted: bytes, *, within_s: float = PATIENCE_S) -> bytes:
        """What is printed until ``wanted``; offsets join without a gap."""
        seen, expected, deadline = b"", None, time.monotonic() + within_s
        while wanted not in seen:
            assert time.monotonic() < deadline, seen[-2000:]
            offset, data = self.hear_kind(Kind.DATA)
            assert expected in (None, offset)
            expected = offset + len(data)
            seen += data
        return seen
