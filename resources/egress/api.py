"""The HTTP face of egress: what was refused, and an operator's yes. For staff."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, permissions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from events.models import Event
from resources.egress import grants
from resources.models import EgressGrant


class GrantSerializer(serializers.ModelSerializer[EgressGrant]):
    """One destination that an operator allowed."""

    destination = serializers.CharField(read_only=True)

    class Meta:
        model = EgressGrant
        fields = (
            "id", "destination", "host", "port", "template", "project_id", "granted_by", "reason", "created_at",
            "withdrawn_at", "withdrawn_by",
        )  # fmt: skip
        read_only_fields = fields


class WishSerializer(serializers.Serializer[EgressGrant]):
    """What a grant is asked with: for one template, or for one project."""

    destination = serializers.CharField(max_length=260, help_text="host, host:port or *.domain.tld")
    template = serializers.CharField(max_length=80, required=False)
    project_id = serializers.UUIDField(required=False)
    reason = serializers.CharField(max_length=300)


class WithdrawalSerializer(serializers.Serializer[EgressGrant]):
    """Why a grant ends."""

    reason = serializers.CharField(max_length=300, required=False, default="withdrawn by API")


class GrantViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[EgressGrant]):
    """Grants, newest first, withdrawn ones too."""

    queryset = EgressGrant.objects.all()
    serializer_class = GrantSerializer
    permission_classes = (*viewsets.GenericViewSet.permission_classes, permissions.IsAdminUser)
    lookup_value_converter = "uuid"

    @extend_schema(request=WishSerializer, responses={201: GrantSerializer})
    def create(self, request: Request) -> Response:
        """Allow a destination; running berths see it at once. Asking again returns the grant that stands."""
        wish = WishSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        made = grants.grant(**wish.validated_data, granted_by=f"user:{request.user}", now=timezone.now())
        return Response(GrantSerializer(made).data, status=201)

    @extend_schema(request=WithdrawalSerializer, responses={200: GrantSerializer})
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """End a grant, and the connections that rest on it."""
        said = WithdrawalSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        ended = grants.withdraw(
            pk, actor=f"user:{request.user}", reason=said.validated_data["reason"], now=timezone.now()
        )
        return Response(GrantSerializer(ended).data)


class DenialSerializer(serializers.ModelSerializer[Event]):
    """One refusal, as the journal has it; ``egress`` holds host, port, reason and how often it was repeated."""

    egress = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields = ("topic", "seq", "egress", "created_at")
        read_only_fields = fields

    def get_egress(self, event: Event) -> dict[str, Any]:
        return dict(event.data.get("egress", {}))


class DenialViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Event]):
    """What berths asked for and did not get, newest first."""

    queryset = Event.objects.filter(kind="agent.egress_denied")
    serializer_class = DenialSerializer
    permission_classes = (*viewsets.GenericViewSet.permission_classes, permissions.IsAdminUser)


router = SimpleRouter()
router.register("egress/grants", GrantViewSet, basename="egress-grant")
router.register("egress/denials", DenialViewSet, basename="egress-denial")
urlpatterns = router.urls
