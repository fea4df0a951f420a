"""One client of the session host: a web process with many channels, or a short question.

A client that does not read costs one socket buffer and a window for each of its channels, however much is printed
(:mod:`sessions.host.watch`).
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
from sessions.host.watch import Watch
from sessions.host.wire import ASKED, TOLD, BadFrame, Frame, Kind, Problem, Refused

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
            Kind.ACK: self._acknowledge,
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
        if self._watches.get(watch.channel) is watch:
            del self._watches[watch.channel]
        watch.session.leave(watch)

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
        watch.session.people.check(watch, epoch=epoch)
        watch.session.type(data)

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
