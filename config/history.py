"""What hosts and berths used over time, for the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import visibility
from resources import hosts, samples
from resources.models import Host


class Window(serializers.Serializer[Any]):
    """How far back."""

    minutes = serializers.IntegerField(default=60, min_value=1, max_value=7 * 24 * 60)


class PointSerializer(serializers.Serializer[samples.Point]):
    """What was used at a moment; null where it cannot be told."""

    at = serializers.DateTimeField()
    cpu_millis = serializers.IntegerField(
        allow_null=True, help_text="Thousandths of a core, on average since the point before."
    )
    memory_mb = serializers.IntegerField(allow_null=True)
    disk_mb = serializers.IntegerField(allow_null=True)
    processes = serializers.IntegerField(allow_null=True)


class UsageSerializer(serializers.Serializer[Any]):
    """At most 240 points, oldest first."""

    points = PointSerializer(many=True)


class HostUsageView(APIView):
    """What a host used over time."""

    permission_classes = (*APIView.permission_classes, permissions.IsAdminUser)

    @extend_schema(parameters=[Window], responses=UsageSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        """Processor, memory, disk and processes of the machine, as sampled every MOORAGE_SAMPLE_S seconds."""
        since = _since(request)
        host = Host.objects.filter(pk=id).first()
        if host is None:
            raise hosts.HostNotFound(f"there is no host {id}")
        return _answer(samples.history(host_id=host.pk, since=since))


class AgentUsageView(APIView):
    """What an agent's berth used over time."""

    @extend_schema(parameters=[Window], responses=UsageSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        """Processor, memory, disk and processes of the berth, as sampled every MOORAGE_SAMPLE_S seconds."""
        since = _since(request)
        agent = visibility.agent(request.user, id)
        return _answer(samples.history(owner=agent.owner, since=since))


def _since(request: Request) -> datetime:
    window = Window(data=request.query_params)
    window.is_valid(raise_exception=True)
    return timezone.now() - timedelta(minutes=window.validated_data["minutes"])


def _answer(points: Sequence[samples.Point]) -> Response:
    return Response(UsageSerializer({"points": points}).data)
