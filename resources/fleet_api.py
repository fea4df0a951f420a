"""The HTTP face of the fleet breaker."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from resources import fleet


class FleetSerializer(serializers.Serializer[Any]):
    """Whether anything new begins: no berth is admitted and no stage starts while the fleet is paused."""

    paused = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    by = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class WhySerializer(serializers.Serializer[Any]):
    """Why, in a few words."""

    reason = serializers.CharField(max_length=300, allow_blank=True, default="")


class FleetView(APIView):
    """The fleet breaker: everybody may read it, staff moves it."""

    @extend_schema(responses=FleetSerializer)
    def get(self, request: Request) -> Response:
        """Whether the fleet is paused, since when, by whom and why."""
        return _fleet()


class FleetPauseView(APIView):
    """Pausing the fleet."""

    permission_classes = (*APIView.permission_classes, permissions.IsAdminUser)

    @extend_schema(request=WhySerializer, responses=FleetSerializer)
    def post(self, request: Request) -> Response:
        """Begin nothing new anywhere, and set aside what runs at its next step. Again changes nothing."""
        fleet.pause(actor=f"user:{request.user}", reason=_why(request), now=timezone.now())
        return _fleet()


class FleetReleaseView(APIView):
    """Releasing the fleet."""

    permission_classes = (*APIView.permission_classes, permissions.IsAdminUser)

    @extend_schema(request=WhySerializer, responses=FleetSerializer)
    def post(self, request: Request) -> Response:
        """Let everything go on as it was. Again changes nothing."""
        fleet.release(actor=f"user:{request.user}", reason=_why(request))
        return _fleet()


def _why(request: Request) -> str:
    data = WhySerializer(data=request.data)
    data.is_valid(raise_exception=True)
    return str(data.validated_data["reason"])


def _fleet() -> Response:
    pause = fleet.paused()
    said = {"since": pause.since, "by": pause.by, "reason": pause.reason} if pause else {}
    return Response(FleetSerializer({"paused": bool(pause), "since": None, "by": None, "reason": None, **said}).data)


urlpatterns = [
    path("fleet/", FleetView.as_view(), name="fleet"),
    path("fleet/pause/", FleetPauseView.as_view(), name="fleet-pause"),
    path("fleet/release/", FleetReleaseView.as_view(), name="fleet-release"),
]
