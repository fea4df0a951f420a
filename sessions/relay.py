"""The way from a web process to the session hosts: one connection to each, shared by all browsers of the process.

Frames pass through as they are; only their channel numbers are exchanged, for each socket counts its own. Nothing piles
up here: what a session host may send ahead is bounded by what the browser itself has acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any, Protocol, cast

from sessions.faults import SessionHostAway
from sessions.host import wire
from sessions.host.wire import ASKED, BadFrame, Frame, Kind

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_CHANNELS = range(1, 1 << 16)


class Receiver(Protocol):
    """One channel of one browser."""

    def hear(self, frame: Frame) -> None:
        """A frame of the session host for this channel."""

    def away(self) -> None:
        """The session host hung up: this channel has no terminal any more."""


class Line(asyncio.Protocol):
    """The connection to one session host.

    What it says is passed on in the callback that brings it: a task that is woken for each frame would cost more than
    the frame.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.greeted: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._frames = wire.Splitter()
        self._receivers: dict[int, Receiver] = {}
        self._last = 0
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # --- the loop says ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It listens: we greet."""
        self._transport = cast(asyncio.Transport, transport)
        self.send(Kind.HELLO, 0, wire.VERSION)

    def data_received(self, data: bytes) -> None:
        """Frames, or pieces of them."""
        try:
            for frame in self._frames.feed(data):
                if receiver := self._receivers.get(frame.channel):
                    receiver.hear(frame)
                elif not self.greeted.done():
                    self.greeted.set_result(frame)
        except BadFrame as bad:
            log.warning("the session host cannot be understood", extra={"socket": self.path, "error": str(bad)})
            self.hang_up()

    def pause_writing(self) -> None:
        """The session host does not read as fast as we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        """It hung up, or we did: no channel has a terminal any more."""
        if error is not None:
            log.warning("the session host hung up", extra={"socket": self.path, "error": str(error)})
        self._transport = None
        self._writable.set()
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("the session host hung up"))
            self.greeted.exception()  # whoever waited may have left
        receivers, self._receivers = list(self._receivers.values()), {}
        for receiver in receivers:
            receiver.away()

    # --- browsers ask ----------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it can still be spoken to."""
        return self._transport is not None and not self._transport.is_closing()

    def lend(self, receiver: Receiver) -> int:
        """A channel of this line for a receiver. Raises SessionHostAway when none is free."""
        for _ in _CHANNELS:
            self._last = self._last % _CHANNELS[-1] + 1
            if self._last not in self._receivers:
                self._receivers[self._last] = receiver
                return self._last
        raise SessionHostAway("too many terminals are watched from this web process")

    def give_back(self, channel: int) -> None:
        """The channel may be lent again: its last frame has been heard."""
        self._receivers.pop(channel, None)

    def replace(self, channel: int, receiver: Receiver) -> None:
        """Somebody else hears the channel from now on."""
        if channel in self._receivers:
            self._receivers[channel] = receiver

    def send(self, kind: Kind, channel: int, *values: Any, rest: bytes = b"") -> None:
        """One frame of ours. Raises OSError when the session host hung up."""
        self._write(wire.encode(kind, channel, wire.pack(ASKED, kind, *values, rest=rest)))

    def forward(self, frame: Frame, channel: int) -> None:
        """One frame of a browser, on its channel of this line. Raises OSError when the session host hung up."""
        self._write(wire.encode(frame.kind, channel, frame.payload))

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the session host hung up")
        self._transport.write(data)

    @property
    def writable(self) -> bool:
        """Whether the session host reads what is sent."""
        return self._writable.is_set()

    async def drain(self) -> None:
        """Wait while the session host does not read. Raises OSError when it hung up."""
        await self._writable.wait()
        if not self.open:
            raise ConnectionResetError("the session host hung up")

    def hang_up(self) -> None:
        """``away`` of every channel follows."""
        if self._transport is not None:
            self._transport.abort()


class Relay:
    """The lines of one event loop, opened when somebody needs them."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._dialling: dict[str, asyncio.Lock] = {}

    async def line(self, path: str) -> Line:
        """The line to the session host at this socket. Raises SessionHostAway."""
        async with self._dialling.setdefault(path, asyncio.Lock()):
            line = self._lines.get(path)
            if line is None or not line.open:
                line = self._lines[path] = await _dialled(path)
            return line


async def _dialled(path: str) -> Line:
    line: Line | None = None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, line = await asyncio.get_running_loop().create_unix_connection(lambda: Line(path), path)
            answer = await line.greeted
    except BaseException as error:
        if line is not None:
            line.hang_up()
        if isinstance(error, OSError | TimeoutError):
            name = type(error).__name__
            raise SessionHostAway(f"the session host cannot be reached from here ({name})") from error
        raise
    if answer.kind != Kind.HELLO:
        line.hang_up()
        raise SessionHostAway("the session host speaks another version of the protocol")
    return line


_relays: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Relay] = weakref.WeakKeyDictionary()


def of_loop() -> Relay:
    """The relay of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _relays:
        _relays[loop] = Relay()
    return _relays[loop]
