from django.apps import AppConfig


class ResourcesConfig(AppConfig):
    name = "resources"
    verbose_name = "Resources"

    def ready(self) -> None:
        from events import policy as live_policy

        live_policy.register("egress", lambda user, _grant: bool(user.is_staff))
