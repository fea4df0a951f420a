"""The HTTP face of terminals: what is open, where, and whose."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets
from rest_framework.routers import SimpleRouter

from agents import visibility
from sessions.models import Terminal


class TerminalSerializer(serializers.ModelSerializer[Terminal]):
    """One terminal session."""

    class Meta:
        model = Terminal
        fields = (
            "id", "agent_id", "title", "state", "columns", "rows", "exit_code", "reason", "created_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class TerminalViewSet(viewsets.ReadOnlyModelViewSet[Terminal]):
    """Terminals in the berths of agents that the caller may see."""

    serializer_class = TerminalSerializer

    def get_queryset(self) -> Any:
        return Terminal.objects.filter(agent__in=visibility.agents(self.request.user))


router = SimpleRouter()
router.register("sessions", TerminalViewSet, basename="terminal")
urlpatterns = router.urls
