from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "terminals"  # django.contrib.sessions has taken "sessions"
    verbose_name = "Terminals"

    def ready(self) -> None:
        from events import policy as live_policy
        from sessions import visibility

        live_policy.register("terminal", visibility.may_view)
