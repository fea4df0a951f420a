"""One terminal in memory: its PTY, its last bytes, what its screen shows, and who is at it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sessions.host.people import People, Viewer
from sessions.host.program import Program
from sessions.host.recorder import Recorder
from sessions.host.screen import Emulated, Screen
from sessions.host.wire import ACK_EVERY, MOST_DATA, NO_CODE, WINDOW, Problem, Refused
from sessions.ring import Ring

RING_BYTES = 1 << 20
_READ = 1 << 12  # the kernel gives no more of a terminal at once
_BATCH = WINDOW  # so much of one terminal in one go: a flood leaves the loop to others and to its own ^C
_PENDING_INPUT = 1 << 18  # typed, but not yet taken by the PTY
# At most so much per window of a terminal that nobody paces: what nobody waits for does not keep the processor busy.
_WINDOW_S, _WINDOW_BYTES = 0.1, 1_600_000
_STALLED_S = 3.0  # whoever has control and acknowledges nothing for so long paces the program no more
_PEOPLE_PAUSE_S = 0.2
_LINGER_S = 3.0  # a page that is loaded anew is not a departure
_HANGUP_PAUSE_S = 0.1  # a program may close its terminal and open it again; reading says EIO meanwhile
MOST_COLUMNS, MOST_ROWS = 1000, 1000


class Watcher(Protocol):
    """Whoever is at the terminal and is told that there is something new."""

    number: int
    name: str
    may_type: bool
    acknowledged: int

    def wake(self) -> None: ...


class News(Protocol):
    """Is told what people did at a terminal."""

    def __call__(self, session: Session, what: str, who: str, to: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Exit:
    """How a terminal ended. ``code`` is NO_CODE when we ended it."""

    code: int
    reason: str


def check_size(columns: int, rows: int) -> None:
    """Raises Refused for a size that no terminal has."""
    if not (1 <= columns <= MOST_COLUMNS and 1 <= rows <= MOST_ROWS):
        raise Refused(Problem.BAD_SIZE, f"{columns}x{rows} is no size of a terminal")


class Session:
    """Owns a PTY master and the process behind it, from the moment it is made until ``on_end`` was called."""

    def __init__(
        self,
        *,
        terminal_id: uuid.UUID,
        program: Program,
        columns: int,
        rows: int,
        on_end: Callable[[Session], None],
        on_news: News,
        recorder: Recorder | None = None,
        from_start: bool = False,
    ) -> None:
        self.terminal_id = terminal_id
        self.from_start = from_start  # whoever comes sees what was printed, not only what is on the screen now
        self.columns, self.rows = columns, rows
        self.ring = Ring(RING_BYTES, start=program.counter.head)
        self.screen: Screen = Emulated(columns=columns, rows=rows)
        self.people = People(tell=self._people_changed)
        self.people_shown = 0  # the version of the list that viewers are to have
        self._show_people: asyncio.TimerHandle | None = None
        self._on_news = on_news
        self.watchers: set[Watcher] = set()
        self.exit: Exit | None = None
        self.warning = ""  # that it is about to end because nobody uses it; taken back once somebody does
        self.gap = ""  # what may be missing of what it printed; nothing takes that back
        self.recorder = recorder
        self._program, self._master = program, program.master
        self._on_end = on_end
        self._ending = ""
        self._input = bytearray()
        self._read_in_window = 0
        self._window: asyncio.TimerHandle | None = None
        self._held = False  # the program waits until whoever has control has seen more
        self._stalled: object | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._left_at = self._used_at = self._loop.time()
        self._pidfd = program.watch()
        os.set_blocking(self._master, False)
        self._loop.add_reader(self._pidfd, self._program_ended)
        self._loop.add_reader(self._master, self._readable)

    def pack(self, blobs: list[bytes]) -> dict[str, Any]:
        """All that another process needs to go on with it; long bytes are put to ``blobs``."""
        blobs += (self.ring.tail(RING_BYTES)[1], bytes(self._input))
        people = self.people
        connection = self._program.connection
        return {
            "terminal_id": self.terminal_id.hex,
            "pid": self._program.pid,
            "master": self._master,
            "counter": self._program.counter.descriptor,
            "connection": None if connection is None else connection.fileno(),
            "size": [self.columns, self.rows],
            "head": self.ring.head,
            "screen": self.screen.pack(),
            "control_epoch": people.epoch + (people.holder is not None),  # nobody has it after a new start
            "viewers": people.number(),
            "ending": self._ending,
            "warning": self.warning,
            "gap": self.gap,
            "from_start": self.from_start,
            "recorder": None if self.recorder is None else self.recorder.pack(),
        }

    def unpack(self, packed: dict[str, Any], *, ring: bytes, typed: bytes) -> None:
        """Go on where another process packed it; this one has read nothing yet."""
        self.ring = Ring(RING_BYTES, start=packed["head"] - len(ring))
        self.ring.append(ring)
        self.screen.unpack(packed["screen"])
        self.people.go_on(epoch=packed["control_epoch"], number=packed["viewers"])
        self._ending, self.warning, self.gap = packed["ending"], packed["warning"], packed["gap"]
        if self.recorder is not None and packed["recorder"] is not None:
            self.recorder.unpack(packed["recorder"])
        self._input += typed
        if typed:
            self._writable()

    def descriptors(self) -> list[int]:
        """What another program of ours needs to go on with it."""
        return self._program.descriptors()

    @property
    def attended(self) -> bool:
        """Whether somebody is at it, or was a moment ago."""
        return bool(self.watchers) or self._loop.time() - self._left_at < _LINGER_S

    @property
    def idle_s(self) -> float:
        """For how long nothing was typed, printed or joined."""
        return self._loop.time() - self._used_at

    @property
    def notice(self) -> str:
        """Shown to whoever is at it."""
        return "; ".join(filter(None, (self.warning, self.gap)))

    def warn(self, words: str) -> None:
        """Show a warning to whoever is at it, or take it back by saying nothing."""
        self.warning = words
        self.tell_watchers()

    def miss(self, words: str) -> None:
        """Something that was printed may have been read by nobody: whoever is at it is told so from now on."""
        self.gap = words
        self.screen.exact = False  # what was on it is not known
        if self.recorder is not None:
            self.recorder.mark(words)
        self.tell_watchers()

    def join(self, watcher: Watcher) -> None:
        """One more at the terminal."""
        self._used_at = self._loop.time()
        self.watchers.add(watcher)
        self.people.join(watcher)
        self.tell_watchers()

    def leave(self, watcher: Watcher) -> None:
        """One less; control is free again if they had it. Leaving twice is fine."""
        self.watchers.discard(watcher)
        self._left_at = self._loop.time()
        self.people.leave(watcher)
        self.control_changed()

    def _people_changed(self, what: str, who: str, to: str) -> None:
        """A crowd that comes at once is told of itself now and then, not once for each who comes."""
        self._on_news(self, what, who, to)
        if self._show_people is None and self.exit is None:
            self._show_people = self._loop.call_later(_PEOPLE_PAUSE_S, self._show_them)

    def _show_them(self) -> None:
        self._show_people = None
        self.people_shown = self.people.version
        self.tell_watchers()

    def control_changed(self) -> None:
        """Another one paces the program now, or nobody."""
        self._stalled = None
        self._go_on()
        self.tell_watchers()

    def heard_from(self, watcher: Watcher) -> None:
        """They acknowledged something: the program may go on if they pace it."""
        if self._stalled is watcher:
            self._stalled = None
        if self._held and self._behind() <= WINDOW - ACK_EVERY:
            self._go_on()

    def type(self, data: bytes) -> None:
        """Hand keystrokes to the program. Refused whole when it has stopped taking them."""
        if len(self._input) + len(data) > _PENDING_INPUT:
            raise Refused(Problem.INPUT_FULL, "the program does not read what is typed")
        if self.exit is not None or not data:
            return
        self._used_at = self._loop.time()
        if self.recorder is not None and not self._hidden():
            self.recorder.typed(data)
        self._input += data
        self._writable()

    def resize(self, columns: int, rows: int) -> None:
        """The new size, told to the program by SIGWINCH and to the watchers."""
        check_size(columns, rows)
        if self.exit is not None:
            return
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.columns, self.rows = columns, rows
        self.screen.resize(columns, rows)
        if self.recorder is not None:
            self.recorder.resized(columns, rows)
        self.tell_watchers()

    def end(self, reason: str) -> None:
        """Have everything in the terminal killed; ``on_end`` follows. Ending twice keeps the first reason."""
        if self.exit is None and not self._ending:
            self._ending = reason or "closed"
            self._program.end(self._pidfd)

    def tell_watchers(self) -> None:
        """There is something new to read, or a new size, or new control."""
        for watcher in self.watchers:
            watcher.wake()

    def _readable(self) -> None:
        data, hung_up = self._read()
        if data:
            self._take(data)
        if hung_up:
            self._pause(_HANGUP_PAUSE_S)
        elif self._pacer is not None:
            if self._behind() >= WINDOW:
                self._hold()
        else:
            self._ration(len(data))

    def _read(self) -> tuple[bytes, bool]:
        """What there is, up to a batch; and whether nobody has the terminal open just now."""
        pieces, room, hung_up = [], _BATCH, False
        while room > 0:
            try:
                piece = os.read(self._master, _READ)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                hung_up = True
                break
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces), hung_up

    def _ration(self, count: int) -> None:
        self._read_in_window += count
        if self._window is None:
            self._window = self._loop.call_later(_WINDOW_S, self._next_window)
        elif self._read_in_window >= _WINDOW_BYTES:
            self._loop.remove_reader(self._master)

    def _take(self, data: bytes) -> None:
        self._used_at = self._loop.time()
        self.ring.append(data)
        self._program.counter.head = self.ring.head
        self.screen.feed(data)
        if self.recorder is not None:
            self.recorder.printed(data)
        self.tell_watchers()

    @property
    def _pacer(self) -> Viewer | None:
        """Whoever has control and shows what is printed."""
        holder = self.people.holder
        return None if holder is self._stalled else holder

    def _behind(self) -> int:
        """How many bytes whoever has control has not acknowledged; 0 when nobody paces the program."""
        pacer = self._pacer
        if pacer is None:
            return 0
        return self.ring.head - pacer.acknowledged  # type: ignore[attr-defined] # every viewer here is a watcher

    def _hold(self) -> None:
        self._held = True
        self._loop.remove_reader(self._master)
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self._patience = self._loop.call_later(_STALLED_S, self._lose_patience, self.people.holder)

    def _go_on(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._held and self.exit is None:
            self._held = False
            self._next_window()

    def _lose_patience(self, holder: object) -> None:
        self._patience = None
        self._stalled = holder
        self._go_on()

    def _pause(self, wait_s: float) -> None:
        self._loop.remove_reader(self._master)
        if self._window is not None:
            self._window.cancel()
        self._window = self._loop.call_later(wait_s, self._next_window)

    def _next_window(self) -> None:
        self._window, self._read_in_window = None, 0
        self._loop.add_reader(self._master, self._readable)

    def _hidden(self) -> bool:
        """Whether a line is asked for without showing it: then it is a password."""
        flags = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ICANON) and not flags & termios.ECHO

    def _writable(self) -> None:
        try:
            written = os.write(self._master, self._input[:MOST_DATA])
        except BlockingIOError:
            written = 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            written = len(self._input)  # nobody has the terminal open: what is typed goes nowhere
        del self._input[:written]
        if self._input:
            self._loop.add_writer(self._master, self._writable)
        else:
            self._loop.remove_writer(self._master)

    def _program_ended(self) -> None:
        code = self._program.exit_code()
        self._loop.remove_reader(self._pidfd)
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        for timer in (self._window, self._patience, self._show_people):
            if timer is not None:
                timer.cancel()
        self._drain()
        os.close(self._pidfd)
        os.close(self._master)
        self._program.counter.close()
        self.exit = self._how_it_ended(code)
        if self.recorder is not None:
            self.recorder.end(None if self.exit.code == NO_CODE else self.exit.code)
        self.tell_watchers()
        self._on_end(self)

    def _how_it_ended(self, code: int | None) -> Exit:
        if self._ending:
            return Exit(NO_CODE, self._ending)
        if code is None:
            return Exit(NO_CODE, "the program was cut off")
        return Exit(code, f"the program ended with {code}")

    def _drain(self) -> None:
        """What the kernel still holds of the last words. Everything inside is dead, so this is little."""
        for _ in range(RING_BYTES // _BATCH):
            data, _ = self._read()
            if not data:
                return
            self._take(data)
