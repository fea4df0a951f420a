"""Who may see and use a terminal: whoever may see its agent, and those whom its owner let in."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from agents import visibility as agents_visibility
from sessions.faults import NotTheOwner, TerminalNotFound
from sessions.models import Terminal, TerminalGuest


def terminals(user: Any) -> QuerySet[Terminal]:
    """The terminals in berths of agents that a user may see, and those that are shared with them."""
    seen = Q(agent__in=agents_visibility.agents(user))
    if user.is_authenticated:
        seen |= Q(pk__in=TerminalGuest.objects.filter(user=user).values("terminal"))
    return Terminal.objects.filter(seen).select_related("agent__host", "created_by")


def terminal(user: Any, terminal_id: uuid.UUID | str) -> Terminal:
    """One of them, or TerminalNotFound: whether it exists is nobody else's business."""
    try:
        key = uuid.UUID(str(terminal_id))
    except ValueError:
        raise TerminalNotFound(f"{terminal_id!r} is not an id") from None
    found = terminals(user).filter(pk=key).first()
    if found is None:
        raise TerminalNotFound(f"there is no terminal {terminal_id}")
    return found


def owned(user: Any, terminal_id: uuid.UUID | str) -> Terminal:
    """One that the user may close, share and hand over. Raises TerminalNotFound, or NotTheOwner for a guest."""
    found = terminal(user, terminal_id)
    check_owner(user, found)
    return found


def check_owner(user: Any, terminal: Terminal) -> None:
    """Raises NotTheOwner unless the user decides over the terminal."""
    if not owns(user, terminal):
        raise NotTheOwner("only its owner, the owner of its agent and staff may do that")


def owns(user: Any, terminal: Terminal) -> bool:
    """Whether a user decides over a terminal: whoever it belongs to, or its agent, and staff."""
    return bool(user.is_staff) or user.pk in (terminal.created_by_id, terminal.agent.created_by_id)


def may_type(user: Any, terminal: Terminal) -> bool:
    """Whether a user may take control of a terminal: its owners, and guests who were granted it. Of a watch nobody."""
    if terminal.kind == Terminal.Kind.WATCH:
        return False
    return owns(user, terminal) or terminal.guests.filter(user=user, may_type=True).exists()


def rights_to(user: Any, terminal_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, bool]:
    """Of these terminals, those that a user may see now, each with whether they may type."""
    granted = TerminalGuest.objects.filter(terminal=OuterRef("pk"), user=user, may_type=True)
    found = terminals(user).filter(pk__in=terminal_ids).annotate(granted=Exists(granted))
    return {each.pk: each.kind != Terminal.Kind.WATCH and (owns(user, each) or each.granted) for each in found}


def may_view(user: Any, terminal_id: str) -> bool:
    """For the live stream."""
    try:
        return terminals(user).filter(pk=uuid.UUID(terminal_id)).exists()
    except ValueError:
        return False
