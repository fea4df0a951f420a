"""The warm pool of the host that a worker is started for: cleared when the worker stops."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from agents import warm_pool
from workers import presence

log = logging.getLogger(__name__)


def connect() -> None:
    """Hook into Celery's worker signals. Twice is fine."""
    signals.worker_shutdown.connect(_stopped, dispatch_uid="moorage.pool.stopped")


def _stopped(sender: Any, **_signal: Any) -> None:
    """The last tasks have ended. What cannot be cleared now runs out, and the orphan sweep finds it."""
    queues = [queue.name for queue in sender.app.amqp.queues.consume_from.values()]
    if not settings.WARM_POOL or f"host.{settings.HOST_NAME}" not in queues:
        return
    try:
        warm_pool.drain(host_name=settings.HOST_NAME, actor=presence.name())
    except DatabaseTrouble as error:
        log.warning("the warm pool is not cleared", extra={"host": settings.HOST_NAME, "error": str(error)})
    finally:
        connection.close()
