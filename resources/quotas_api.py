"""The HTTP face of quotas: your own for everyone, everybody's and changing them for staff."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from resources import quotas
from resources.models import Account


class AmountsSerializer(serializers.Serializer[Any]):
    """Amounts of what counts in a quota; null is no limit, or the default where one is given."""

    slots = serializers.IntegerField(min_value=0, max_value=quotas.MOST, allow_null=True, required=False)
    memory_mb = serializers.IntegerField(min_value=0, max_value=quotas.MOST, allow_null=True, required=False)
    cpu_millis = serializers.IntegerField(min_value=0, max_value=quotas.MOST, allow_null=True, required=False)
    disk_mb = serializers.IntegerField(min_value=0, max_value=quotas.MOST, allow_null=True, required=False)


class QuotaWishSerializer(AmountsSerializer):
    """New limits; what is not named stays as it is."""

    reason = serializers.CharField(max_length=300, required=False, default="changed by API")


class QuotaSerializer(serializers.Serializer[Any]):
    """How one user or project stands: limits in force, and what is held now."""

    kind = serializers.ChoiceField(choices=Account.Kind.choices)
    key = serializers.CharField()
    limits = AmountsSerializer()
    used = AmountsSerializer()


class QuotaViewSet(viewsets.GenericViewSet[Account]):
    """Quotas of users and projects."""

    queryset = Account.objects.all()
    serializer_class = QuotaSerializer

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), *([] if self.action == "mine" else [permissions.IsAdminUser()])]

    def list(self, request: Request) -> Response:
        """Those that have limits of their own, newest first; defaults apply to all others."""
        page = self.paginate_queryset(self.get_queryset())
        shown = [quotas.standing(account.kind, account.key) for account in page or ()]
        return self.get_paginated_response(QuotaSerializer(shown, many=True).data)

    @extend_schema(responses=QuotaSerializer)
    @action(detail=False, pagination_class=None)
    def mine(self, request: Request) -> Response:
        """What you may hold, and hold."""
        return Response(QuotaSerializer(quotas.standing(Account.Kind.USER, str(request.user.pk))).data)

    @extend_schema(methods=["GET"], responses=QuotaSerializer)
    @extend_schema(methods=["PATCH"], request=QuotaWishSerializer, responses=QuotaSerializer)
    @action(
        detail=False, methods=["get", "patch"], pagination_class=None,
        url_path="(?P<kind>user|project)/(?P<key>[0-9a-f-]{1,36})",
    )  # fmt: skip
    def of(self, request: Request, kind: str, key: str) -> Response:
        """One user or project; PATCH gives it limits of its own, null takes one back to the default."""
        if request.method == "PATCH":
            wish = QuotaWishSerializer(data=request.data)
            wish.is_valid(raise_exception=True)
            reason = wish.validated_data.pop("reason")
            quotas.grant(
                kind=kind, key=key, limits=wish.validated_data, actor=f"user:{request.user}", reason=reason,
                now=timezone.now(),
            )  # fmt: skip
        quotas.check_account(kind, key)
        return Response(QuotaSerializer(quotas.standing(kind, key)).data)


router = SimpleRouter()
router.register("quotas", QuotaViewSet, basename="quota")
urlpatterns = router.urls
