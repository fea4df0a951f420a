"""The ASGI application of a web process of its own, for browser tests: the real one, on the test's database."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["MOORAGE_TEST_DATABASE"]

from config.asgi import application  # noqa: E402 - after the settings are what the test wants

__all__ = ["application"]
