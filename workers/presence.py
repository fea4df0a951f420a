"""A worker is started for a host: it registers it, beats for it, and keeps its database connections fresh."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import close_old_connections, connection
from django.utils import timezone

from resources import hosts
from resources.egress import probe
from workers import housekeeping, listening

log = logging.getLogger(__name__)
_stop = threading.Event()


def name() -> str:
    """How this worker signs what it does."""
    return f"worker:{settings.HOST_NAME}"


def connect() -> None:
    """Hook into Celery's worker signals. Twice is fine."""
    signals.worker_ready.connect(_started, dispatch_uid="moorage.presence.started")
    signals.worker_shutting_down.connect(_stopping, dispatch_uid="moorage.presence.stopping")
    signals.task_prerun.connect(_fresh_connections, dispatch_uid="moorage.presence.connections")


def _started(sender: Any, **_signal: Any) -> None:
    if not any(queue.name == f"host.{settings.HOST_NAME}" for queue in sender.task_consumer.queues):
        return  # it lends nothing of this machine
    threading.Thread(target=_beat, name="host-presence", daemon=True).start()
    follow = partial(listening.listen, worker=name(), stop=_stop)
    threading.Thread(target=follow, name="engine-events", daemon=True).start()
    chores = housekeeping.of_host(settings.HOST_NAME, worker=name())
    look = partial(housekeeping.keep, chores, stop=_stop, period_s=settings.SWEEP_S)
    threading.Thread(target=look, name="host-chores", daemon=True).start()


def _stopping(**_signal: Any) -> None:
    _stop.set()


def _fresh_connections(**_signal: Any) -> None:
    close_old_connections()  # a reused connection may belong to a database server that was restarted


class Facts:
    """What this machine is like, looked at in a thread of its own: a slow look must not hold up a heartbeat."""

    def __init__(self, look: Callable[[], dict[str, Any]], *, every_s: float, stop: threading.Event) -> None:
        self._look, self._every_s, self._stop = look, every_s, stop
        self.latest = look()
        self.thread = threading.Thread(target=self._follow, name="host-facts", daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.latest = self._look()
            except (DatabaseTrouble, OSError) as error:
                log.warning("host cannot be looked at", extra={"host": settings.HOST_NAME, "error": str(error)})
                connection.close()
            except Exception:
                # The last resort: facts that stay as they were forever look like those of a healthy host.
                log.exception("looking at the host broke", extra={"host": settings.HOST_NAME})
                connection.close()
        connection.close()


def _look(workspaces: Path) -> dict[str, Any]:
    return {**hosts.own_facts(workspaces=workspaces), "egress": asdict(probe.probe(settings.HOST_NAME))}


def _period_s() -> float:
    return min(hosts.BEAT_S, settings.HOST_TTL_S / 3)


def _beat() -> None:
    workspaces = Path(settings.DATA) / "workspaces"
    workspaces.mkdir(mode=0o711, parents=True, exist_ok=True)
    registered, facts = False, None
    while True:
        try:
            facts = facts or Facts(partial(_look, workspaces), every_s=_period_s(), stop=_stop)
            if registered:
                registered = hosts.beat(name=settings.HOST_NAME, facts=facts.latest, now=timezone.now())
            if not registered:
                capacity = hosts.own_capacity(workspaces=workspaces)
                hosts.register(name=settings.HOST_NAME, capacity=capacity, facts=facts.latest, now=timezone.now())
                registered = True
        except (DatabaseTrouble, OSError) as error:
            log.warning("host heartbeat failed", extra={"host": settings.HOST_NAME, "error": str(error)})
            connection.close()
        except Exception:
            # The last resort: a host that goes silent for a mistake of ours costs all its berths.
            log.exception("host heartbeat broke", extra={"host": settings.HOST_NAME})
            connection.close()
        if _stop.wait(_period_s()):
            break
    connection.close()
