"""Following one operation to its end."""

from __future__ import annotations

import time
from typing import Any

from cli.client import Api
from cli.failures import OK, OPERATION_FAILED, Refused, Unreachable
from cli.progress import TERMINAL, mapping
from cli.screens import Screen
from cli.wakeups import Wakeups

TICK_S = 1.0
LOOK_AGAIN_S = 15.0  # also without a wake-up
TOO_MANY_REQUESTS = 429


def watch(api: Api, operation_id: str, *, screen: Screen, patience_s: float) -> int:
    """Show the operation until it ends; the exit code says how it did.

    A server that goes away is waited for: ``patience_s`` seconds, then :class:`Unreachable` is raised.
    """
    wakeups = Wakeups(api, operation_id)
    try:
        operation = _look(api, operation_id, screen)
        if operation.get("status") not in TERMINAL:
            wakeups.start()
        operation = _follow(api, operation, operation_id, screen=screen, wakeups=wakeups, patience_s=patience_s)
        screen.finish(operation)
    finally:
        wakeups.close()
        screen.leave()
    return OK if operation.get("status") == "succeeded" else OPERATION_FAILED


def _follow(
    api: Api,
    operation: dict[str, Any],
    operation_id: str,
    *,
    screen: Screen,
    wakeups: Wakeups,
    patience_s: float,
) -> dict[str, Any]:
    looked_at, away_since = time.monotonic(), None
    while operation.get("status") not in TERMINAL:
        news = wakeups.wait(at_most_s=TICK_S)
        if not news and away_since is None and time.monotonic() - looked_at < LOOK_AGAIN_S:
            screen.tick()
            continue
        try:
            operation = _look(api, operation_id, screen)
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.status != TOO_MANY_REQUESTS:
                raise
            now = time.monotonic()
            if away_since is None:
                away_since = now
                screen.note(f"The server is away ({error.lines[0]}). Trying again for {patience_s:.0f} s.")
            if now - away_since >= patience_s:
                raise
            continue
        if away_since is not None:
            screen.note("The server is back.")
        looked_at, away_since = time.monotonic(), None
    return operation


def _look(api: Api, operation_id: str, screen: Screen) -> dict[str, Any]:
    """The operation first, its steps after: a step that ends in between is shown early, never missed."""
    operation = mapping(api.get(f"operations/{operation_id}/"))
    if "status" not in operation:
        raise Unreachable("The server's answer is not an operation. Is this the URL of Moorage?")
    screen.show(operation, list(api.rows(f"operations/{operation_id}/steps/")))
    return operation
