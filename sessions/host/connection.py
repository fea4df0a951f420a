"""One client of the session host: a web process with many channels, or a short question.

Nothing is queued per watcher: each is a cursor into its session's ring, and what it is still to be told (size, control,
the end) is state that is compared. So a client that does not read costs one socket buffer, however much is printed.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from sessions.host import wire
from sessions.host.session import Session
from sessions.host.wire import ASKED, LIVE_ONLY, MOST_DATA, TOLD, BadFrame, Frame, Kind, Problem, Refused

log = logging.getLogger(__name__)

MOST_CHANNELS = 1024
_MOST_OPENINGS = 64
_MOST_UNSENT = 1 << 18  # bytes of answers: then we stop reading from the client
_HELLO_S = 5.0
_SEND_BUFFER = 1 << 16
_READ = 1 << 16


class Keeper(Protocol):
    """What a connection needs of the daemon."""

    epoch: str

    def session(self, terminal_id: uuid.UUID) -> Session:
        """Raises Refused when it is not open here."""

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        """The last bytes of a terminal, also shortly after its end. Raises Refused."""

    async def until_open(self, terminal_id: uuid.UUID) -> None:
        """Look at the terminal's row now. Raises Refused when it does not become open."""


class Watch:
    """One channel: a cursor into a session's ring, and what its client has been told."""

    def __init__(self, *, session: Session, channel: int, offset: int, wake: Callable[[], None]) -> None:
        self.session = session
        self.channel = channel
        self._asked, self._cursor = offset, max(offset, session.ring.start)
        self._control_told = session.control.epoch
        self._size_told = (session.columns, session.rows)
        self.wake = wake
        self.finished = False

    def next_frame(self) -> bytes | None:
        """The next thing to tell, or None. The end comes last, after all that was printed."""
        session, ring = self.session, self.session.ring
        if self._control_told != session.control.epoch:
            self._control_told = session.control.epoch
            return self._frame(Kind.CONTROL, session.control.epoch, session.control.holder is self)
        if self._size_told != (session.columns, session.rows):
            self._size_told = (session.columns, session.rows)
            return self._frame(Kind.RESIZE, *self._size_told)
        if self._cursor < ring.start:
            # Too slow: go on with what is on the screen now, not with the oldest of what it missed.
            self._asked, self._cursor = self._cursor, max(ring.start, ring.head - MOST_DATA)
        if self._asked < self._cursor:
            missed, self._asked = self._asked, self._cursor
            return self._frame(Kind.RESYNC, missed, self._cursor)
        if data := ring.read(self._cursor, MOST_DATA):
            offset = self._cursor
            self._asked = self._cursor = offset + len(data)
            return self._frame(Kind.DATA, offset, rest=data)
        if session.exit is not None:
            self.finished = True
            reason = session.exit.reason.encode()
            return self._frame(Kind.EXIT, ring.head, session.exit.code, rest=reason)
        return None

    def _frame(self, kind: Kind, *values: Any, rest: bytes = b"") -> bytes:
        return wire.encode(kind, self.channel, wire.pack(TOLD, kind, *values, rest=rest))


class Connection:
    """Reads what a client asks, one frame after the other, and sends what its watches have to tell."""

    def __init__(self, *, keeper: Keeper, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keeper = keeper
        self._reader, self._writer = reader, writer
        self._watches: dict[int, Watch] = {}
        self._answers: deque[bytes] = deque()
        self._unsent = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._openings: set[asyncio.Task[None]] = set()
        self._greeted = False
        self._handlers: dict[Kind, Callable[..., None]] = {
            Kind.PING: self._ping,
            Kind.OPEN: self._open,
            Kind.ATTACH: self._attach,
            Kind.DETACH: self._detach,
            Kind.CLOSE: self._close,
            Kind.TAIL: self._tail,
            Kind.INPUT: self._input,
            Kind.RESIZE: self._resize,
            Kind.CONTROL: self._control,
        }

    async def hold(self) -> None:
        """Until the client leaves, sends what is no frame, or the task is cancelled."""
        self._writer.transport.set_write_buffer_limits(high=_SEND_BUFFER)
        sender = asyncio.create_task(self._send())
        receiver = asyncio.create_task(self._receive())
        try:
            await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiver, sender, *self._openings):
                task.cancel()
            for watch in list(self._watches.values()):
                self._forget(watch)
            self._writer.close()
            outcomes = await asyncio.gather(sender, receiver, *self._openings, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError | TimeoutError):
                raise outcome

    # --- sending --------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            more = True
            while more:
                more = await self._send_answers()
                for watch in list(self._watches.values()):  # one frame each: a flood does not hold up the others
                    if self._watches.get(watch.channel) is not watch:
                        continue  # detached while others were served: DETACH is the last word on a channel
                    if (frame := watch.next_frame()) is not None:
                        more = True
                        self._writer.write(frame)
                        await self._writer.drain()
                    if watch.finished:
                        self._forget(watch)
                await asyncio.sleep(0)

    async def _send_answers(self) -> bool:
        sent = False
        while self._answers:
            answer = self._answers.popleft()
            self._unsent -= len(answer)
            self._writer.write(answer)
            sent = True
            self._room.set()
            await self._writer.drain()
        return sent

    def _wake(self) -> None:
        self._news.set()

    def _answer(self, kind: Kind, channel: int, *values: Any, rest: bytes = b"") -> None:
        answer = wire.encode(kind, channel, wire.pack(TOLD, kind, *values, rest=rest))
        self._answers.append(answer)
        self._unsent += len(answer)
        self._wake()

    def _refuse(self, channel: int, refused: Refused) -> None:
        self._answer(Kind.ERROR, channel, refused.problem, rest=refused.words.encode())

    def _forget(self, watch: Watch) -> None:
        watch.session.watchers.discard(watch)
        if self._watches.get(watch.channel) is watch:
            del self._watches[watch.channel]
        epoch = watch.session.control.epoch
        watch.session.control.release(watch)
        if watch.session.control.epoch != epoch:
            watch.session.tell_watchers()

    # --- receiving ------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        frames = wire.Splitter()
        while True:
            async with asyncio.timeout(None if self._greeted else _HELLO_S):
                data = await self._reader.read(_READ)
            if not data:
                return
            try:
                for frame in frames.feed(data):
                    if not self._obey(frame):
                        await self._say_goodbye()
                        return
                    await self._until_there_is_room()
            except BadFrame as bad:
                self._refuse(0, Refused(Problem.MALFORMED, str(bad)))
                await self._say_goodbye()
                return

    async def _until_there_is_room(self) -> None:
        while self._unsent >= _MOST_UNSENT:
            self._room.clear()
            await self._room.wait()

    async def _say_goodbye(self) -> None:
        """Let the last answers leave, if the client takes them in time."""
        deadline = asyncio.get_running_loop().time() + _HELLO_S
        while self._answers and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

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

    def _attach(self, channel: int, terminal: bytes, offset: int) -> None:
        if channel in self._watches:
            raise Refused(Problem.CHANNEL_TAKEN, f"channel {channel} has a terminal: detach it first")
        if len(self._watches) >= MOST_CHANNELS:
            raise Refused(Problem.TOO_MANY, f"{MOST_CHANNELS} channels are attached")
        session = self._keeper.session(uuid.UUID(bytes=terminal))
        ring = session.ring
        offset = ring.head if offset == LIVE_ONLY else offset
        if offset > ring.head:
            raise Refused(Problem.BAD_OFFSET, f"{offset} lies behind the head at {ring.head}")
        self._answer(Kind.ATTACH, channel, ring.start, ring.head, session.control.epoch, session.columns, session.rows)
        watch = Watch(session=session, channel=channel, offset=offset, wake=self._wake)
        self._watches[channel] = watch
        session.watchers.add(watch)

    def _detach(self, channel: int) -> None:
        self._forget(self._watch(channel))
        self._answer(Kind.DETACH, channel)

    def _close(self, channel: int, reason: bytes) -> None:
        words = "".join(c for c in reason.decode("utf-8", "replace") if c.isprintable())
        self._watch(channel).session.end(words or "closed")

    def _tail(self, channel: int, terminal: bytes, limit: int) -> None:
        offset, data = self._keeper.tail(uuid.UUID(bytes=terminal), min(limit, wire.MOST_TAIL))
        self._answer(Kind.TAIL, channel, terminal, offset, rest=data)

    def _input(self, channel: int, epoch: int, data: bytes) -> None:
        watch = self._watch(channel)
        watch.session.control.check(watch, epoch=epoch)
        watch.session.type(data)

    def _resize(self, channel: int, epoch: int, columns: int, rows: int) -> None:
        watch = self._watch(channel)
        watch.session.control.check(watch, epoch=epoch)
        watch.session.resize(columns, rows)

    def _control(self, channel: int, epoch: int, take: int) -> None:
        watch = self._watch(channel)
        if take:
            watch.session.control.take(watch, seen=epoch)
        else:
            watch.session.control.check(watch, epoch=epoch)
            watch.session.control.release(watch)
        watch.session.tell_watchers()

    def _watch(self, channel: int) -> Watch:
        watch = self._watches.get(channel)
        if watch is None:
            raise Refused(Problem.NOT_ATTACHED, f"channel {channel} has no terminal")
        return watch
