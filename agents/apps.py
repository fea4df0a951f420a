from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents import visibility
        from events import policy as live_policy

        live_policy.register("agent", visibility.may_view)
