"""A gateway's heartbeat: while it beats, what is in flight is its own to settle; afterwards it is the sweep's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from agents.gateway.faults import Malfunction
from agents.gateway.models import Pulse


class Heart:
    """Beats from the first call on, until it is stopped. ``in_thread`` does what waits for the database."""

    def __init__(self, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]], *, every_s: float) -> None:
        self.id = uuid.uuid4()
        self._in_thread, self._every_s = in_thread, every_s
        self._beating: asyncio.Task[None] | None = None

    async def beats(self) -> None:
        """Make sure that it does. Raises :class:`Malfunction` where the database is away."""
        if self._beating is None:
            await self._in_thread(self._beat)
        if self._beating is None:  # another call may have come in between
            self._beating = asyncio.ensure_future(self._go_on())

    async def stop(self) -> None:
        """No further beat. Stopping twice is fine."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._in_thread(self._beat)
            except Malfunction:  # which is in the log; what is settled late for it is believed later
                continue

    def _beat(self) -> None:
        beat(self.id, now=timezone.now())


def beat(gateway: uuid.UUID, *, now: datetime) -> None:
    """It lives."""
    Pulse.objects.update_or_create(pk=gateway, defaults={"beat_at": now})
