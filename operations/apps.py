from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = "Operations"

    def ready(self) -> None:
        from events import policy as live_policy
        from events import sources
        from operations import policy, step_logs
        from operations.coding import retention
        from resources import traces

        live_policy.register("operation", policy.may_view_operation)
        live_policy.register("project", policy.may_view_project)
        live_policy.register("log", policy.may_view_log)
        sources.register("log", step_logs.LogSource())
        live_policy.register("queue", policy.may_view_figures)
        live_policy.register("metrics", policy.may_view_hosts)
        traces.register("kept work", traces.Source(retention.overdue, retention.drop_overdue))
