from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents import outfit_changes, visibility
        from events import policy as live_policy
        from templates_app import wearers

        live_policy.register("agent", visibility.may_view)
        wearers.register(outfit_changes.wearers)
