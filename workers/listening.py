"""The host worker listens to its container engine: a dead berth is shown within seconds, not at the next sweep."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.utils import timezone

from agents import upkeep
from resources import engine_events
from resources.engine_events import Died, OutOfMemory

log = logging.getLogger(__name__)


def listen(*, worker: str, stop: threading.Event) -> None:
    """Follow the engine until ``stop``; what the database does not take now, the sweep finds."""
    engine_events.follow(
        on_event=lambda event: _tell(lambda: _happened(event, worker=worker)),
        on_silence=lambda words: _tell(lambda: _silent(words)),
        on_answer=lambda: _tell(lambda: _back(worker=worker)),
        stop=stop,
    )


def _happened(event: Died | OutOfMemory, *, worker: str) -> None:
    if isinstance(event, OutOfMemory):
        upkeep.out_of_memory(host=settings.HOST_NAME, name=event.name, worker=worker)
        return
    upkeep.sandbox_died(
        host=settings.HOST_NAME,
        name=event.name,
        cause=event.cause,
        removed=event.removed,
        now=timezone.now(),
        worker=worker,
    )


def _silent(words: str) -> None:
    touched = upkeep.engine_silent(host=settings.HOST_NAME, now=timezone.now(), words=words)
    if touched:
        log.warning("container engine is gone", extra={"agents": touched, "reason": words})


def _back(*, worker: str) -> None:
    log.info("container engine answers again")
    upkeep.inspect(host=settings.HOST_NAME, now=timezone.now(), worker=worker)


def _tell(do: Callable[[], Any]) -> None:
    try:
        do()
    except DatabaseTrouble as error:
        log.warning("a hint of the engine was lost", extra={"error": str(error)})
    finally:
        connection.close()  # hints are rare: no connection is kept for them
