"""The HTTP face of templates."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from templates_app import library
from templates_app.documents import Document, parse, shown
from templates_app.resolve import resolve


class TemplateSerializer(serializers.Serializer[Any]):
    """One template as written."""

    name = serializers.CharField()
    version = serializers.CharField()
    description = serializers.CharField()
    abstract = serializers.BooleanField()
    extends = serializers.SerializerMethodField()
    labels = serializers.DictField()
    digest = serializers.CharField()
    spec = serializers.DictField()

    def get_extends(self, document: Document) -> list[str]:
        return [parent.name for parent in document.extends]


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


class TemplateViewSet(viewsets.ViewSet):
    """How environments look."""

    lookup_field = "name"
    lookup_value_regex = "[^/]+"

    @extend_schema(responses=TemplateSerializer(many=True))
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

    @extend_schema(responses=TemplateSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One template as written."""
        found = library.load(settings.TEMPLATE_DIRECTORIES)
        resolve(name, found)  # says what is wrong with an unknown or broken one
        return Response(TemplateSerializer(found[name]).data)

    @extend_schema(responses=ResolvedSerializer, parameters=[OpenApiParameter("explain", bool)])
    @action(detail=True)
    def resolved(self, request: Request, name: str) -> Response:
        """After inheritance; with ``?explain=1`` also who set each value and what it shadowed."""
        result = resolve(name, library.load(settings.TEMPLATE_DIRECTORIES))
        body: dict[str, Any] = {
            "name": result.name,
            "version": result.version,
            "digest": result.digest,
            "abstract": result.abstract,
            "layers": [{"name": layer.name, "version": layer.version, "digest": layer.digest} for layer in result.layers],
            "spec": result.preview,
            "warnings": [warning.as_dict() for warning in result.warnings],
        }
        if request.query_params.get("explain") in {"1", "true"}:
            body["provenance"] = [
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
        return Response(body)

    @extend_schema(request=ValidationRequest, responses=ResolvedSerializer)
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, name: str) -> Response:
        """Check a text as if it were this template: every error with its place, or what it resolves to."""
        data = ValidationRequest(data=request.data)
        data.is_valid(raise_exception=True)
        document = parse(data.validated_data["text"], file=f"{name}.yaml")
        known = {**library.load(settings.TEMPLATE_DIRECTORIES).documents, document.name: document}
        result = resolve(document.name, known)
        return Response(
            {"valid": True, "name": result.name, "spec": result.preview, "warnings": [w.as_dict() for w in result.warnings]}
        )


router = SimpleRouter()
router.register("templates", TemplateViewSet, basename="template")
urlpatterns = router.urls
