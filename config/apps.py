"""The console: Django's admin with our own site class, so that its index shows what needs attention first."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    """Uses :class:`config.console.site.ConsoleSite` as the default admin site."""

    default_site = "config.console.site.ConsoleSite"
