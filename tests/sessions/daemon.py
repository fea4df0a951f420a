"""The real ``manage.py sessionhost`` in a process of its own, on the database of the test that starts it."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["MOORAGE_TEST_DATABASE"]
settings.DATABASES["default"]["OPTIONS"]["timeout"] = 0.2  # type: ignore[index] # a locked database is away soon, not in 20 s

import django  # noqa: E402 - after the settings are what the test wants
from django.core.management import call_command  # noqa: E402

if __name__ == "__main__":
    django.setup()
    call_command("sessionhost", *sys.argv[1:])
