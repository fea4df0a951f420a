"""What one browser is told: each frame goes out in the call that brings it, where the server takes it at once.

A task that is woken for each frame would cost more than the frame. Only for a browser that does not read there is one,
and what waits for it is counted.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Outbox:
    """Binary messages for one websocket, in their order. After an error of the server's nothing more goes out."""

    def __init__(self, send: Send, *, spawn: Spawn) -> None:
        self.waiting_bytes = 0  # what the browser has not taken
        self._send, self._spawn = send, spawn
        self._waiting: deque[bytes] = deque()
        self._held_up = False

    def put(self, message: bytes) -> None:
        """One more. What goes wrong with it goes wrong in a task of ``spawn``: whoever puts it serves others too."""
        if self._held_up:
            self._waiting.append(message)
            self.waiting_bytes += len(message)
            return
        going = self._sent(message)
        try:
            waits_for = going.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this browser's alone
            self._held_up = True
            self._spawn(_raised(error))
            return
        self._held_up = True
        self._spawn(self._send_all(_rest_of(going, waits_for)))

    async def _send_all(self, begun: Awaitable[None]) -> None:
        await begun
        while self._waiting:
            message = self._waiting.popleft()
            self.waiting_bytes -= len(message)
            await self._sent(message)
        self._held_up = False

    async def _sent(self, message: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": message})


async def _raised(error: Exception) -> None:
    raise error


@types.coroutine
def _rest_of(begun: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, None, None]:
    """A coroutine that was begun outside of a task, from what it waits for on."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    yield from begun  # type: ignore[misc] # a coroutine may be gone on with here, whatever its type says
