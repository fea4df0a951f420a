"""The HTTP face of terminals: what is open, where, and whose; opening, closing and a look at one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from sessions import lifecycle, peek, recordings, sharing, visibility
from sessions.host.recorder import MEDIA_TYPE
from sessions.models import Terminal, TerminalGuest


class TerminalSerializer(serializers.ModelSerializer[Terminal]):
    """One terminal session. State is read-only everywhere."""

    host = serializers.CharField(source="agent.host.name", read_only=True, default=None)
    owner = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = Terminal
        fields = (
            "id", "agent_id", "kind", "host", "owner", "title", "state", "generation", "columns", "rows", "recording",
            "exit_code", "reason", "created_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class GuestSerializer(serializers.ModelSerializer[TerminalGuest]):
    """Somebody with whom a terminal is shared."""

    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = TerminalGuest
        fields = ("user", "may_type", "created_at")
        read_only_fields = fields


class ShareSerializer(serializers.Serializer[TerminalGuest]):
    """With whom a terminal is to be shared."""

    user = serializers.CharField(max_length=150)
    may_type = serializers.BooleanField(required=False, default=False)


class HeirSerializer(serializers.Serializer[Terminal]):
    """Whose a terminal is to be."""

    user = serializers.CharField(max_length=150)


class OpenSerializer(serializers.Serializer[Terminal]):
    """What a request for a terminal holds."""

    agent_id = serializers.UUIDField()
    kind = serializers.ChoiceField(Terminal.Kind.choices, required=False, default=Terminal.Kind.SHELL)
    title = serializers.CharField(max_length=100, required=False, allow_blank=True)
    columns = serializers.IntegerField(min_value=1, max_value=1000, required=False, default=80)
    rows = serializers.IntegerField(min_value=1, max_value=1000, required=False, default=24)
    recording = serializers.ChoiceField(Terminal.Recorded.choices, required=False)


class TerminalViewSet(viewsets.GenericViewSet[Terminal]):
    """Terminals in the berths of agents that the caller may see."""

    serializer_class = TerminalSerializer
    queryset = Terminal.objects.none()

    def get_queryset(self) -> Any:
        return visibility.terminals(self.request.user)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Problem documents are JSON also for a caller that accepts another type only."""
        if getattr(self, "action", "") in {"snapshot", "recording"}:
            return JSONRenderer(), JSONRenderer.media_type
        return super().perform_content_negotiation(request, force)

    def list(self, request: Request) -> Response:
        """Terminals, newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One terminal."""
        return Response(self.get_serializer(visibility.terminal(request.user, pk)).data)

    @extend_schema(request=OpenSerializer, responses={202: TerminalSerializer})
    def create(self, request: Request) -> Response:
        """Ask for a terminal in the berth of a running agent: a shell, or the one that shows its work (`watch`)."""
        data = OpenSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        terminal = lifecycle.request_open(by=request.user, **data.validated_data)
        headers = {"Location": f"{request.path}{terminal.pk}/"}
        return Response(self.get_serializer(terminal).data, status.HTTP_202_ACCEPTED, headers=headers)

    @extend_schema(request=None, responses={200: TerminalSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Close it, as its owner: its programs are ended within a second or so. Closing again changes nothing."""
        found = visibility.owned(request.user, pk)
        terminal = lifecycle.close(found.pk, actor=f"user:{request.user}", reason="asked by API")
        return Response(self.get_serializer(terminal).data)

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    @action(detail=True, pagination_class=None)
    def snapshot(self, request: Request, pk: str) -> HttpResponse:
        """Its last output as plain text, without escape sequences and controls."""
        text = peek.snapshot(visibility.terminal(request.user, pk))
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})

    @extend_schema(responses={(200, MEDIA_TYPE): OpenApiTypes.STR})
    @action(detail=True, pagination_class=None)
    def recording(self, request: Request, pk: str) -> HttpResponse:
        """What was recorded of it, as asciicast v3; of a terminal that is open, what there is until now."""
        found = visibility.terminal(request.user, pk)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{found.pk}.cast"',
        }
        return HttpResponse(recordings.read(found), content_type=MEDIA_TYPE, headers=headers)

    @extend_schema(responses={200: GuestSerializer(many=True)})
    @action(detail=True, pagination_class=None, filter_backends=[])
    def share(self, request: Request, pk: str) -> Response:
        """With whom it is shared."""
        return Response(
            GuestSerializer(visibility.terminal(request.user, pk).guests.select_related("user"), many=True).data
        )

    @extend_schema(request=ShareSerializer, responses={200: GuestSerializer})
    @share.mapping.post
    def let_in(self, request: Request, pk: str) -> Response:
        """Let somebody watch it, or also type into it. Doing so again changes what was granted."""
        data = ShareSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        return Response(GuestSerializer(sharing.share(pk, by=request.user, **data.validated_data)).data)

    @extend_schema(
        request=None, responses={204: None}, parameters=[OpenApiParameter("user", str, OpenApiParameter.PATH)]
    )
    @action(detail=True, methods=["delete"], url_path="share/(?P<user>[^/]+)")
    def unshare(self, request: Request, pk: str, user: str) -> Response:
        """Take it back: they are cut off within a second. Guests may take themselves off."""
        sharing.unshare(pk, user=user, by=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=HeirSerializer, responses={200: TerminalSerializer})
    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request: Request, pk: str) -> Response:
        """Make it somebody else's: they own it from now on, whoever had it does not."""
        data = HeirSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        terminal = sharing.hand_over(pk, by=request.user, **data.validated_data)
        return Response(self.get_serializer(terminal).data)


router = SimpleRouter()
router.register("sessions", TerminalViewSet, basename="terminal")
urlpatterns = router.urls
