"""The way from a web process to the session hosts: one connection to each, shared by all browsers of the process.

Frames pass through as they are; only their channel numbers are exchanged, for each socket counts its own. Nothing piles
up here: what a session host may send ahead is bounded by what the browser itself has acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any, Protocol

from sessions.faults import SessionHostAway
from sessions.host import wire
from sessions.host.wire import ASKED, BadFrame, Frame, Kind

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_READ = 1 << 16
_CHANNELS = range(1, 1 << 16)


class Receiver(Protocol):
    """One channel of one browser."""

    def hear(self, frame: Frame) -> None:
        """A frame of the session host for this channel."""

    def away(self) -> None:
        """The session host hung up: this channel has no terminal any more."""


class Line:
    """The connection to one session host."""

    def __init__(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.path = path
        self._reader, self._writer = reader, writer
        self._receivers: dict[int, Receiver] = {}
        self._last = 0
        self._listening = asyncio.create_task(self._listen(), name="terminal relay")

    @property
    def open(self) -> bool:
        """Whether it can still be spoken to."""
        return not (self._listening.done() or self._writer.is_closing())

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
        self._write(wire.encode(Kind(frame.kind), channel, frame.payload))

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():  # before the reading end has heard of it
            raise ConnectionResetError("the session host hung up")
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait while the session host does not read. Raises OSError when it hung up."""
        await self._writer.drain()

    async def _listen(self) -> None:
        frames = wire.Splitter()
        try:
            while data := await self._reader.read(_READ):
                for frame in frames.feed(data):
                    if receiver := self._receivers.get(frame.channel):
                        receiver.hear(frame)
        except (OSError, BadFrame) as error:
            log.warning("the session host hung up", extra={"socket": self.path, "error": str(error)})
        finally:
            self._writer.close()
            receivers, self._receivers = list(self._receivers.values()), {}
            for receiver in receivers:
                receiver.away()


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
                line = self._lines[path] = await self._dial(path)
            return line

    async def _dial(self, path: str) -> Line:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(wire.encode(Kind.HELLO, 0, wire.pack(ASKED, Kind.HELLO, wire.VERSION)))
                header = await reader.readexactly(4)
                answer = await reader.readexactly(int.from_bytes(header, "big"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise SessionHostAway(f"the session host cannot be reached from here ({type(error).__name__})") from error
        if answer[0] != Kind.HELLO:
            writer.close()
            raise SessionHostAway("the session host speaks another version of the protocol")
        return Line(path, reader, writer)


_relays: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Relay] = weakref.WeakKeyDictionary()


def of_loop() -> Relay:
    """The relay of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _relays:
        _relays[loop] = Relay()
    return _relays[loop]
