"""Who may see and use a terminal: whoever may see its agent."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from agents import visibility as agents_visibility
from sessions.faults import TerminalNotFound
from sessions.models import Terminal


def terminals(user: Any) -> QuerySet[Terminal]:
    """The terminals in berths of agents that a user may see."""
    return Terminal.objects.filter(agent__in=agents_visibility.agents(user)).select_related("agent__host")


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


def may_type(user: Any, terminal: Terminal) -> bool:
    """Whether a user may take control of a terminal: whoever asked for it or for its agent, and staff."""
    return bool(user.is_staff) or user.pk in (terminal.created_by_id, terminal.agent.created_by_id)


def of_those(user: Any, terminal_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these terminals a user may see now."""
    return set(terminals(user).filter(pk__in=terminal_ids).values_list("pk", flat=True))


def may_view(user: Any, terminal_id: str) -> bool:
    """For the live stream."""
    try:
        return terminals(user).filter(pk=uuid.UUID(terminal_id)).exists()
    except ValueError:
        return False
