"""The terminals that are open on this machine: how each comes to be, is found, is handed on, and what it leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from events.faults import Fault
from sessions.host import idleness, opening
from sessions.host.archive import Archive, Rules
from sessions.host.books import Books
from sessions.host.ledger import Happening, Orders, Report, Wanted
from sessions.host.program import Program
from sessions.host.session import Session
from sessions.host.waiting import Waiting
from sessions.host.wire import NO_CODE, Problem, Refused
from sessions.models import Terminal

log = logging.getLogger(__name__)

_SPAWNS_AT_ONCE = 4
_OPEN_S = 20.0
_COALESCE_S = 0.01
_KEPT_ENDED, _KEPT_BYTES = 64, 32_768
_MAY_MISS = "the session host was away: output of that time may be missing"


class Roster:
    """Opens and ends what the ledger orders, and keeps what it is to be told; ``on_news`` says that there is some."""

    def __init__(self, rules: Rules, *, run: Path, on_news: Callable[[], None]) -> None:
        self.books = Books()
        self.archive = Archive(rules)
        self._rules, self._run, self._on_news = rules, run, on_news
        self._sessions: dict[uuid.UUID, Session] = {}
        self._opening: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._waiting = Waiting()
        self._tails: OrderedDict[uuid.UUID, tuple[int, bytes]] = OrderedDict()
        self._spawns = asyncio.Semaphore(_SPAWNS_AT_ONCE)
        self._closing = ""  # why nothing is opened any more

    def __len__(self) -> int:
        """How many are open, or being opened."""
        return len(self._sessions) + len(self._opening)

    # --- found ----------------------------------------------------------------------------------------------------

    def session(self, terminal_id: uuid.UUID) -> Session:
        """The open session, or Refused."""
        if session := self._sessions.get(terminal_id):
            return session
        raise Refused(Problem.NOT_OPEN, f"terminal {terminal_id} is not open here")

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        """The last bytes, also of a terminal that ended a while ago. Raises Refused."""
        if terminal_id in self._tails:
            offset, data = self._tails[terminal_id]
            cut = max(0, len(data) - limit)
            return offset + cut, data[cut:]
        return self.session(terminal_id).ring.tail(limit)

    async def until_live(self, terminal_id: uuid.UUID) -> None:
        """Has the ledger asked now; returns once it is live here. Raises Refused."""
        if terminal_id in self.books.live:
            return
        if self._closing:
            raise Refused(Problem.STOPPING, "the session host is stopping")
        self._on_news()
        await self._waiting.wait(terminal_id, patience_s=_OPEN_S)

    # --- ordered --------------------------------------------------------------------------------------------------

    def report(self, *, beat: bool) -> Report:
        """What the ledger is to hear; with a heartbeat also what grows all the time."""
        recordings = self.archive.news()
        if not beat:  # a size that grows is news once in a while only
            recordings = {key: figures for key, figures in recordings.items() if figures.ended}
        return Report(
            beat=beat,
            recordings=recordings,
            spawned=dict(self.books.spawned),
            live=dict(self.books.live),
            opening=frozenset(self._opening),
            ended=dict(self.books.ended),
            sizes={key: (session.columns, session.rows) for key, session in self._sessions.items()},
            watched=frozenset(key for key, session in self._sessions.items() if session.attended),
            happened=self.books.next_happenings(),
        )

    def obey(self, orders: Orders, report: Report, *, may_open: bool) -> None:
        """What the ledger says to this report."""
        self.archive.taken(report.recordings)
        self.books.taken(report, orders)
        for terminal_id, generation in orders.live.items():
            goes_on = terminal_id in self._sessions
            self.books.confirm(terminal_id, generation, goes_on=goes_on)
            if goes_on:
                self._waiting.answer(terminal_id)
        for terminal_id, reason in orders.end.items():
            if session := self._sessions.get(terminal_id):
                session.end(reason)
            self._waiting.answer(terminal_id, Refused(Problem.OPEN_FAILED, reason))
        for wanted in orders.open:
            # One that failed since the report is in the books: its row says so after the next turn.
            if wanted.terminal_id not in self.books.ended and may_open and not self._closing:
                self._opening[wanted.terminal_id] = asyncio.create_task(self._open(wanted))
        if self.books.due:
            self._on_news()

    def look_around(self) -> None:
        """What needs no ledger: end who is idle, remove what is old."""
        for session in list(self._sessions.values()):
            if idleness.look(session, limit_s=self._rules.idle_s):
                self._note_people(session, "expires_soon", "", "")
        self.archive.prune()

    async def go_on(self, wanted: Wanted, program: Program) -> None:
        """With one that was kept since an earlier session host died."""
        session = await self._adopt(wanted, program, went_on=True)
        self._sessions[wanted.terminal_id] = session
        self.books.live[wanted.terminal_id] = wanted.generation
        session.miss(_MAY_MISS)

    def end_all(self, reason: str) -> None:
        """And open none any more."""
        self._closing = reason
        for session in list(self._sessions.values()):
            session.end(reason)

    # --- handed on ------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """What is being started lives in threads, and they do not survive a hand-over: returns once there is none."""
        while self._opening:
            await asyncio.sleep(_COALESCE_S)

    def descriptors(self) -> list[int]:
        """What a next program needs to go on with all of them."""
        return [number for session in self._sessions.values() for number in session.descriptors()]

    def pack(self, blobs: list[bytes]) -> dict[str, Any]:
        """All of them, for the next program; long bytes are put to ``blobs``."""
        books = self.books
        leaving = [
            Happening(key, "left", name, "")
            for key, session in self._sessions.items()
            for name in session.people.names()
        ]
        packed = [
            session.pack(blobs)
            | {"live": books.live.get(key), "spawned": books.spawned.get(key), "recording": self.archive.what(key)}
            for key, session in self._sessions.items()
        ]
        return {"sessions": packed, **books.pack(leaving=leaving)}

    def unpack(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        """Take up what the program before us handed over."""
        for at, packed in enumerate(header["sessions"]):
            key = uuid.UUID(hex=packed["terminal_id"])
            session = self._session(
                key, opening.handed(packed), size=packed["size"], recording=packed["recording"],
                from_start=packed.get("from_start", False),
            )  # fmt: skip
            session.unpack(packed, ring=blobs[2 * at], typed=blobs[2 * at + 1])
            self._sessions[key] = session
            self.books.note(key, live=packed["live"], spawned=packed["spawned"])
        self.books.unpack(header)

    # --- opened and ended -----------------------------------------------------------------------------------------

    async def _open(self, wanted: Wanted) -> None:
        terminal_id = wanted.terminal_id
        try:
            async with self._spawns:
                program = await asyncio.to_thread(opening.spawn, wanted, self._run)
            session = await self._adopt(wanted, program)
        except (Fault, OSError) as error:
            words = error.detail if isinstance(error, Fault) else f"it could not be started: {error.strerror}"
            log.warning("terminal not opened", extra={"terminal": str(terminal_id), "reason": words})
            self.books.fail(terminal_id, wanted.generation, words)
            self._waiting.answer(terminal_id, Refused(Problem.OPEN_FAILED, words))
        else:
            self.books.spawned[terminal_id] = wanted.generation
            self._sessions[terminal_id] = session
            if self._closing:
                session.end(self._closing)
        finally:
            self._opening.pop(terminal_id, None)
            self._on_news()

    async def _adopt(self, wanted: Wanted, program: Program, *, went_on: bool = False) -> Session:
        try:
            session = self._session(
                wanted.terminal_id, program, size=(wanted.columns, wanted.rows), recording=wanted.recording,
                from_start=wanted.kind == Terminal.Kind.WATCH,
            )  # fmt: skip
        except OSError:  # no descriptor left for us: then nobody would ever end it
            self.archive.give_up(wanted.terminal_id)
            os.kill(program.pid, signal.SIGTERM)
            await asyncio.to_thread(program.exit_code)
            os.close(program.master)
            program.counter.close()
            raise
        if session.recorder is not None and not went_on:
            session.recorder.begin(columns=wanted.columns, rows=wanted.rows, title=wanted.title)
        return session

    def _session(
        self, terminal_id: uuid.UUID, program: Program, *, size: Sequence[int], recording: str, from_start: bool
    ) -> Session:
        return Session(
            terminal_id=terminal_id, program=program, columns=size[0], rows=size[1],
            on_end=self._note_end, on_news=self._note_people, from_start=from_start,
            recorder=self.archive.recorder(terminal_id, what=recording),
        )  # fmt: skip

    def _note_end(self, session: Session) -> None:
        terminal_id, ended = session.terminal_id, session.exit
        if ended is None:
            raise ValueError("a session that goes on has not ended")
        del self._sessions[terminal_id]
        self.books.end(terminal_id, None if ended.code == NO_CODE else ended.code, ended.reason)
        self._tails[terminal_id] = session.ring.tail(_KEPT_BYTES)
        while len(self._tails) > _KEPT_ENDED:
            self._tails.popitem(last=False)
        self._waiting.answer(terminal_id, Refused(Problem.OPEN_FAILED, ended.reason))
        self._on_news()

    def _note_people(self, session: Session, what: str, who: str, to: str) -> None:
        self.books.happened.append(Happening(session.terminal_id, what, who, to))
        self._on_news()
