"""Who wears a template: the room of agents is above this one and says so itself, by registering a look-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from templates_app.changes import Change


@dataclass(frozen=True, slots=True)
class Wearer:
    """One agent that is not gone. ``differences`` are those that it lacks of the template as it is now."""

    id: str
    name: str
    state: str
    version: str
    outdated: bool
    differences: tuple[Change, ...]


LookUp = Callable[[str, Any], tuple[Wearer, ...]]  # (template, user) → those that this user may see
_look_up: list[LookUp] = []


def register(look_up: LookUp) -> None:
    """Have this function answer. Called from an app's ``ready``; twice is fine."""
    _look_up[:] = [look_up]


def of(template: str, *, user: Any) -> tuple[Wearer, ...]:
    """The agents of a template that a user may see; those that are behind come first."""
    found = [wearer for look_up in _look_up for wearer in look_up(template, user)]
    return tuple(sorted(found, key=lambda wearer: (not wearer.outdated, wearer.name)))
