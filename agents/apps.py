from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from agents import left_leases, outfit_changes, visibility
        from events import policy as live_policy
        from resources import traces
        from templates_app import wearers

        live_policy.register("agent", visibility.may_view)
        wearers.register(outfit_changes.wearers)
        traces.register("lease", traces.Source(left_leases.left, left_leases.give_back))
