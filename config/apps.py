"""The console: Django's admin with our own site class, so that its index shows what needs attention first."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.backends.signals import connection_created


class ConsoleConfig(AdminConfig):
    """Uses :class:`config.console.site.ConsoleSite` as the default admin site."""

    default_site = "config.console.site.ConsoleSite"


class WiringConfig(AppConfig):
    """Makes the management commands of this room known, our Celery application the current one, and SQLite private."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        from config import celery, private_database

        celery.app.set_current()
        connection_created.connect(private_database.keep_private)
