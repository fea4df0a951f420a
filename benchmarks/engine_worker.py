"""The worker under the engine benchmarks: the real engine, routes and berths; the stages' own work left out."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("measured")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("benchmarks.engine_tasks", "workers.tasks.agents", "workers.tasks.cleanup")
