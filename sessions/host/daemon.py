"""The daemon itself: it lets clients in, and has a turn with the database every second."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from sessions.host import handover, ledger
from sessions.host.archive import Rules
from sessions.host.connection import Connection
from sessions.host.ledger import Identity, LedgerAway, Superseded
from sessions.host.program import Program, reclaim
from sessions.host.roster import Roster
from sessions.host.session import Session
from sessions.presence import BEAT_S

log = logging.getLogger(__name__)

POLL_S = 1.0
_MOST_CONNECTIONS = 512
_COALESCE_S = 0.01
_STOPPED = "the session host was stopped"
_END_S = 4.0
_REPORT_S = 3.0
_LAST_WORDS_S = 0.5


class Daemon:
    """The sessions of this machine, between their rows and those who watch."""

    def __init__(self, identity: Identity, rules: Rules) -> None:
        self.epoch = identity.epoch
        self.superseded = False
        self._identity = identity
        self._run = Path(identity.socket).parent
        self._kept: dict[uuid.UUID, Program] | None = None  # since an earlier session host died
        self._wake = asyncio.Event()
        self._roster = Roster(rules, run=self._run, on_news=self._wake.set)
        self._registered, self._beat_at, self._away_since = False, 0.0, 0.0
        self._connections: set[Connection] = set()
        self._handing = False
        self._lock, self._listener, self._starts = -1, -1, 0

    # --- what connections ask -------------------------------------------------------------------------------------

    def session(self, terminal_id: uuid.UUID) -> Session:
        """The open session, or Refused."""
        return self._roster.session(terminal_id)

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        """The last bytes, also of a terminal that ended a while ago."""
        return self._roster.tail(terminal_id, limit)

    async def until_open(self, terminal_id: uuid.UUID) -> None:
        """Has its row looked at now; returns once it is live here."""
        await self._roster.until_live(terminal_id)

    def connection(self) -> Connection:
        """For one more client."""
        return Connection(keeper=self)

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client."""
        if len(self._connections) >= _MOST_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def dismiss(self, connection: Connection) -> None:
        """It has gone."""
        self._connections.discard(connection)

    # --- turns ----------------------------------------------------------------------------------------------------

    async def keep(self, stop: asyncio.Event, upgrade: asyncio.Event) -> None:
        """Turn after turn until ``stop``, ``upgrade``, or until another session host has taken over."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set() and not self.superseded:
                self._roster.look_around()
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
        await self._roster.settled()
        blobs: list[bytes] = []
        state = handover.write(self._pack(blobs), blobs)
        log.info("becoming the next program", extra={"terminals": len(self._roster)})
        try:
            handover.execute(state, [self._lock, self._listener, *self._roster.descriptors()])
        except OSError as error:
            log.error("going on as before", extra={"error": str(error)})
            os.close(state)
        self._handing = False

    def _pack(self, blobs: list[bytes]) -> dict[str, Any]:
        ours = {"epoch": self.epoch, "starts": self._starts, "lock": self._lock, "listener": self._listener}
        return ours | self._roster.pack(blobs)

    def go_on(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        """Take up what the program before us handed over."""
        self._registered, self._kept, self._starts = True, {}, header["starts"]
        self._roster.unpack(header, blobs)

    def owns(self, *, lock: int, listener: int) -> None:
        """The descriptors that a next program needs too."""
        self._lock, self._listener = lock, listener
        self._starts += 1
        handover.sign(lock, starts=self._starts)

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
            await self._roster.go_on(wanted, self._kept.pop(wanted.terminal_id))
        for program in self._kept.values():  # nobody wants them any more
            program.abandon()
        self._kept = {}

    async def _exchange(self) -> None:
        report = self._roster.report(beat=time.monotonic() - self._beat_at >= BEAT_S)
        orders = await sync_to_async(ledger.turn)(self._identity, report)
        if report.beat:
            self._beat_at = time.monotonic()
        self._roster.obey(orders, report, may_open=not self._handing)

    # --- the end --------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End every terminal, tell those who watch, and write it down if the database takes it in time."""
        self._roster.end_all(_STOPPED)
        deadline = time.monotonic() + _END_S
        while self._roster and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        deadline = time.monotonic() + _REPORT_S
        while (
            (self._roster.books.ended or self._roster.archive.news())
            and self._registered
            and not self.superseded
            and time.monotonic() < deadline
        ):
            # A hanging database must not keep us: the next start marks as lost what was not written down.
            await asyncio.wait({asyncio.create_task(self._turn())}, timeout=max(0.1, deadline - time.monotonic()))
            await asyncio.sleep(0.05)
        if self._registered and not self.superseded and not self._away_since and time.monotonic() < deadline:
            await asyncio.wait({asyncio.create_task(self._leave())}, timeout=1.0)
        for connection in list(self._connections):
            connection.hang_up()
        deadline = time.monotonic() + _LAST_WORDS_S
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    async def _leave(self) -> None:
        try:
            await sync_to_async(ledger.leave)(self._identity)
        except LedgerAway as away:
            log.warning("not signed off; the heartbeat runs out", extra={"error": str(away)})
