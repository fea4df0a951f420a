"""The daemon itself: it keeps the sessions, and has a turn with the database every second."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from events.faults import Fault
from sessions.host import handover, idleness, ledger, opening
from sessions.host.archive import Archive, Rules
from sessions.host.connection import Connection
from sessions.host.ledger import Ended, Happening, Identity, LedgerAway, Report, Superseded, Wanted
from sessions.host.program import Program, reclaim
from sessions.host.session import Session
from sessions.host.wire import NO_CODE, Problem, Refused
from sessions.models import Terminal
from sessions.presence import BEAT_S

log = logging.getLogger(__name__)

POLL_S = 1.0
_MOST_CONNECTIONS = 512
_SPAWNS_AT_ONCE = 4
_COALESCE_S = 0.01
_MAY_MISS = "the session host was away: output of that time may be missing"
_STOPPED = "the session host was stopped"
_OPEN_S = 20.0
_END_S = 4.0
_REPORT_S = 3.0
_KEPT_ENDED, _KEPT_BYTES = 64, 32_768
_MOST_HAPPENINGS = 10_000  # kept while the database is away; the oldest give way
_HAPPENINGS_AT_ONCE = 200


class Daemon:
    """The sessions of this machine, between their rows and those who watch."""

    def __init__(self, identity: Identity, rules: Rules) -> None:
        self.epoch = identity.epoch
        self.superseded = False
        self._identity, self._rules = identity, rules
        self._archive = Archive(rules)
        self._run = Path(identity.socket).parent
        self._kept: dict[uuid.UUID, Program] | None = None  # since an earlier session host died
        self._sessions: dict[uuid.UUID, Session] = {}
        self._live: dict[uuid.UUID, int] = {}  # generation of their row
        self._spawned: dict[uuid.UUID, int] = {}
        self._opening: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._ended: dict[uuid.UUID, Ended] = {}  # not in the ledger yet
        self._tails: OrderedDict[uuid.UUID, tuple[int, bytes]] = OrderedDict()
        self._happened: deque[Happening] = deque(maxlen=_MOST_HAPPENINGS)  # not in the journal yet
        self._waiting: dict[uuid.UUID, set[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._spawns = asyncio.Semaphore(_SPAWNS_AT_ONCE)
        self._registered, self._beat_at, self._away_since = False, 0.0, 0.0
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = self._handing = False
        self._lock, self._listener, self._starts = -1, -1, 0

    # --- what connections ask -------------------------------------------------------------------------------------

    def session(self, terminal_id: uuid.UUID) -> Session:
        """The open session, or Refused."""
        if session := self._sessions.get(terminal_id):
            return session
        raise Refused(Problem.NOT_OPEN, f"terminal {terminal_id} is not open here")

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        """The last bytes, also of a terminal that ended a while ago."""
        if terminal_id in self._tails:
            offset, data = self._tails[terminal_id]
            cut = max(0, len(data) - limit)
            return offset + cut, data[cut:]
        return self.session(terminal_id).ring.tail(limit)

    async def until_open(self, terminal_id: uuid.UUID) -> None:
        """Has its row looked at now; returns once it is live here."""
        if terminal_id in self._live:
            return
        if self._stopping:
            raise Refused(Problem.STOPPING, "the session host is stopping")
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(terminal_id, set()).add(waiting)
        self._wake.set()
        try:
            async with asyncio.timeout(_OPEN_S):
                await waiting
        except TimeoutError:
            raise Refused(Problem.NOT_OPEN, f"terminal {terminal_id} did not open within {_OPEN_S:.0f} s") from None
        finally:
            others = self._waiting.get(terminal_id, set())
            others.discard(waiting)
            if not others:
                self._waiting.pop(terminal_id, None)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more client."""
        if len(self._connections) >= _MOST_CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(Connection(keeper=self, reader=reader, writer=writer).hold())
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    # --- turns ----------------------------------------------------------------------------------------------------

    async def keep(self, stop: asyncio.Event, upgrade: asyncio.Event) -> None:
        """Turn after turn until ``stop``, ``upgrade``, or until another session host has taken over."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set() and not self.superseded:
                self._look_around()
                if upgrade.is_set() and self._registered:
                    upgrade.clear()
                    await self._hand_over()
                turn = asyncio.create_task(self._turn())
                # A database that hangs does not keep us from stopping.
                await asyncio.wait({turn, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not turn.done():
                    return
                turn.result()
                woken = asyncio.create_task(self._wake.wait())
                await asyncio.wait({woken, stopped}, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                await asyncio.sleep(_COALESCE_S)  # many wishes at once are one turn
                self._wake.clear()
        finally:
            stopped.cancel()

    async def _hand_over(self) -> None:
        """Become the program that is installed now; what runs does not notice. Returns only if that fails."""
        self._handing = True
        while self._opening:  # what is being started lives in threads, and they do not survive
            await asyncio.sleep(_COALESCE_S)
        blobs: list[bytes] = []
        state = handover.write(self._pack(blobs), blobs)
        descriptors = [number for session in self._sessions.values() for number in session.descriptors()]
        log.info("becoming the next program", extra={"terminals": len(self._sessions)})
        try:
            handover.execute(state, [self._lock, self._listener, *descriptors])
        except OSError as error:
            log.error("going on as before", extra={"error": str(error)})
            os.close(state)
        self._handing = False

    def _pack(self, blobs: list[bytes]) -> dict[str, Any]:
        left = [
            (key.hex, "left", name, "") for key, session in self._sessions.items() for name in session.people.names()
        ]
        return {
            "epoch": self.epoch,
            "starts": self._starts,
            "lock": self._lock,
            "listener": self._listener,
            "sessions": [
                session.pack(blobs)
                | {"live": self._live.get(key), "spawned": self._spawned.get(key), "recording": self._archive.what(key)}
                for key, session in self._sessions.items()
            ],
            "ended": [[key.hex, ended.generation, ended.exit_code, ended.reason] for key, ended in self._ended.items()],
            "happened": [[each.terminal_id.hex, each.what, each.who, each.to] for each in self._happened] + left,
        }

    def go_on(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        """Take up what the program before us handed over."""
        self._registered, self._kept, self._starts = True, {}, header["starts"]
        for at, packed in enumerate(header["sessions"]):
            key = uuid.UUID(hex=packed["terminal_id"])
            session = self._session(
                key, opening.handed(packed), size=packed["size"], recording=packed["recording"],
                from_start=packed.get("from_start", False),
            )  # fmt: skip
            session.unpack(packed, ring=blobs[2 * at], typed=blobs[2 * at + 1])
            self._sessions[key] = session
            for generations, generation in ((self._live, packed["live"]), (self._spawned, packed["spawned"])):
                if generation is not None:
                    generations[key] = generation
        for hexed, generation, exit_code, reason in header["ended"]:
            self._ended[uuid.UUID(hex=hexed)] = Ended(generation, exit_code, reason)
        self._happened.extend(Happening(uuid.UUID(hex=key), *rest) for key, *rest in header["happened"])

    def owns(self, *, lock: int, listener: int) -> None:
        """The descriptors that a next program needs too."""
        self._lock, self._listener = lock, listener
        self._starts += 1
        handover.sign(lock, starts=self._starts)

    def _session(
        self, terminal_id: uuid.UUID, program: Program, *, size: Sequence[int], recording: str, from_start: bool
    ) -> Session:
        return Session(
            terminal_id=terminal_id, program=program, columns=size[0], rows=size[1],
            on_end=self._note_end, on_news=self._note_people, from_start=from_start,
            recorder=self._archive.recorder(terminal_id, what=recording),
        )  # fmt: skip

    def _look_around(self) -> None:
        """What needs no database: end who is idle, remove what is old."""
        for session in list(self._sessions.values()):
            if idleness.look(session, limit_s=self._rules.idle_s):
                self._note_people(session, "expires_soon", "", "")
        self._archive.prune()

    async def _turn(self) -> None:
        try:
            if not self._registered:
                await self._take_over()
            if self._registered:
                await self._exchange()
        except LedgerAway as away:
            if not self._away_since:
                self._away_since = time.monotonic()
                log.warning("the database is away; terminals go on", extra={"error": str(away)})
        except Superseded as news:
            log.error("superseded; ending all terminals", extra={"reason": str(news)})
            self.superseded = True
        else:
            if self._away_since:
                log.info("the database is back", extra={"away_s": round(time.monotonic() - self._away_since)})
            self._away_since = 0.0

    async def _take_over(self) -> None:
        """Register, and go on with the terminals that were kept for us since another session host died."""
        if self._kept is None:
            self._kept = await asyncio.to_thread(reclaim, self._run)
        rows = await sync_to_async(ledger.take_over)(self._identity, frozenset(self._kept))
        if rows is None:
            return
        self._registered = True
        for wanted in rows:
            await self._go_on(wanted, self._kept.pop(wanted.terminal_id))
        for program in self._kept.values():  # nobody wants them any more
            program.abandon()
        self._kept = {}

    async def _go_on(self, wanted: Wanted, program: Program) -> None:
        session = await self._adopt(wanted, program, went_on=True)
        self._sessions[wanted.terminal_id] = session
        self._live[wanted.terminal_id] = wanted.generation
        session.miss(_MAY_MISS)

    async def _exchange(self) -> None:
        report = self._report()
        orders = await sync_to_async(ledger.turn)(self._identity, report)
        if report.beat:
            self._beat_at = time.monotonic()
        self._archive.taken(report.recordings)
        for terminal_id in orders.noted:
            self._ended.pop(terminal_id, None)
        for happening in report.happened:
            if self._happened and self._happened[0] is happening:  # unless it gave way meanwhile
                self._happened.popleft()
        for terminal_id, generation in orders.live.items():
            self._confirm(terminal_id, generation)
        for terminal_id, reason in orders.end.items():
            if session := self._sessions.get(terminal_id):
                session.end(reason)
            self._answer_waiting(terminal_id, Refused(Problem.OPEN_FAILED, reason))
        for wanted in orders.open:
            # One that failed since the report is in _ended: its row says so after the next turn.
            if wanted.terminal_id not in self._ended and not (self._stopping or self._handing):
                self._opening[wanted.terminal_id] = asyncio.create_task(self._open(wanted))
        if self._ended or self._happened:
            self._wake.set()

    def _report(self) -> Report:
        beat = time.monotonic() - self._beat_at >= BEAT_S
        recordings = self._archive.news()
        if not beat:  # a size that grows is news once in a while only
            recordings = {key: figures for key, figures in recordings.items() if figures.ended}
        return Report(
            beat=beat,
            recordings=recordings,
            spawned=dict(self._spawned),
            live=dict(self._live),
            opening=frozenset(self._opening),
            ended=dict(self._ended),
            sizes={key: (session.columns, session.rows) for key, session in self._sessions.items()},
            watched=frozenset(key for key, session in self._sessions.items() if session.attended),
            happened=tuple(itertools.islice(self._happened, _HAPPENINGS_AT_ONCE)),
        )

    def _confirm(self, terminal_id: uuid.UUID, generation: int) -> None:
        self._spawned.pop(terminal_id, None)
        if terminal_id in self._sessions:
            self._live[terminal_id] = generation
            self._answer_waiting(terminal_id, None)
        elif ended := self._ended.get(terminal_id):  # it ended while its opening was being written
            self._ended[terminal_id] = Ended(generation, ended.exit_code, ended.reason)

    def _answer_waiting(self, terminal_id: uuid.UUID, refused: Refused | None) -> None:
        for waiting in self._waiting.pop(terminal_id, set()):
            if waiting.done():
                continue
            if refused is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(refused)
                waiting.exception()  # whoever waited may have left: that is no error of ours

    # --- opening and ending ---------------------------------------------------------------------------------------

    async def _open(self, wanted: Wanted) -> None:
        terminal_id = wanted.terminal_id
        try:
            async with self._spawns:
                program = await asyncio.to_thread(opening.spawn, wanted, self._run)
            session = await self._adopt(wanted, program)
        except (Fault, OSError) as error:
            words = error.detail if isinstance(error, Fault) else f"it could not be started: {error.strerror}"
            log.warning("terminal not opened", extra={"terminal": str(terminal_id), "reason": words})
            self._ended[terminal_id] = Ended(wanted.generation, None, words)
            self._answer_waiting(terminal_id, Refused(Problem.OPEN_FAILED, words))
        else:
            self._spawned[terminal_id] = wanted.generation
            self._sessions[terminal_id] = session
            if self._stopping:
                session.end(_STOPPED)
        finally:
            self._opening.pop(terminal_id, None)
            self._wake.set()

    async def _adopt(self, wanted: Wanted, program: Program, *, went_on: bool = False) -> Session:
        try:
            session = self._session(
                wanted.terminal_id, program, size=(wanted.columns, wanted.rows), recording=wanted.recording,
                from_start=wanted.kind == Terminal.Kind.WATCH,
            )  # fmt: skip
        except OSError:  # no descriptor left for us: then nobody would ever end it
            self._archive.give_up(wanted.terminal_id)
            os.kill(program.pid, signal.SIGTERM)
            await asyncio.to_thread(program.exit_code)
            os.close(program.master)
            program.counter.close()
            raise
        if session.recorder is not None and not went_on:
            session.recorder.begin(columns=wanted.columns, rows=wanted.rows, title=wanted.title)
        return session

    def _note_end(self, session: Session) -> None:
        terminal_id, ended = session.terminal_id, session.exit
        if ended is None:
            raise ValueError("a session that goes on has not ended")
        generation = self._live.pop(terminal_id, None) or self._spawned.pop(terminal_id, 0)
        del self._sessions[terminal_id]
        self._ended[terminal_id] = Ended(generation, None if ended.code == NO_CODE else ended.code, ended.reason)
        self._tails[terminal_id] = session.ring.tail(_KEPT_BYTES)
        while len(self._tails) > _KEPT_ENDED:
            self._tails.popitem(last=False)
        self._answer_waiting(terminal_id, Refused(Problem.OPEN_FAILED, ended.reason))
        self._wake.set()

    def _note_people(self, session: Session, what: str, who: str, to: str) -> None:
        self._happened.append(Happening(session.terminal_id, what, who, to))
        self._wake.set()

    async def stop(self) -> None:
        """End every terminal, tell those who watch, and write it down if the database takes it in time."""
        self._stopping = True
        for session in list(self._sessions.values()):
            session.end(_STOPPED)
        deadline = time.monotonic() + _END_S
        while (self._sessions or self._opening) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        deadline = time.monotonic() + _REPORT_S
        while (
            (self._ended or self._archive.news())
            and self._registered
            and not self.superseded
            and time.monotonic() < deadline
        ):
            # A hanging database must not keep us: the next start marks as lost what was not written down.
            await asyncio.wait({asyncio.create_task(self._turn())}, timeout=max(0.1, deadline - time.monotonic()))
            await asyncio.sleep(0.05)
        if self._registered and not self.superseded and not self._away_since and time.monotonic() < deadline:
            await asyncio.wait({asyncio.create_task(self._leave())}, timeout=1.0)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _leave(self) -> None:
        try:
            await sync_to_async(ledger.leave)(self._identity)
        except LedgerAway as away:
            log.warning("not signed off; the heartbeat runs out", extra={"error": str(away)})
