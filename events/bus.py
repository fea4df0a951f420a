"""The bus: handlers of this process that want to know what was committed.

A handler gets an :class:`~events.recorded.Recorded` after the transaction that recorded it. It must be idempotent:
the outbox sweep calls it again for whatever it did not take.
"""

from __future__ import annotations

from collections.abc import Callable

from events.recorded import Recorded

Handler = Callable[[Recorded], None]
_handlers: list[Handler] = []


def subscribe(handler: Handler) -> None:
    """Have ``handler`` called for each event. Subscribing the same handler twice changes nothing."""
    if handler not in _handlers:
        _handlers.append(handler)


def handlers() -> tuple[Handler, ...]:
    """All handlers, in order of subscription."""
    return tuple(_handlers)
