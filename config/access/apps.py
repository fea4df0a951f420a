from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "config.access"
    label = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        from config.access import rights

        rights.watch()
