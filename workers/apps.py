from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        from events import bus
        from workers import forks, pool, presence, routes, template_files

        bus.subscribe(routes.dispatch)
        presence.connect()
        template_files.connect()
        pool.connect()
        forks.connect()
