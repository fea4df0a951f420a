"""The session host's side of the database: once per turn it reports what happened and learns what is wanted.

Synchronous, for one thread beside the event loop. The rows are the truth: a terminal that nobody wants any more is
ended, and whatever could not be reported while the database was away is reported in a later turn.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, close_old_connections, connection, transaction
from django.utils import timezone

from agents.models import Agent
from events.faults import Fault
from resources.models import Host
from sessions import faults, lifecycle, presence
from sessions.host.recorder import Figures
from sessions.models import Recording, SessionHost, Terminal

log = logging.getLogger(__name__)


class LedgerAway(Exception):
    """The database did not take this turn; the next one tries again."""


class Superseded(Exception):
    """Another session host has taken this machine's terminals over: they are no longer ours to keep."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: the host's name, the epoch of this start, and where we listen, by path and by :func:`place_of`."""

    host: str
    epoch: str
    socket: str
    place: str

    @property
    def actor(self) -> str:
        return f"sessionhost:{self.host}"


def place_of(directory: Path) -> str:
    """This boot of this machine, and this directory: no other machine has the one, nor another container the other."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    status = directory.stat()
    return f"{boot}:{status.st_dev}:{status.st_ino}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A terminal that is over: its program's exit code, or None when it was ended or never began."""

    generation: int
    exit_code: int | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Happening:
    """What somebody did at a terminal: joined, left, took, gave, asked; ``to`` is whom control was handed to."""

    terminal_id: uuid.UUID
    what: str
    who: str
    to: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the daemon has: per terminal the generation it knows. ``spawned`` have a PTY, but no ``live`` row yet."""

    beat: bool = True
    spawned: Mapping[uuid.UUID, int] = field(default_factory=dict)
    live: Mapping[uuid.UUID, int] = field(default_factory=dict)
    opening: frozenset[uuid.UUID] = frozenset()
    ended: Mapping[uuid.UUID, Ended] = field(default_factory=dict)
    sizes: Mapping[uuid.UUID, tuple[int, int]] = field(default_factory=dict)
    watched: frozenset[uuid.UUID] = frozenset()
    happened: tuple[Happening, ...] = ()
    recordings: Mapping[uuid.UUID, Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A terminal to open: where, and how big."""

    terminal_id: uuid.UUID
    generation: int
    sandbox: dict[str, Any] | None
    columns: int
    rows: int
    title: str = ""
    recording: str = Terminal.Recorded.NONE
    kind: str = Terminal.Kind.SHELL


@dataclass(slots=True)
class Orders:
    """What the daemon is to do: open, end (with the reason), and which reports have been taken."""

    open: list[Wanted] = field(default_factory=list)
    end: dict[uuid.UUID, str] = field(default_factory=dict)
    live: dict[uuid.UUID, int] = field(default_factory=dict)
    noted: set[uuid.UUID] = field(default_factory=set)


def take_over(identity: Identity, kept: Collection[uuid.UUID] = ()) -> list[Wanted] | None:
    """Become the session host of this machine; what an earlier one left ``live`` and nobody ``kept`` is lost.

    Returns what is kept and still wanted, or None while the machine is not registered (a worker does that). Raises
    SessionHostTaken when another one beats for the same name from elsewhere, and LedgerAway.
    """
    try:
        close_old_connections()
        return _take_over(identity, kept)
    except DatabaseError as error:
        connection.close()
        raise LedgerAway(str(error)) from error


def turn(identity: Identity, report: Report) -> Orders:
    """One exchange. Raises LedgerAway and Superseded; a half-done turn is repeated without harm."""
    try:
        close_old_connections()
        return _turn(identity, report)
    except DatabaseError as error:
        connection.close()
        raise LedgerAway(str(error)) from error


def leave(identity: Identity) -> None:
    """Say that there is no session host here any more, so that nobody waits for one. Raises LedgerAway."""
    try:
        close_old_connections()
        SessionHost.objects.filter(host__name=identity.host, epoch=identity.epoch).delete()
    except DatabaseError as error:
        connection.close()
        raise LedgerAway(str(error)) from error


def _take_over(identity: Identity, kept: Collection[uuid.UUID]) -> list[Wanted] | None:
    now = timezone.now()
    with transaction.atomic():
        host = Host.objects.select_for_update().filter(name=identity.host).first()
        if host is None:
            return None
        row = SessionHost.objects.filter(host=host).first()
        if row is not None and row.place != identity.place and presence.alive(row, now=now):
            raise faults.SessionHostTaken(f"another session host beats for {identity.host}, from {row.socket}")
        SessionHost.objects.update_or_create(
            host=host,
            defaults={
                "epoch": identity.epoch, "socket": identity.socket, "place": identity.place, "heartbeat_at": now,
            },
        )  # fmt: skip
    found = []
    rows = Terminal.objects.filter(agent__host__name=identity.host, state__in=Terminal.RUNNING).select_related("agent")
    for terminal in rows:
        if terminal.pk in kept:
            found.append(_wanted(terminal))
        else:
            _settle(lifecycle.lost, terminal.pk, identity, reason="the session host was started anew")
    return found


def _wanted(row: Terminal) -> Wanted:
    return Wanted(row.pk, row.generation, row.agent.sandbox, row.columns, row.rows, row.title, row.recording, row.kind)


def _turn(identity: Identity, report: Report) -> Orders:
    orders = Orders()
    if report.beat:
        _beat(identity)
    for terminal_id, ended in report.ended.items():
        _note_end(identity, terminal_id, ended)
        orders.noted.add(terminal_id)
    for terminal_id, generation in report.spawned.items():
        _note_opened(identity, terminal_id, generation, orders)
    _note_happenings(identity, report.happened)
    _note_recordings(report.recordings)
    _compare(identity, report, orders)
    return orders


def _beat(identity: Identity) -> None:
    mine = SessionHost.objects.filter(host__name=identity.host, epoch=identity.epoch)
    if not mine.update(heartbeat_at=timezone.now()):
        raise Superseded(f"{identity.host} has another session host now")


def _note_opened(identity: Identity, terminal_id: uuid.UUID, generation: int, orders: Orders) -> None:
    try:
        row = lifecycle.opened(terminal_id, generation=generation, actor=identity.actor)
    except Fault as fault:
        # A turn may have broken off after it wrote this: then the row is live one generation on, and by nobody but us.
        row_is_ours = Terminal.objects.filter(pk=terminal_id, state=Terminal.State.LIVE, generation=generation + 1)
        if not row_is_ours.exists():
            orders.end[terminal_id] = fault.detail
            return
        orders.live[terminal_id] = generation + 1
    else:
        orders.live[terminal_id] = row.generation


def _note_happenings(identity: Identity, happened: Sequence[Happening]) -> None:
    if not happened:
        return
    with transaction.atomic():
        for happening in happened:
            actor = f"user:{happening.who}" if happening.who else identity.actor
            lifecycle.note(happening.terminal_id, what=happening.what, actor=actor, to=happening.to)


def _note_recordings(recordings: Mapping[uuid.UUID, Figures]) -> None:
    now = timezone.now()
    for terminal_id, figures in recordings.items():
        values = {"size_bytes": figures.size_bytes, "truncated": figures.truncated}
        ended = {"ended_at": now} if figures.ended else {}
        with transaction.atomic():
            if Terminal.objects.filter(pk=terminal_id).exists():
                Recording.objects.update_or_create(
                    terminal_id=terminal_id,
                    defaults=values | ended,
                    create_defaults=values | ended | {"started_at": now},
                )


def _note_end(identity: Identity, terminal_id: uuid.UUID, ended: Ended) -> None:
    current = Terminal.objects.filter(pk=terminal_id).values_list("generation", flat=True).first()
    # One further when the turn that wrote "opened" broke off before it could tell us.
    generation = ended.generation + 1 if current == ended.generation + 1 else ended.generation
    _settle(
        lifecycle.close, terminal_id, identity, reason=ended.reason, exit_code=ended.exit_code, generation=generation
    )


def _settle(verb: Callable[..., Terminal], terminal_id: uuid.UUID, identity: Identity, **how: Any) -> None:
    """Write it down; a row that has moved on or is gone makes it no news."""
    try:
        verb(terminal_id, actor=identity.actor, **how)
    except Fault as fault:
        log.info("no news of a terminal", extra={"terminal": str(terminal_id), "reason": fault.detail})


def _compare(identity: Identity, report: Report, orders: Orders) -> None:
    """The rows of this machine against what the daemon has."""
    rows = Terminal.objects.filter(agent__host__name=identity.host, state__in=Terminal.OPEN).select_related("agent")
    ours = {**report.live, **orders.live}
    wanted: set[uuid.UUID] = set()
    for row in rows:
        if row.agent.state != Agent.State.RUNNING:
            reason = f"agent {row.agent.name} is {row.agent.state}"
            _settle(lifecycle.close, row.pk, identity, reason=reason)
            orders.end[row.pk] = reason
        elif row.pk in ours and row.state in Terminal.RUNNING:
            wanted.add(row.pk)
            _note_size(row, report.sizes.get(row.pk))
            _note_watched(row, watched=row.pk in report.watched, identity=identity, orders=orders)
        elif row.state == Terminal.State.OPENING and row.pk not in report.opening | report.spawned.keys():
            orders.open.append(_wanted(row))
        elif row.state in Terminal.RUNNING:
            _settle(lifecycle.lost, row.pk, identity, reason="the session host does not have it")
    unwanted = ours.keys() - wanted - orders.end.keys()
    for row in Terminal.objects.filter(pk__in=unwanted):
        orders.end[row.pk] = row.reason or f"it is {row.state}"
    orders.end.update(dict.fromkeys(unwanted - orders.end.keys(), "its row is gone"))


def _note_watched(row: Terminal, *, watched: bool, identity: Identity, orders: Orders) -> None:
    """Live while somebody is at it, detached otherwise."""
    if watched is (row.state == Terminal.State.LIVE):
        return
    verb = lifecycle.attached if watched else lifecycle.detached
    try:
        orders.live[row.pk] = verb(row.pk, generation=row.generation, actor=identity.actor).generation
    except Fault as fault:
        log.info("no news of a terminal", extra={"terminal": str(row.pk), "reason": fault.detail})


def _note_size(row: Terminal, size: tuple[int, int] | None) -> None:
    if size is not None and size != (row.columns, row.rows):
        Terminal.objects.filter(pk=row.pk, generation=row.generation).update(columns=size[0], rows=size[1])
