"""The HTTP face of templates."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from templates_app import library
from templates_app.documents import Document, shown
from templates_app.publish import check, publish
from templates_app.resolve import Resolved, resolve


class TemplateSerializer(serializers.Serializer[Any]):
    """One template as written."""

    name = serializers.CharField()
    version = serializers.CharField()
    description = serializers.CharField()
    abstract = serializers.BooleanField()
    extends = serializers.SerializerMethodField()
    labels = serializers.DictField(child=serializers.CharField())
    digest = serializers.CharField()
    spec = serializers.DictField()

    def get_extends(self, document: Document) -> list[str]:
        return [parent.name for parent in document.extends]


class BrokenTemplateSerializer(serializers.Serializer[Any]):
    """A file that cannot be used, and why: each error with file, line and column."""

    name = serializers.CharField()
    errors = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment] # the field of that name


class TemplateListSerializer(serializers.Serializer[Any]):
    """All templates; few enough for one page."""

    results = TemplateSerializer(many=True)
    broken = BrokenTemplateSerializer(many=True)


class ExplainParameters(serializers.Serializer[Any]):
    """What to tell beside the result."""

    explain = serializers.BooleanField(default=False, help_text="Who set each value, and what it shadowed.")


class ValidationRequest(serializers.Serializer[Any]):
    """A template's text, YAML or JSON."""

    text = serializers.CharField(max_length=262_144, trim_whitespace=False)


class ResolvedSerializer(serializers.Serializer[Any]):
    """The whole specification after inheritance; secrets masked."""

    name = serializers.CharField()
    version = serializers.CharField()
    digest = serializers.CharField()
    abstract = serializers.BooleanField()
    layers = serializers.ListField(child=serializers.DictField())
    spec = serializers.DictField()
    warnings = serializers.ListField(child=serializers.DictField())
    provenance = serializers.ListField(child=serializers.DictField(), required=False)


class ValidatedSerializer(serializers.Serializer[Any]):
    """What a valid text resolves to."""

    valid = serializers.BooleanField()
    name = serializers.CharField()
    spec = serializers.DictField()
    warnings = serializers.ListField(child=serializers.DictField())


class TemplateViewSet(viewsets.ViewSet):
    """How environments look."""

    lookup_field = "name"
    lookup_value_regex = "[^/]+"

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), *([permissions.IsAdminUser()] if self.action == "create" else [])]

    # The action's name alone would make the description a list; this answer is an object.
    @extend_schema(responses=forced_singular_serializer(TemplateListSerializer))
    def list(self, request: Request) -> Response:
        """All templates by name; ``broken`` names files that cannot be used, and why."""
        found = library.load(settings.TEMPLATE_DIRECTORIES)
        return Response(
            {
                "results": TemplateSerializer([found[name] for name in sorted(found.documents)], many=True).data,
                "broken": [
                    {"name": name, "errors": [error.as_dict() for error in fault.errors]}
                    for name, fault in sorted(found.broken.items())
                ],
            }
        )

    @extend_schema(request=ValidationRequest, responses={201: TemplateSerializer})
    def create(self, request: Request) -> Response:
        """Publish a template, or a new version of one. Staff only: templates decide what agents may do."""
        data = ValidationRequest(data=request.data)
        data.is_valid(raise_exception=True)
        text = data.validated_data["text"]
        document = publish(text, directories=settings.TEMPLATE_DIRECTORIES, actor=f"user:{request.user}")
        headers = {"Location": f"{request.path}{document.name}/"}
        return Response(TemplateSerializer(document).data, status.HTTP_201_CREATED, headers=headers)

    @extend_schema(responses=TemplateSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One template as written."""
        found = library.load(settings.TEMPLATE_DIRECTORIES)
        resolve(name, found)  # says what is wrong with an unknown or broken one
        return Response(TemplateSerializer(found[name]).data)

    @extend_schema(responses=ResolvedSerializer, parameters=[ExplainParameters])
    @action(detail=True)
    def resolved(self, request: Request, name: str) -> Response:
        """After inheritance; with ``?explain=1`` also who set each value and what it shadowed."""
        asked = ExplainParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        result = resolve(name, library.load(settings.TEMPLATE_DIRECTORIES))
        body = {
            "name": result.name,
            "version": result.version,
            "digest": result.digest,
            "abstract": result.abstract,
            "layers": [
                {"name": layer.name, "version": layer.version, "digest": layer.digest} for layer in result.layers
            ],
            "spec": result.preview,
            "warnings": [warning.as_dict() for warning in result.warnings],
        }
        return Response({**body, "provenance": _provenance(result)} if asked.validated_data["explain"] else body)

    @extend_schema(request=ValidationRequest, responses=ValidatedSerializer)
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, name: str) -> Response:
        """Check a text as if it were this template: every error with its place, or what it resolves to."""
        data = ValidationRequest(data=request.data)
        data.is_valid(raise_exception=True)
        _, result = check(data.validated_data["text"], directories=settings.TEMPLATE_DIRECTORIES, name=name)
        return Response(
            {
                "valid": True,
                "name": result.name,
                "spec": result.preview,
                "warnings": [w.as_dict() for w in result.warnings],
            }
        )


def _provenance(result: Resolved) -> list[dict[str, Any]]:
    return [
        {
            "path": shown(entry.path),
            "template": entry.template,
            "version": entry.version,
            "line": entry.line,
            "how": entry.how,
            "value": entry.value,
            "shadowed": [
                {"template": old.template, "version": old.version, "line": old.line, "value": old.value}
                for old in entry.shadowed
            ],
        }
        for entry in result.provenance
    ]


router = SimpleRouter()
router.register("templates", TemplateViewSet, basename="template")
urlpatterns = router.urls
