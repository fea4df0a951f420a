from django.apps import AppConfig


class TemplatesConfig(AppConfig):
    name = "templates_app"
    verbose_name = "Templates"

    def ready(self) -> None:
        from events import policy as live_policy

        # Everyone with an account may read templates, and so what happens to them.
        live_policy.register("template", _anyone)
        live_policy.register("library", _anyone)


def _anyone(user: object, subject_id: str) -> bool:  # may_view of live topics
    return True
