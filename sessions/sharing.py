"""Letting others in: guests who watch or type, and a terminal that changes its owner.

Each door loads the row and decides before it writes, and records what happened, in one transaction. Whoever is at the
terminal notices within a second (:mod:`sessions.consumers` asks for everybody's rights so often).
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from events.journal import record
from sessions import faults, visibility
from sessions.lifecycle import load
from sessions.models import Terminal, TerminalGuest


def share(terminal_id: uuid.UUID | str, *, user: str, may_type: bool, by: Any) -> TerminalGuest:
    """Let somebody in, to watch or also to type; granting anew changes what was granted.

    Raises TerminalNotFound, NotTheOwner, TerminalNotOpen and GuestNotFound.
    """
    with transaction.atomic():
        terminal = _open_one(terminal_id, by=by)
        invited = _somebody(user)
        guest, made = TerminalGuest.objects.get_or_create(
            terminal=terminal, user=invited, defaults={"may_type": may_type, "created_at": timezone.now()}
        )
        if not made and guest.may_type == may_type:
            return guest
        guest.may_type = may_type
        guest.save(update_fields=["may_type"])
        record("terminal.shared", terminal, actor=f"user:{by}", guest=str(invited), may_type=may_type)
    return guest


def unshare(terminal_id: uuid.UUID | str, *, user: str, by: Any) -> None:
    """Take it back; guests may take themselves off. Raises TerminalNotFound, NotTheOwner, GuestNotFound."""
    with transaction.atomic():
        terminal = load(visibility.terminal(by, terminal_id).pk, generation=None)
        if by.username != user:
            visibility.check_owner(by, terminal)
        gone, _ = TerminalGuest.objects.filter(terminal=terminal, user__username=user).delete()
        if not gone:
            raise faults.GuestNotFound(f"the terminal is not shared with {user!r}", pointer="/user")
        record("terminal.unshared", terminal, actor=f"user:{by}", guest=user)


def hand_over(terminal_id: uuid.UUID | str, *, user: str, by: Any) -> Terminal:
    """The terminal belongs to somebody else from now on, who can see it also where they could not see its agent.

    Whoever had it keeps what their right to the agent gives them. Raises what ``share`` raises.
    """
    with transaction.atomic():
        terminal = _open_one(terminal_id, by=by)
        heir, former = _somebody(user), terminal.created_by
        if terminal.created_by_id == heir.pk:
            return terminal
        terminal.created_by = heir
        terminal.save(update_fields=["created_by"])
        terminal.guests.filter(user=former).delete()
        TerminalGuest.objects.update_or_create(
            terminal=terminal, user=heir, defaults={"may_type": True},
            create_defaults={"may_type": True, "created_at": timezone.now()},
        )  # fmt: skip
        record("terminal.handed_over", terminal, actor=f"user:{by}", to=str(heir), former=str(former or ""))
    return terminal


def _open_one(terminal_id: uuid.UUID | str, *, by: Any) -> Terminal:
    terminal = load(visibility.terminal(by, terminal_id).pk, generation=None)
    visibility.check_owner(by, terminal)
    if terminal.state not in Terminal.OPEN:
        raise faults.TerminalNotOpen(f"the terminal is {terminal.state}: {terminal.reason}")
    return terminal


def _somebody(name: str) -> Any:
    found = get_user_model().objects.filter(username=name, is_active=True).first()
    if found is None:
        raise faults.GuestNotFound(f"there is no active user {name!r}", pointer="/user")
    return found
