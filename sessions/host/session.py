"""One terminal in memory: its PTY, its last bytes, what its screen shows, and who is at it."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sessions.host.master import BATCH, Master
from sessions.host.pace import Pace
from sessions.host.people import People, Viewer
from sessions.host.program import Program
from sessions.host.recorder import Recorder
from sessions.host.screen import Emulated, Screen
from sessions.host.typists import Typists
from sessions.host.wire import NO_CODE, Problem, Refused
from sessions.ring import Ring

RING_BYTES = 1 << 20
_PEOPLE_PAUSE_S = 0.2
_LINGER_S = 3.0  # a page that is loaded anew is not a departure
MOST_COLUMNS, MOST_ROWS = 1000, 1000


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
        self.typists = Typists()
        self.people_shown = 0  # the version of the list that viewers are to have
        self._show_people: asyncio.TimerHandle | None = None
        self._on_news = on_news
        self.watchers: dict[Viewer, None] = {}  # in the order in which they came
        self.exit: Exit | None = None
        self.warning = ""  # that it is about to end because nobody uses it; taken back once somebody does
        self.gap = ""  # what may be missing of what it printed; nothing takes that back
        self.recorder = recorder
        self._program = program
        self._on_end = on_end
        self._ending = ""
        self._loop = asyncio.get_running_loop()
        self._left_at = self._used_at = self._loop.time()
        self._pidfd = program.watch()
        self._loop.add_reader(self._pidfd, self._program_ended)
        self._master = Master(program.master, on_readable=self._readable)
        self._pace = Pace(master=self._master, people=self.people, head=lambda: self.ring.head)

    def pack(self, blobs: list[bytes]) -> dict[str, Any]:
        """All that another process needs to go on with it; long bytes are put to ``blobs``."""
        blobs += (self.ring.tail(RING_BYTES)[1], self._master.typed)
        people = self.people
        connection = self._program.connection
        return {
            "terminal_id": self.terminal_id.hex,
            "pid": self._program.pid,
            "master": self._master.descriptor,
            "counter": self._program.counter.descriptor,
            "connection": None if connection is None else connection.fileno(),
            "size": [self.columns, self.rows],
            "head": self.ring.head,
            "screen": self.screen.pack(),
            "control_epoch": people.epoch + (people.holder is not None),  # nobody has it after a new start
            "viewers": people.number(),
            "typists": self.typists.pack(),
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
        self.typists.unpack(packed.get("typists", {}))  # a program of before did not know them
        self._ending, self.warning, self.gap = packed["ending"], packed["warning"], packed["gap"]
        if self.recorder is not None and packed["recorder"] is not None:
            self.recorder.unpack(packed["recorder"])
        self._master.write(typed)

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

    def join(self, watcher: Viewer) -> None:
        """One more at the terminal."""
        self._used_at = self._loop.time()
        self.watchers[watcher] = None
        self.people.join(watcher)
        self.tell_watchers()

    def leave(self, watcher: Viewer) -> None:
        """One less; control is free again if they had it. Leaving twice is fine."""
        self.watchers.pop(watcher, None)
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
        self._pace.changed_hands()
        self.tell_watchers()

    def heard_from(self, watcher: Viewer) -> None:
        """They acknowledged something: the program may go on if they pace it."""
        self._pace.seen_by(watcher)

    def type(self, data: bytes) -> None:
        """Hand keystrokes to the program. Refused whole when it has stopped taking them."""
        self._master.check_room(data)
        if self.exit is not None or not data:
            return
        self._used_at = self._loop.time()
        if self.recorder is not None and not self._master.hides_input:
            self.recorder.typed(data)
        self._master.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """The new size, told to the program by SIGWINCH and to the watchers."""
        check_size(columns, rows)
        if self.exit is not None:
            return
        self._master.resize(columns, rows)
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
        data, hung_up = self._master.read()
        if data:
            self._take(data)
        if hung_up:
            self._pace.hung_up()
        else:
            self._pace.printed(len(data))

    def _take(self, data: bytes) -> None:
        self._used_at = self._loop.time()
        self.ring.append(data)
        self._program.counter.head = self.ring.head
        self.screen.feed(data)
        if self.recorder is not None:
            self.recorder.printed(data)
        self.tell_watchers()

    def _program_ended(self) -> None:
        code = self._program.exit_code()
        self._loop.remove_reader(self._pidfd)
        self._master.leave_loop()
        self._pace.end()
        if self._show_people is not None:
            self._show_people.cancel()
        self._drain()
        os.close(self._pidfd)
        self._master.close()
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
        for _ in range(RING_BYTES // BATCH):
            data, _ = self._master.read()
            if not data:
                return
            self._take(data)
