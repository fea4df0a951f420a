"""What a host does for itself, in a thread beside its stages: how its berths are must not wait behind a long one.

Only short looks belong here. What makes or removes berths takes its turn in the host's queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.utils import timezone

from agents import measuring, upkeep
from events.faults import Fault
from resources import ports, uids

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """One look at this host, every so often. Looking twice changes nothing."""

    name: str
    every_s: float
    do: Callable[[datetime], object]


def of_host(host: str, *, worker: str) -> tuple[Chore, ...]:
    """The looks that a host's worker takes."""
    return (
        Chore("inspect sandboxes", 30, lambda now: upkeep.inspect(host=host, now=now, worker=worker)),
        Chore("measure host and berths", settings.SAMPLE_S, lambda now: measuring.sample(host=host, now=now)),
        Chore("look at squatted ports again", 120, lambda now: ports.recheck_on(host, now=now)),
        Chore("see which user ids are clean", 60, lambda now: uids.recheck_on(host, now=now)),
    )


def keep(chores: Sequence[Chore], *, stop: threading.Event, period_s: float) -> None:
    """Do what is due, until ``stop``. Whatever happens in one, the next is done, and it comes again itself."""
    due = dict.fromkeys((chore.name for chore in chores), time.monotonic())
    while not stop.wait(period_s):
        for chore in chores:
            if due[chore.name] <= time.monotonic() and not stop.is_set():
                due[chore.name] = time.monotonic() + chore.every_s
                _do(chore)
    connection.close()


def _do(chore: Chore) -> None:
    try:
        chore.do(timezone.now())
    except (DatabaseTrouble, Fault, OSError) as error:
        log.warning("chore failed; it comes again", extra={"chore": chore.name, "error": str(error)})
        connection.close()
    except Exception:
        # The last resort: a host that looks at nothing any more would show dead berths as living ones.
        log.exception("chore broke; it comes again", extra={"chore": chore.name})
        connection.close()
