"""The HTTP face of agents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.db.models.fields.json import KeyTransform
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from agents import berth_volumes, health, lifecycle, outfit_changes, placement, tenure, visibility
from agents.models import Agent
from resources import workspaces
from resources.volumes.wanted import Kind


class SizeSerializer(serializers.Serializer[Any]):
    """The size of a berth as it was given: ``lighter`` than asked for, or one that stood ready (``warm``)."""

    memory_mb = serializers.IntegerField()
    cpu_millis = serializers.IntegerField()
    disk_mb = serializers.IntegerField()
    lighter = serializers.BooleanField()
    warm = serializers.BooleanField()


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """An agent: intent, place and what it waits for. State is read-only everywhere."""

    host = serializers.CharField(source="host.name", read_only=True, default=None, allow_null=True)
    capabilities = serializers.ListField(child=serializers.CharField(), read_only=True)
    blocked_by = serializers.ListField(child=serializers.DictField(), read_only=True)
    error = serializers.DictField(read_only=True, allow_null=True)
    queue_position = serializers.SerializerMethodField()
    size = serializers.SerializerMethodField(help_text="What admission reserved for it; null while it waits.")
    outdated = serializers.SerializerMethodField(help_text="Whether its template has changed since")
    labels = serializers.SerializerMethodField(help_text="What its template labels it with.")

    class Meta:
        model = Agent
        fields: tuple[str, ...] = (
            "id", "name", "template", "capabilities", "state", "generation", "project_id", "host", "tier", "tier_note",
            "size", "blocked_by", "queue_position", "waiting_since", "error", "created_at", "state_since", "outdated",
            "labels",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(SizeSerializer(allow_null=True))
    def get_size(self, agent: Agent) -> dict[str, Any] | None:
        return agent.resolved.get("taken")

    def get_labels(self, agent: Agent) -> dict[str, str]:
        return agent.resolved.get("spec", {}).get("labels", {})  # type: ignore[no-any-return]

    def get_queue_position(self, agent: Agent) -> int | None:
        return placement.queue_in(cast("dict[str, Any]", self.context)).position(agent)

    def get_outdated(self, agent: Agent) -> bool:
        return outfit_changes.in_force(cast("dict[str, Any]", self.context)).outdated(agent)


class AgentFilter(serializers.Serializer[Any]):
    """Which agents a list holds."""

    has_label = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\x00]{0,200}\Z", required=False,
        help_text="Those of templates that label them so: name=value.",
    )  # fmt: skip


class DiskSerializer(serializers.Serializer[Any]):
    """What an agent's workspace may hold, and held when it was last counted."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in workspaces.Kind])
    limit_mb = serializers.IntegerField()
    used_mb = serializers.IntegerField(allow_null=True)
    files = serializers.IntegerField(allow_null=True)
    over = serializers.CharField(allow_null=True, allow_blank=True)
    measured_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_null=True, allow_blank=True)


class VolumeSerializer(serializers.Serializer[Any]):
    """A directory that was mounted beside the workspace."""

    target = serializers.CharField(help_text="Where it stands in the sandbox.")
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    comes_from = serializers.CharField(help_text="Where it comes from.")
    writable = serializers.BooleanField()
    bound = serializers.CharField(allow_blank=True, help_text="What it may hold, and how that is seen to.")
    said_by = serializers.CharField(allow_blank=True, help_text="The layer of the template that asks for it.")


class AgentDetailSerializer(AgentSerializer):
    """An agent with its disk and its volumes."""

    disk = serializers.SerializerMethodField()
    volumes = serializers.SerializerMethodField(help_text="What was mounted for its berth beside the workspace.")

    class Meta(AgentSerializer.Meta):
        fields: tuple[str, ...] = (*AgentSerializer.Meta.fields, "disk", "volumes")
        read_only_fields = fields

    @extend_schema_field(DiskSerializer(allow_null=True))
    def get_disk(self, agent: Agent) -> dict[str, Any] | None:
        return workspaces.accounted(workspaces.lease_of(agent.owner))

    @extend_schema_field(VolumeSerializer(many=True))
    def get_volumes(self, agent: Agent) -> list[dict[str, Any]]:
        return berth_volumes.shown(agent)


class SpawnSerializer(serializers.Serializer[Agent]):
    """What a request for an agent holds."""

    template = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=80, required=False)
    project_id = serializers.UUIDField(required=False)
    capabilities = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=20)


class ExtensionSerializer(serializers.Serializer[Any]):
    """How much longer an idle agent is kept, from now."""

    seconds = serializers.IntegerField(min_value=60, max_value=int(tenure.LONGEST.total_seconds()))
    reason = serializers.CharField(max_length=300, required=False, default="asked by API")


class NewOwnerSerializer(serializers.Serializer[Any]):
    """Who gets an agent."""

    user = serializers.CharField(max_length=150)
    reason = serializers.CharField(max_length=300, required=False, default="asked by API")


class FactSerializer(serializers.Serializer[Any]):
    """One dated fact."""

    kind = serializers.CharField()
    observed_at = serializers.DateTimeField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class HealthSerializer(serializers.Serializer[Any]):
    """The verdict, its cause, and the facts behind it."""

    verdict = serializers.CharField()
    cause = serializers.CharField()
    facts = FactSerializer(many=True)


class AgentViewSet(viewsets.GenericViewSet[Agent]):
    """Agents and their berths."""

    queryset = Agent.objects.all()  # for the type of ids in the description; what is visible says get_queryset
    serializer_class = AgentSerializer

    def get_queryset(self) -> Any:
        return visibility.agents(self.request.user)

    @extend_schema(parameters=[AgentFilter])
    def list(self, request: Request) -> Response:
        """Agents, newest first."""
        wanted = AgentFilter(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        rows = self.get_queryset()
        if label := wanted.validated_data.get("has_label"):
            name, _equals, value = label.partition("=")
            labels = KeyTransform("labels", KeyTransform("spec", "resolved"))
            rows = rows.annotate(labelled=KeyTransform(name, labels)).filter(labelled=value)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses=AgentDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One agent."""
        return Response(AgentDetailSerializer(visibility.agent(request.user, pk)).data)

    @extend_schema(request=SpawnSerializer, responses={202: AgentSerializer})
    def create(self, request: Request) -> Response:
        """Ask for an agent from a template."""
        data = SpawnSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        visibility.check_project(request.user, data.validated_data.get("project_id"))
        agent = lifecycle.request_spawn(by=request.user, actor=f"user:{request.user}", **data.validated_data)
        headers = {"Location": f"{request.path}{agent.pk}/"}
        return Response(self.get_serializer(agent).data, status.HTTP_202_ACCEPTED, headers=headers)

    @extend_schema(request=None, responses={202: AgentSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Ask it to leave. Asking again changes nothing."""
        found = visibility.agent(request.user, pk)
        agent = lifecycle.request_stop(found.pk, actor=f"user:{request.user}", reason="asked by API")
        return Response(self.get_serializer(agent).data, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: AgentSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """The way out of error: spawn anew."""
        found = visibility.agent(request.user, pk)
        agent = lifecycle.retry(found.pk, actor=f"user:{request.user}", reason="asked by API")
        return Response(self.get_serializer(agent).data, status.HTTP_202_ACCEPTED)

    @extend_schema(request=ExtensionSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, pk: str) -> Response:
        """Keep it for so long from now though nobody works with it."""
        found = visibility.agent(request.user, pk)
        data = ExtensionSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        agent = tenure.extend(
            found.pk, by=timedelta(seconds=data.validated_data["seconds"]), actor=f"user:{request.user}",
            reason=data.validated_data["reason"], now=timezone.now(),
        )  # fmt: skip
        return Response(self.get_serializer(agent).data)

    @extend_schema(request=NewOwnerSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request: Request, pk: str) -> Response:
        """Make it another user's. Who had it sees it no longer, unless they are staff."""
        found = visibility.agent(request.user, pk)
        data = NewOwnerSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        agent = tenure.hand_over(
            found.pk, to=data.validated_data["user"], actor=f"user:{request.user}", reason=data.validated_data["reason"]
        )
        return Response(self.get_serializer(agent).data)

    @extend_schema(responses=HealthSerializer)
    @action(detail=True, pagination_class=None)
    def health(self, request: Request, pk: str) -> Response:
        """The dated facts and the verdict, computed now."""
        agent = visibility.agent(request.user, pk)
        facts = health.facts_of(agent)
        judged = health.judge(agent, facts, now=timezone.now())
        return Response(
            HealthSerializer({"verdict": judged.verdict, "cause": judged.cause, "facts": list(facts.values())}).data
        )


router = SimpleRouter()
router.register("agents", AgentViewSet, basename="agent")
urlpatterns = router.urls
