"""The ASGI application of a web process of its own, for tests: the real one, with rules for berths.

The database and Redis are those of the test that starts it, by environment.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["MOORAGE_TEST_DATABASE"]
settings.ROOT_URLCONF = "tests.events.urls"

from config.asgi import application  # noqa: E402 - after the settings are what the test wants
from tests.events import berths  # noqa: E402

berths.register()

__all__ = ["application"]
