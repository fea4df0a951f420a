"""A terminal in a berth on the terminal of whoever runs us: one websocket, resumed for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from cli import relay_frames as frames
from cli.client import Line
from cli.early_keys import EarlyKeys
from cli.failures import Refused, Unreachable
from cli.raw_terminal import RawTerminal, ScreenGone
from cli.relay_frames import LIVE_ONLY, NO_CODE, Heard, Kind, NotAFrame, Problem

FIRST_WAIT_S, GROWTH, LONGEST_WAIT_S = 1.0, 1.5, 30.0
SIGNED_OUT = 4401
_BROKEN = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, NotAFrame)
_KILLED = 128


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody wants to be at a terminal."""

    read_only: bool
    take: bool
    detach_key: int


class Attached:
    """One attached terminal. ``run`` returns the exit code: the program's, 0 after the detach key."""

    def __init__(self, *, line: Line, terminal_id: UUID, screen: RawTerminal, manner: Manner) -> None:
        self._line, self._terminal_id, self._screen, self._manner = line, terminal_id, screen, manner
        self._offset = LIVE_ONLY
        self._seen: int | None = None  # behind the last byte that was shown
        self._epoch = 0
        self._in_control = self._drawing = False
        self._wants_control = not manner.read_only
        self._awaits_control = self._wants_control  # nobody else has it, as far as is known: what is typed is kept
        self._early = EarlyKeys()
        self._holder: str | None = None
        self._viewer = self._former = 0
        self._met = self._may_type = self._taking = False
        self._socket: ClientConnection | None = None
        self._outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sending: set[asyncio.Task[None]] = set()
        self.last_words = ""

    async def run(self) -> int:
        """Until the program ends, the key is pressed, or a signal comes. Raises Failure."""
        with self._keyboard_and_signals():
            keeping = asyncio.create_task(self._keep_connected())
            try:
                ends: set[asyncio.Future[Any]] = {keeping, self._outcome}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if keeping.done():
                    await keeping
                return await self._outcome
            except ScreenGone:
                return _KILLED + signal.SIGHUP
            finally:
                for task in (keeping, *self._sending):
                    task.cancel()
                await asyncio.gather(keeping, *self._sending, return_exceptions=True)

    # --- the keyboard ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _keyboard_and_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
        loop.add_reader(self._screen.keyboard, self._typed)
        loop.add_signal_handler(signal.SIGWINCH, self._resized)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        loop.add_signal_handler(signal.SIGCONT, self._continue)
        for number in ending:
            loop.add_signal_handler(number, self._end, _KILLED + number)
        try:
            yield
        finally:
            loop.remove_reader(self._screen.keyboard)
            for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, *ending):
                loop.remove_signal_handler(number)

    def _typed(self) -> None:
        try:
            data = os.read(self._screen.keyboard, frames.MOST_INPUT)
        except OSError:
            data = b""
        if not data:  # the terminal was closed
            self._end(_KILLED + signal.SIGHUP)
            return
        data, pressed, _ = data.partition(bytes([self._manner.detach_key]))
        if data and self._in_control:
            for frame in frames.typed(self._epoch, data):
                self._send(frame)
        elif data and self._awaits_control:
            self._early.keep(data)
            if self._holder is None:
                self._take()
        if pressed:
            self.last_words = "detached; the program runs on"
            self._end(0)

    def _take(self) -> None:
        if self._wants_control and self._may_type:
            self._taking = True
            self._send(frames.take(self._epoch))

    def _resized(self) -> None:
        if self._in_control:
            self._send(frames.resize(self._epoch, *self._screen.size))

    def _suspend(self) -> None:
        """By ``kill -TSTP``: ^Z itself is the program's. The shell finds its terminal as it was."""
        self._screen.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _continue(self) -> None:
        """Raw again, and the whole screen anew: whatever the shell wrote stands on it."""
        try:
            self._screen.lend()
        except ScreenGone:  # a terminal that is closed continues whom it hangs up on
            self._end(_KILLED + signal.SIGHUP)
            return
        if self._socket is not None and self._met:
            self._let_go()
            self._send(frames.detach())  # its answer, behind all that was on its way, attaches again

    def _end(self, code: int) -> None:
        if not self._outcome.done():
            self._outcome.set_result(code)

    def _send(self, frame: bytes) -> None:
        if self._socket is None:
            return
        task = asyncio.create_task(self._sent(self._socket, frame))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, socket: ClientConnection, frame: bytes) -> None:
        with contextlib.suppress(ConnectionClosed):  # whoever reads from it notices, and connects again
            await socket.send(frame)

    # --- the connection -------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connected() as socket:
                    self._socket = socket
                    await socket.send(frames.hello())
                    await socket.send(frames.attach(self._terminal_id, offset=self._offset))
                    async for message in socket:
                        failures = 0
                        await self._hear(frames.heard(message))
            except InvalidStatus as error:
                self._check_refusal(error.response.status_code)
                why = f"the server answers {error.response.status_code}"
            except _BROKEN as error:
                if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == SIGNED_OUT:
                    raise Refused("You are signed out: the token is not valid any more.") from None
                why = _why(error)
            else:
                why = "the server hung up"
            if self._offset == LIVE_ONLY and not self._met:
                raise Unreachable(f"The terminal cannot be reached: {why}.", "Is the server running?")
            self._lost()
            wait = min(FIRST_WAIT_S * GROWTH**failures, LONGEST_WAIT_S)
            failures += 1
            if failures == 1:
                kept = "; what you type is sent once it is back" if self._awaits_control else ""
                self._screen.say(f"connection lost ({why}); trying again, the program runs on{kept}")
            await asyncio.sleep(wait / 2 + random.random() * wait / 2)  # noqa: S311 - jitter

    def _connected(self) -> connect:
        return connect(
            self._line.address,
            subprotocols=[frames.SUBPROTOCOL],  # type: ignore[list-item] # a NewType of str
            additional_headers={"Authorization": self._line.authorization},
            proxy=None if self._line.on_this_machine else True,
            max_size=frames.MOST_FRAME,
            open_timeout=20,
            close_timeout=2,
        )

    def _check_refusal(self, status: int) -> None:
        if status in (401, 403, 404):
            raise Refused(f"The server refuses the connection ({status}).", "Is this the URL of Moorage?")

    def _lost(self) -> None:
        if self._drawing:
            self._offset, self._drawing = LIVE_ONLY, False  # half a picture: ask for a whole one
        self._let_go()
        self._socket, self._met = None, True

    def _let_go(self) -> None:
        """Off the terminal until it is attached again; control that was ours is free then, or of our former viewer."""
        self._wants_control = self._wants_control or self._in_control
        self._awaits_control = self._awaits_control or self._in_control
        if self._in_control:
            self._former = self._viewer
            self._early.follow((self._epoch + 1, self._epoch + 2))
        self._in_control = self._may_type = self._taking = False

    # --- what is heard --------------------------------------------------------------------------------------------

    async def _hear(self, frame: Heard) -> None:
        if frame.kind == Kind.DATA:
            await self._show(frame.rest, offset=frame.values[0] + len(frame.rest))
        elif frame.kind == Kind.SNAPSHOT:
            offset, _, _, _, last = frame.values
            if not self._drawing:
                self._screen.clear()
            self._drawing = not last
            await self._show(frame.rest, offset=offset)
        elif frame.kind == Kind.ATTACH:
            self._attached(start=frame.values[0], epoch=frame.values[2])
        elif frame.kind == Kind.DETACH:
            self._met, self._offset = False, LIVE_ONLY
            await self._attach_again()
        elif frame.kind == Kind.CONTROL:
            self._control(*frame.values)
        elif frame.kind == Kind.PEOPLE:
            self._people(frame)
        elif frame.kind == Kind.NOTICE and frame.words:
            self._screen.say(frame.words)
        elif frame.kind == Kind.ERROR:
            await self._refused(frame.values[0], frame.words)
        elif frame.kind == Kind.EXIT:
            self.last_words = frame.words
            self._end(1 if frame.values[1] == NO_CODE else frame.values[1] & 0xFF)

    async def _show(self, data: bytes, *, offset: int) -> None:
        # A terminal that is held up must not hold up the connection: it is written to beside it, and paced by the ACK.
        await asyncio.to_thread(self._screen.show, data)
        self._offset = self._seen = offset
        if self._socket is not None:
            await self._socket.send(frames.ack(offset))

    def _attached(self, *, start: int, epoch: int) -> None:
        self._epoch = epoch
        if self._seen is None:
            self._early.follow((epoch + 1,))
        elif start >= self._seen:  # not the session host of before, or too long away: epochs say nothing
            self._early.follow(())
            self._former = 0

    def _control(self, epoch: int, yours: int) -> None:
        had, self._epoch, self._in_control = self._in_control, epoch, bool(yours)
        self._taking = False
        if yours:
            self._awaits_control = True
            self._resized()
            keys, words = self._early.take(epoch)
            for frame in frames.typed(epoch, keys):
                self._send(frame)
            self._tell(words)
        elif had:
            self._awaits_control = False
            self._screen.say("you are not in control any more; you are watching")

    def _tell(self, words: str) -> None:
        if words:
            self._screen.say(words)

    def _people(self, frame: Heard) -> None:
        first, self._met = not self._met, True
        holder = next((each for each in frame.people if each.get("controls")), None)
        me = next((each for each in frame.people if each.get("viewer") == frame.values[0]), {})
        self._viewer = frame.values[0]
        self._holder = None if holder is None else str(holder.get("name"))
        self._may_type = bool(me.get("may_type", True))  # not listed in a crowd: the answer to taking it says
        if self._wants_control and not self._in_control:
            ours = holder is not None and holder.get("viewer") == self._former  # of the line that broke
            why_not = self._why_not() if not ours else ""
            self._await_control(why_not)
            if holder is None or ours or (first and self._manner.take):
                self._take()
            if first and why_not and not self._taking:
                self._screen.say(why_not)

    def _why_not(self) -> str:
        if not self._may_type:
            return "you may watch this terminal, not type into it"
        return f"{self._holder} is in control; you are watching until they give it back" if self._holder else ""

    def _await_control(self, why_not: str) -> None:
        """What is typed is kept as long as control comes next; whatever is said against that ends it."""
        if why_not:
            self._tell(self._early.drop(why_not))
        elif not self._awaits_control:
            self._early.follow((self._epoch + 1,))
        self._awaits_control = not why_not

    async def _refused(self, problem: int, words: str) -> None:
        if problem in (Problem.AWAY, Problem.STOPPING):
            raise NotAFrame(words)  # the same as a broken line: attach again, a little later
        if problem == Problem.RIGHTS_CHANGED:
            self._let_go()
            await self._attach_again()
        elif problem == Problem.BAD_OFFSET:
            self._offset = LIVE_ONLY
            await self._attach_again()
        elif problem == Problem.INPUT_FULL:
            self._screen.say(words)
        elif problem == Problem.STALE_CONTROL or (problem == Problem.NOT_ALLOWED and self._taking):
            self._taking = False  # somebody was faster, or the right was lost meanwhile: the next PEOPLE says how it is
        else:
            raise Refused(words[:1].upper() + words[1:] + ".")

    async def _attach_again(self) -> None:
        if self._socket is not None:
            await self._socket.send(frames.attach(self._terminal_id, offset=self._offset))


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionClosed):
        return error.rcvd.reason or f"code {error.rcvd.code}" if error.rcvd else "the line broke"
    return str(error) or type(error).__name__


async def attached(*, line: Line, terminal_id: UUID, screen: RawTerminal, manner: Manner) -> tuple[int, str]:
    """Exit code and last words. Raises Failure."""
    one = Attached(line=line, terminal_id=terminal_id, screen=screen, manner=manner)
    code = await one.run()
    return code, one.last_words
