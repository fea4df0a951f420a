"""A sandbox in which no command begins while the fleet is paused; what runs there goes on to its end."""

from __future__ import annotations

from collections.abc import Callable

from resources import fleet
from resources.sandboxes.protocol import Command, Outcome
from resources.sandboxes.wrapped import Wrapped


class Halting(Wrapped):
    """Everything is the sandbox's own, but that ``run`` raises FleetPaused."""

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        fleet.check()
        return self._sandbox.run(command, cancelled=cancelled)
