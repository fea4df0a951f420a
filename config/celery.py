"""The Celery application of the workers."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # a polite kill lets running stages end, then puts them back

app = Celery("moorage")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = tuple(f"workers.tasks.{queue}" for queue in ("coding", "agents", "forges", "cleanup"))
