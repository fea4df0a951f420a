"""The HTTP face of hosts and leases: read-only for everyone, drain for staff."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import F
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, permissions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from resources import breakers, hosts, workspaces
from resources.models import Host, Lease, Orphan


class HostSerializer(serializers.ModelSerializer[Host]):
    """A host: what it lends, what is reserved, whether it is alive now."""

    verdict = serializers.SerializerMethodField()
    capacity = serializers.SerializerMethodField()
    reserved = serializers.SerializerMethodField()
    facts = serializers.DictField(read_only=True)
    disk_used_mb = serializers.SerializerMethodField(help_text="What its workspaces held when they were last counted.")

    class Meta:
        model = Host
        fields = (
            "id",
            "name",
            "verdict",
            "capacity",
            "reserved",
            "disk_used_mb",
            "draining_since",
            "heartbeat_at",
            "facts",
            "created_at",
        )
        read_only_fields = fields

    def get_verdict(self, host: Host) -> str:
        return hosts.verdict(host, now=timezone.now()).value

    def get_capacity(self, host: Host) -> dict[str, int]:
        return hosts.capacity_of(host)

    def get_reserved(self, host: Host) -> dict[str, int]:
        context = cast("dict[str, Any]", self.context)
        if "usages" not in context:
            context["usages"] = hosts.usages()  # one look for a whole list
        used = context["usages"].get(host.pk, hosts.UNUSED)
        return {name: getattr(used, name) for name in ("slots", "memory_mb", "cpu_millis", "disk_mb", "ports")}

    def get_disk_used_mb(self, host: Host) -> int:
        context = cast("dict[str, Any]", self.context)
        if "disks" not in context:
            context["disks"] = workspaces.used_mb()  # one look for a whole list
        return int(context["disks"].get(host.pk, 0))


class HostSignSerializer(serializers.ModelSerializer[Host]):
    """A host as everybody sees it: that it is there, and whether it is alive. The rest is the operators' business."""

    verdict = serializers.SerializerMethodField()

    class Meta:
        model = Host
        fields = ("id", "name", "verdict", "draining_since", "created_at")
        read_only_fields = fields

    def get_verdict(self, host: Host) -> str:
        return hosts.verdict(host, now=timezone.now()).value


def shape_for(user: Any) -> type[serializers.ModelSerializer[Host]]:
    """The one rule for every interface: what a host lends and to whom is shown to staff."""
    return HostSerializer if user.is_staff else HostSignSerializer


class LeaseSerializer(serializers.ModelSerializer[Lease]):
    """One thing taken from a host."""

    host = serializers.CharField(source="host.name", read_only=True)

    class Meta:
        model = Lease
        fields = (
            "id", "host", "kind", "key", "name", "amount", "owner", "generation", "state", "created_at", "expires_at",
            "released_at",
        )  # fmt: skip
        read_only_fields = fields


class LeaseFilter(serializers.Serializer[Any]):
    """Which leases a list holds: live ones without it."""

    state = serializers.ChoiceField(choices=Lease.State.choices, required=False)


class HostViewSet(viewsets.ReadOnlyModelViewSet[Host]):
    """Machines that lend berths: staff sees all of them, others their names and whether they are alive."""

    queryset = Host.objects.all()
    serializer_class = HostSerializer  # what the description says; others than staff get less of it

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Host]]:
        return HostSerializer if getattr(self, "swagger_fake_view", False) else shape_for(self.request.user)

    def get_permissions(self) -> list[Any]:
        drained = self.action in {"drain", "undrain"}
        return [*super().get_permissions(), *([permissions.IsAdminUser()] if drained else [])]

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Take no new berths on this host."""
        host = self.get_object()
        hosts.drain(host_id=host.pk, actor=f"user:{request.user}", reason="asked by API", now=timezone.now())
        return self.retrieve(request, pk=pk)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def undrain(self, request: Request, pk: str) -> Response:
        """Take new berths again."""
        host = self.get_object()
        hosts.undrain(host_id=host.pk, actor=f"user:{request.user}", reason="asked by API")
        return self.retrieve(request, pk=pk)


class LeaseViewSet(viewsets.ReadOnlyModelViewSet[Lease]):
    """The ledger of what is taken. Live leases; ``?state=released`` for history."""

    queryset = Lease.objects.all()
    serializer_class = LeaseSerializer
    permission_classes = (*viewsets.ReadOnlyModelViewSet.permission_classes, permissions.IsAdminUser)

    def get_queryset(self) -> Any:
        rows = Lease.objects.select_related("host")
        if self.detail:
            return rows
        wanted = LeaseFilter(data=self.request.query_params)
        wanted.is_valid(raise_exception=True)
        return rows.filter(**wanted.validated_data or {"state__in": Lease.LIVE})

    @extend_schema(parameters=[LeaseFilter])
    def list(self, request: Request) -> Response:
        """Live leases, newest first."""
        return super().list(request)


class OrphanSerializer(serializers.ModelSerializer[Orphan]):
    """Something of ours that nobody owns: why it is listed, and what happens to it."""

    host = serializers.CharField(source="host.name", read_only=True)

    class Meta:
        model = Orphan
        fields = ("id", "host", "kind", "key", "owner", "reason", "fate", "first_seen_at", "last_seen_at", "ended_at")
        read_only_fields = fields


class OrphanViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Orphan]):
    """What the sweeps found that nobody owns, and what became of it in the last seven days."""

    queryset = Orphan.objects.select_related("host").annotate(created_at=F("first_seen_at"))  # lists are newest first
    serializer_class = OrphanSerializer
    permission_classes = (*viewsets.GenericViewSet.permission_classes, permissions.IsAdminUser)


class BreakerSerializer(serializers.Serializer[Any]):
    """An outside service that failed lately."""

    name = serializers.CharField()
    position = serializers.ChoiceField(choices=[(one.value, one.value) for one in breakers.Position])
    failures = serializers.IntegerField(help_text="In a row.")
    reason = serializers.CharField()
    opened_at = serializers.DateTimeField(allow_null=True)
    next_try_in_s = serializers.FloatField()
    shared = serializers.BooleanField(help_text="False while Redis is away: what the web process alone knows.")


class BreakersView(APIView):
    """Circuit breakers of outside services."""

    @extend_schema(responses=BreakerSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The services that failed lately; none when all is well."""
        return Response(BreakerSerializer(breakers.known(), many=True).data)


router = SimpleRouter()
router.register("orphans", OrphanViewSet, basename="orphan")
router.register("hosts", HostViewSet, basename="host")
router.register("leases", LeaseViewSet, basename="lease")
urlpatterns = [*router.urls, path("breakers/", BreakersView.as_view(), name="breakers")]
