"""One client of the session host: a web process with many channels, or a short question.

A client that does not read costs one socket buffer and a window for each of its channels, however much is printed
(:mod:`sessions.host.watch`).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from sessions.host import wire
from sessions.host.session import Session
from sessions.host.watch import Watch
from sessions.host.wire import ASKED, TOLD, BadFrame, Frame, Kind, Problem, Refused

log = logging.getLogger(__name__)

MOST_CHANNELS = 1024
_MOST_OPENINGS = 64
_MOST_UNSENT = 1 << 18  # bytes of answers: then we stop reading from the client
_HELLO_S = 5.0
_SEND_BUFFER = 1 << 16
_FRAMES_AT_ONCE = 64  # then the loop sees to others


class Keeper(Protocol):
    """What a connection needs of the daemon."""

    epoch: str

    def session(self, terminal_id: uuid.UUID) -> Session:
        """Raises Refused when it is not open here."""

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        """The last bytes of a terminal, also shortly after its end. Raises Refused."""

    async def until_open(self, terminal_id: uuid.UUID) -> None:
        """Look at the terminal's row now. Raises Refused when it does not become open."""

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client."""

    def dismiss(self, connection: Connection) -> None:
        """It has gone."""


class Connection(asyncio.Protocol):
    """Obeys what a client asks, one frame after the other, and sends what its watches have to tell.

    All of it happens in callbacks of the loop: a task that is woken for each frame would cost more than the frame.
    """

    def __init__(self, *, keeper: Keeper) -> None:
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._watches: dict[int, Watch] = {}
        self._woken: dict[Watch, None] = {}  # may have something to tell, in this order
        self._answers: deque[bytes] = deque()
        self._unsent = 0
        self._sending = self._full = self._stuffed = False
        self._frames = wire.Splitter()
        self._arrived: Iterator[Frame] = iter(())
        self._openings: set[asyncio.Task[None]] = set()
        self._greeted = False
        self._patience: asyncio.TimerHandle | None = None
        self._handlers: dict[Kind, Callable[..., None]] = {
            Kind.PING: self._ping,
            Kind.OPEN: self._open,
            Kind.ATTACH: self._attach,
            Kind.DETACH: self._detach,
            Kind.ACK: self._acknowledge,
            Kind.CLOSE: self._close,
            Kind.TAIL: self._tail,
            Kind.INPUT: self._input,
            Kind.RESIZE: self._resize,
            Kind.CONTROL: self._control,
            Kind.TYPIST: self._typist,
        }

    # --- the loop says ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; it greets in time or is hung up on."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_SEND_BUFFER)
        self._patience = self._loop.call_later(_HELLO_S, self._transport.abort)
        if not self._keeper.admit(self):
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """It has gone, or we have hung up."""
        self._leave()
        if self._patience is not None:
            self._patience.cancel()
        self._keeper.dismiss(self)

    def data_received(self, data: bytes) -> None:
        """More of what it asks."""
        self._arrived = self._frames.feed(data)
        self._obey_all()

    def pause_writing(self) -> None:
        """It does not read as fast as we write."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self._send_soon()

    def hang_up(self) -> None:
        """Once it has taken the last answers, or has not taken them in time."""
        if self._transport.is_closing():
            return
        self._leave()
        for answer in self._answers:
            self._transport.write(answer)
        self._answers.clear()
        self._transport.close()
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(_HELLO_S, self._transport.abort)

    def _leave(self) -> None:
        for task in self._openings:
            task.cancel()
        for watch in list(self._watches.values()):
            self._forget(watch)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send_soon(self) -> None:
        if not (self._sending or self._full):
            self._sending = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Answers first, then one frame of each watch in turn: a flood does not hold up the others."""
        self._sending = False
        for _ in range(_FRAMES_AT_ONCE):
            if self._full or self._transport.is_closing():
                return
            if self._answers:
                answer = self._answers.popleft()
                self._unsent -= len(answer)
                self._transport.write(answer)
                self._hear_again()
            elif self._woken:
                self._send_of(next(iter(self._woken)))
            else:
                return
        self._send_soon()

    def _send_of(self, watch: Watch) -> None:
        del self._woken[watch]
        if (frame := watch.next_frame()) is not None:
            self._woken[watch] = None  # there may be more: behind the others
            self._transport.write(frame)
        if watch.finished:
            self._forget(watch)

    def _wake(self, watch: Watch) -> None:
        self._woken[watch] = None
        self._send_soon()

    def _answer(self, kind: Kind, channel: int, *values: Any, rest: bytes = b"") -> None:
        answer = wire.encode(kind, channel, wire.pack(TOLD, kind, *values, rest=rest))
        self._answers.append(answer)
        self._unsent += len(answer)
        self._send_soon()

    def _refuse(self, channel: int, refused: Refused) -> None:
        self._answer(Kind.ERROR, channel, refused.problem, rest=refused.words.encode())

    def _forget(self, watch: Watch) -> None:
        """DETACH or EXIT is the last word on a channel: nothing of it is sent any more."""
        self._woken.pop(watch, None)
        if self._watches.get(watch.channel) is watch:
            del self._watches[watch.channel]
        watch.session.leave(watch)

    # --- receiving ------------------------------------------------------------------------------------------------

    def _obey_all(self) -> None:
        if self._transport.is_closing():
            return
        try:
            for frame in self._arrived:
                if not self._obey(frame):
                    self.hang_up()
                    return
                if self._unsent >= _MOST_UNSENT:
                    self._stuffed = True
                    self._transport.pause_reading()
                    return
            self._transport.resume_reading()
        except BadFrame as bad:
            self._refuse(0, Refused(Problem.MALFORMED, str(bad)))
            self.hang_up()

    def _hear_again(self) -> None:
        if self._stuffed and self._unsent < _MOST_UNSENT:
            self._stuffed = False
            self._loop.call_soon(self._obey_all)  # what had arrived before

    def _obey(self, frame: Frame) -> bool:
        """Do what the frame says, or refuse it. False for one after which there is nothing to talk about."""
        try:
            values = wire.unpack(ASKED, frame)
            if not self._greeted or frame.kind == Kind.HELLO:
                return self._hello(frame, values)
            self._handlers[Kind(frame.kind)](frame.channel, *values)
        except Refused as refused:
            self._refuse(frame.channel, refused)
            return self._greeted
        return True

    def _hello(self, frame: Frame, values: tuple[Any, ...]) -> bool:
        if frame.kind != Kind.HELLO or values != (wire.VERSION,):
            raise Refused(Problem.VERSION, f"a HELLO of version {wire.VERSION} comes first")
        self._greeted = True
        if self._patience is not None:
            self._patience.cancel()
        self._answer(Kind.HELLO, frame.channel, wire.VERSION, rest=self._keeper.epoch.encode())
        return True

    def _ping(self, channel: int, echo: bytes) -> None:
        self._answer(Kind.PONG, channel, rest=echo)

    def _open(self, channel: int, terminal: bytes) -> None:
        if len(self._openings) >= _MOST_OPENINGS:
            raise Refused(Problem.TOO_MANY, f"{_MOST_OPENINGS} terminals are being opened for you already")
        task = asyncio.create_task(self._until_open(channel, terminal))
        self._openings.add(task)
        task.add_done_callback(self._openings.discard)

    async def _until_open(self, channel: int, terminal: bytes) -> None:
        try:
            await self._keeper.until_open(uuid.UUID(bytes=terminal))
        except Refused as refused:
            self._refuse(channel, refused)
        else:
            self._answer(Kind.OPEN, channel, terminal)

    def _attach(self, channel: int, terminal: bytes, offset: int, may_type: int, name: bytes) -> None:
        if channel in self._watches:
            raise Refused(Problem.CHANNEL_TAKEN, f"channel {channel} has a terminal: detach it first")
        if len(self._watches) >= MOST_CHANNELS:
            raise Refused(Problem.TOO_MANY, f"{MOST_CHANNELS} channels are attached")
        session = self._keeper.session(uuid.UUID(bytes=terminal))
        ring, people = session.ring, session.people
        watch = Watch(
            session=session, channel=channel, offset=offset, may_type=bool(may_type), name=_words(name),
            wake=self._wake,
        )  # fmt: skip
        self._answer(Kind.ATTACH, channel, ring.start, ring.head, people.epoch, session.columns, session.rows)
        self._watches[channel] = watch
        session.join(watch)

    def _acknowledge(self, channel: int, offset: int) -> None:
        if watch := self._watches.get(channel):  # else it crossed the end of its terminal on the way
            watch.acknowledge(offset)

    def _detach(self, channel: int) -> None:
        self._forget(self._watch(channel))
        self._answer(Kind.DETACH, channel)

    def _close(self, channel: int, reason: bytes) -> None:
        self._watch(channel).session.end(_words(reason) or "closed")

    def _tail(self, channel: int, terminal: bytes, limit: int) -> None:
        offset, data = self._keeper.tail(uuid.UUID(bytes=terminal), min(limit, wire.MOST_TAIL))
        self._answer(Kind.TAIL, channel, terminal, offset, rest=data)

    def _input(self, channel: int, epoch: int, data: bytes) -> None:
        watch = self._watch(channel)
        try:
            watch.session.people.check(watch, epoch=epoch)
            watch.session.type(data)
        except Refused:
            watch.typed_in_vain = True
            raise
        watch.took(len(data))

    def _typist(self, channel: int, epoch: int, typist: bytes) -> None:
        """Who types on this channel. Only in control: then nobody else can type as them meanwhile."""
        watch = self._watch(channel)
        watch.session.people.check(watch, epoch=epoch)
        watch.typist, watch.typed_in_vain = typist, False
        self._answer(Kind.TYPIST, channel, typist, *watch.session.typists.meet(typist))

    def _resize(self, channel: int, epoch: int, columns: int, rows: int) -> None:
        watch = self._watch(channel)
        watch.session.people.check(watch, epoch=epoch)
        watch.session.resize(columns, rows)

    def _control(self, channel: int, epoch: int, wish: int, viewer: int) -> None:
        watch = self._watch(channel)
        watch.session.people.wish(watch, wish, seen=epoch, other=viewer)
        watch.session.control_changed()

    def _watch(self, channel: int) -> Watch:
        watch = self._watches.get(channel)
        if watch is None:
            raise Refused(Problem.NOT_ATTACHED, f"channel {channel} has no terminal")
        return watch


def _words(text: bytes) -> str:
    return "".join(c for c in text.decode("utf-8", "replace") if c.isprintable())
