"""The life of a terminal's row: request, opened, closed, lost.

Each door loads the row, lets the FSM decide, saves by compare-and-swap on ``generation`` and records the event, in one
transaction. The PTY itself lives in the session host, which calls ``opened`` and obeys ``closed``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from agents import admittance
from agents import lifecycle as agents_lifecycle
from agents import visibility as agents_visibility
from agents.models import Agent
from events.journal import record
from sessions import faults, presence
from sessions.host import client
from sessions.models import Terminal

MOST_PER_AGENT = 8
_FIELDS = ("state", "exit_code", "reason", "closed_at")
_ENDED = (Terminal.State.CLOSED, Terminal.State.LOST)


def request_open(
    *,
    agent_id: uuid.UUID | str,
    by: Any,
    title: str = "",
    columns: int = 80,
    rows: int = 24,
    recording: str = "",
    kind: str = Terminal.Kind.SHELL,
) -> Terminal:
    """Ask for a terminal in the berth of a running agent that the user may see: a row in ``opening``. 202 material.

    ``recording`` is what is recorded of it, the operator's choice where empty. A watch, which shows what the commands
    of the agent's work print, is there once: whoever asks for another is given it.
    The session host of the agent's machine finds the row within a second; it is told at once where we can reach it.
    Raises AgentNotFound, AgentNotRunning, TooManyTerminals and SessionHostAway before anything is written.
    """
    agents_visibility.agent(by, agent_id)
    now = timezone.now()
    with transaction.atomic():
        agent = agents_lifecycle.load(agent_id)
        if agent.state != Agent.State.RUNNING:
            raise faults.AgentNotRunning(f"agent {agent.name} is {agent.state}", pointer="/agent_id")
        of_its_kind = agent.terminals.filter(state__in=Terminal.OPEN, kind=kind)
        if kind == Terminal.Kind.WATCH:
            if (watch := of_its_kind.select_related("agent__host", "created_by").first()) is not None:
                return watch
            title = title or f"the work of {agent.name}"[:100]
        else:
            admittance.check(agent.resolved.get("spec", {}), template=agent.template, user=by)
            if of_its_kind.count() >= MOST_PER_AGENT:
                raise faults.TooManyTerminals(f"agent {agent.name} has {MOST_PER_AGENT} open terminals")
        session_host = presence.session_host_of(agent.host, now=now)
        terminal = Terminal(
            agent=agent, kind=kind, title=title, columns=columns, rows=rows, created_by=by, created_at=now,
            recording=recording or settings.TERMINAL_RECORDING,
        )  # fmt: skip
        terminal.save(force_insert=True)
        record("terminal.open_requested", terminal, actor=f"user:{by}", **snapshot(terminal))
        where, epoch = session_host.socket, session_host.epoch
        transaction.on_commit(lambda: client.nudge(where, terminal.pk, epoch=epoch), robust=True)
    return terminal


def opened(terminal_id: uuid.UUID | str, *, generation: int, actor: str) -> Terminal:
    """Its PTY runs. Raises StaleGeneration or IllegalTransition when nobody wants it any more."""
    with transaction.atomic():
        terminal = load(terminal_id, generation=generation)
        return _move(terminal, Terminal.opened, kind="terminal.opened", actor=actor, reason="")


def detached(terminal_id: uuid.UUID | str, *, generation: int, actor: str) -> Terminal:
    """The last one who was at it has left; it runs on. Raises StaleGeneration or IllegalTransition."""
    with transaction.atomic():
        terminal = load(terminal_id, generation=generation)
        return _move(terminal, Terminal.detached, kind="terminal.detached", actor=actor, reason="")


def attached(terminal_id: uuid.UUID | str, *, generation: int, actor: str) -> Terminal:
    """Somebody is at it again. Raises StaleGeneration or IllegalTransition."""
    with transaction.atomic():
        terminal = load(terminal_id, generation=generation)
        return _move(terminal, Terminal.attached, kind="terminal.attached", actor=actor, reason="")


def note(terminal_id: uuid.UUID, *, what: str, actor: str, to: str = "") -> None:
    """Record what happened at a terminal: joined, left, took, gave, asked, expires_soon. Inside a transaction."""
    record(f"terminal.{what}", f"terminal.{terminal_id}", actor=actor, **({"to": to} if to else {}))


def close(
    terminal_id: uuid.UUID | str,
    *,
    actor: str,
    reason: str,
    exit_code: int | None = None,
    generation: int | None = None,
) -> Terminal:
    """It is over, or is to be: the session host ends a PTY whose row is closed. Closing what has ended changes nothing.

    ``exit_code`` is what the program said, None when it was ended.
    """
    with transaction.atomic():
        terminal = load(terminal_id, generation=None)
        if terminal.state in _ENDED:
            return terminal
        _check(terminal, generation)
        return _move(
            terminal,
            lambda row: row.closed(reason[:300], exit_code),
            kind="terminal.closed",
            actor=actor,
            reason=reason,
        )


def lost(terminal_id: uuid.UUID | str, *, actor: str, reason: str, generation: int | None = None) -> Terminal:
    """Nobody owns its PTY any more, and how it ended is unknown. For what has ended nothing changes."""
    with transaction.atomic():
        terminal = load(terminal_id, generation=None)
        if terminal.state in _ENDED:
            return terminal
        _check(terminal, generation)
        return _move(terminal, lambda row: row.lost(reason[:300]), kind="terminal.lost", actor=actor, reason=reason)


def load(terminal_id: uuid.UUID | str, *, generation: int | None) -> Terminal:
    """The row, locked where the database locks rows, in this generation if one is given. Inside a transaction only."""
    rows = Terminal.objects.select_for_update(of=("self",)).select_related("agent__host")
    terminal = rows.filter(pk=terminal_id).first()
    if terminal is None:
        raise faults.TerminalNotFound(f"there is no terminal {terminal_id}")
    _check(terminal, generation)
    return terminal


def snapshot(terminal: Terminal) -> dict[str, Any]:
    """The state of a terminal as its events carry it."""
    return {
        "state": str(terminal.state),
        "generation": terminal.generation,
        "agent_id": str(terminal.agent_id),
        "host": terminal.agent.host.name if terminal.agent.host else None,
        "title": terminal.title,
        "columns": terminal.columns,
        "rows": terminal.rows,
        "exit_code": terminal.exit_code,
    }


def _check(terminal: Terminal, generation: int | None) -> None:
    if generation is not None and terminal.generation != generation:
        raise faults.StaleGeneration(f"terminal {terminal.pk} is at generation {terminal.generation}, not {generation}")


def _move(terminal: Terminal, step: Callable[[Terminal], None], *, kind: str, actor: str, reason: str) -> Terminal:
    now = timezone.now()
    before, generation = terminal.state, terminal.generation
    try:
        step(terminal)
    except TransitionNotAllowed:
        verb = kind.partition(".")[2]
        raise faults.IllegalTransition(f"terminal {terminal.pk} is {before}: {verb} is not possible") from None
    terminal.generation = generation + 1
    terminal.closed_at = now if terminal.state in _ENDED else None
    changed = Terminal.objects.filter(pk=terminal.pk, generation=generation).update(
        generation=terminal.generation, **{field: getattr(terminal, field) for field in _FIELDS}
    )
    if not changed:
        raise faults.StaleGeneration(f"terminal {terminal.pk} changed in between")
    record(kind, terminal, actor=actor, reason=reason, source=before, **snapshot(terminal))
    return terminal
