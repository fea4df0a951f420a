"""The worker that runs the cluster's small tasks also looks after the template files of its machine."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import signals
from django.conf import settings
from django.db import connection

from templates_app import watching
from workers.routes import CONTROL

log = logging.getLogger(__name__)
_stop = threading.Event()


def connect() -> None:
    """Hook into Celery's worker signals. Twice is fine."""
    signals.worker_ready.connect(_started, dispatch_uid="moorage.template_files.started")
    signals.worker_shutting_down.connect(_stopping, dispatch_uid="moorage.template_files.stopping")


def _started(sender: Any, **_signal: Any) -> None:
    if any(queue.name == CONTROL for queue in sender.task_consumer.queues):
        threading.Thread(target=_watch, name="template-files", daemon=True).start()


def _stopping(**_signal: Any) -> None:
    _stop.set()


def _watch() -> None:
    try:
        watching.watch(_stop, host=settings.HOST_NAME, directories=settings.TEMPLATE_DIRECTORIES)
    finally:
        connection.close()
