"""The console: Django's admin with our own site class, so that its index shows what needs attention first."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    """Uses :class:`config.console.site.ConsoleSite` as the default admin site."""

    default_site = "config.console.site.ConsoleSite"


class WiringConfig(AppConfig):
    """Makes the management commands of this room known, and our Celery application the current one."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        from config import celery

        celery.app.set_current()
