"""Whoever asked for a terminal and waits until it is live here, or until it is known that it will not be."""

from __future__ import annotations

import asyncio
import uuid

from sessions.host.wire import Problem, Refused


class Waiting:
    """Answers all who wait for a terminal at once."""

    def __init__(self) -> None:
        self._waiting: dict[uuid.UUID, set[asyncio.Future[None]]] = {}

    async def wait(self, terminal_id: uuid.UUID, *, patience_s: float) -> None:
        """Returns once it is live. Raises Refused when it will not be, or is not in time."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(terminal_id, set()).add(waiting)
        try:
            async with asyncio.timeout(patience_s):
                await waiting
        except TimeoutError:
            raise Refused(Problem.NOT_OPEN, f"terminal {terminal_id} did not open within {patience_s:.0f} s") from None
        finally:
            others = self._waiting.get(terminal_id, set())
            others.discard(waiting)
            if not others:
                self._waiting.pop(terminal_id, None)

    def answer(self, terminal_id: uuid.UUID, refused: Refused | None = None) -> None:
        """It is live; or ``refused`` says why it will not be."""
        for waiting in self._waiting.pop(terminal_id, set()):
            if waiting.done():
                continue
            if refused is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(refused)
                waiting.exception()  # whoever waited may have left: that is no error of ours
