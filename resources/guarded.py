"""A sandbox whose commands end with ``workspace.full`` when its workspace has no room left.

An image ends by itself: the kernel refuses, and what the command made of that is told apart here. A plain directory
does not: while a command runs it is counted, and the command stopped once it is over.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from resources import workspaces
from resources.accounting import Usage
from resources.files import WorkspaceFull
from resources.models import Lease
from resources.sandboxes.protocol import Command, Outcome, Sandbox
from resources.sandboxes.wrapped import Wrapped

COUNT_EVERY_S = 1.0
_TIGHT = 0.7
_NO_SPACE = b"No space left on device"
_SHARE = 20  # counting takes at most a twentieth of the time


def guarded(sandbox: Sandbox, *, owner: str) -> Sandbox:
    """The sandbox with its workspace watched; the sandbox itself where no size was agreed."""
    lease = workspaces.lease_of(owner)
    if lease is None or not workspaces.bounds_of(lease)[1]:
        return sandbox
    return Guarded(sandbox, lease=lease)


class Guarded(Wrapped):
    """Everything is the sandbox's own, but for how ``run`` ends."""

    def __init__(self, sandbox: Sandbox, *, lease: Lease) -> None:
        super().__init__(sandbox)
        self._kind, self._limit_mb = workspaces.bounds_of(lease)
        self._place = workspaces.place_of(lease.key)

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol. Raises WorkspaceFull for a command that ended for want of room."""
        if self._kind is workspaces.Kind.IMAGE:
            outcome = self._sandbox.run(command, cancelled=cancelled)
            if not (outcome.ok or outcome.cancelled):
                self._raise_if_over(_as_told(outcome, self._count()))
            return outcome
        watch = _Watch(self._count)
        outcome = self._sandbox.run(command, cancelled=lambda: watch.over() or (cancelled is not None and cancelled()))
        self._raise_if_over(watch.last if outcome.cancelled else self._count())
        return outcome

    def _count(self) -> Usage:
        try:
            return workspaces.usage(self._place, kind=self._kind, limit_mb=self._limit_mb)
        except FileNotFoundError:
            return Usage(0, 0)  # taken away meanwhile: the sandbox itself says that it is gone

    def _raise_if_over(self, counted: Usage) -> None:
        if counted.over:
            raise WorkspaceFull(
                f"The command had no room: {counted.over}.",
                workspace=self._place.name, used_mb=counted.used_mb, files=counted.files,
            )  # fmt: skip


def _as_told(outcome: Outcome, counted: Usage) -> Usage:
    """A program that got ENOSPC often gives back what it wrote: then its own words count, where it is tight indeed."""
    if not counted.over and counted.share > _TIGHT and _NO_SPACE in outcome.stderr + outcome.stdout:
        return dataclasses.replace(counted, over="too little room was left in the workspace")
    return counted


class _Watch:
    """Counts now and then: seldom where counting takes long."""

    def __init__(self, count: Callable[[], Usage]) -> None:
        self._count = count
        self._next = 0.0
        self.last = Usage(0, 0)

    def over(self) -> bool:
        now = time.monotonic()
        if now >= self._next and not self.last.over:
            self.last = self._count()
            done = time.monotonic()
            self._next = done + max(COUNT_EVERY_S, _SHARE * (done - now))
        return bool(self.last.over)
