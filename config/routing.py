"""The API's routes, room by room."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from config import health, history, spend

api_routes: list[URLPattern | URLResolver] = [
    path("", include("operations.api")),
    path("", include("operations.webhooks_api")),
    path("", include("agents.api")),
    path("", include("sessions.api")),
    path("", include("templates_app.api")),
    path("", include("resources.api")),
    path("", include("resources.egress.api")),
    path("", include("resources.quotas_api")),
    path("", include("resources.fleet_api")),
    path("", include("events.api")),
    path("spend/", spend.SpendView.as_view(), name="spend"),
    path("budgets/", spend.BudgetsView.as_view(), name="budgets"),
    path("health/", health.HealthView.as_view(), name="health"),
    path("queues/", health.QueuesView.as_view(), name="queues"),
    path("metrics/", health.MetricsView.as_view(), name="metrics"),
    path("hosts/<uuid:id>/usage/", history.HostUsageView.as_view(), name="host-usage"),
    path("agents/<uuid:id>/usage/", history.AgentUsageView.as_view(), name="agent-usage"),
]
