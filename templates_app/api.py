"""The HTTP face of templates. Reading is for everyone with an account, what changes anything for staff."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, renderers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from templates_app import active, api_shapes, changes, devcontainers, drafts, preview, publish, relatives, wearers
from templates_app import states as said
from templates_app.documents import Document
from templates_app.faults import TemplateNotFound
from templates_app.models import Draft, Version
from templates_app.resolve import resolve

# What the text says: "-" cannot be the name of a template.
WHATEVER = "-"
_STAFF = {
    "create", "draft", "save_draft", "discard_draft", "publish_draft", "deprecate", "restore", "return_to",
    "convert",
}  # fmt: skip


class YamlRenderer(renderers.JSONRenderer):
    """For those who ask for YAML alone: the text leaves as it is, problems as the JSON that they are."""

    media_type = "application/yaml"
    format = "yaml"


class TemplateViewSet(viewsets.ViewSet):
    """How environments look."""

    lookup_field = "name"
    lookup_value_regex = "[A-Za-z0-9_-]{1,63}"  # also what stands for a file whose name can be none

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), *([permissions.IsAdminUser()] if self.action in _STAFF else [])]

    # The action's name alone would make the description a list; this answer is an object.
    @extend_schema(responses=forced_singular_serializer(api_shapes.TemplateListSerializer))
    def list(self, request: Request) -> Response:
        """All templates by name; ``broken`` names those that cannot be used, and why."""
        found, states = active.templates(), said.states()
        rows = [_shape(found.documents[name], states.get(name)) for name in sorted(found.documents)]
        broken = [
            {"name": name, "errors": [error.as_dict() for error in fault.errors]}
            for name, fault in sorted(found.broken.items())
        ]
        return Response({"results": rows, "broken": broken})

    @extend_schema(request=api_shapes.PublishRequest, responses={201: api_shapes.TemplateSerializer})
    def create(self, request: Request) -> Response:
        """Publish a template, or a new version of one. Staff only: templates decide what agents may do."""
        document = publish.publish(_given(api_shapes.PublishRequest, request)["text"], actor=_actor(request))
        headers = {"Location": f"{request.path}{document.name}/"}
        return Response(_whole(document.name), status.HTTP_201_CREATED, headers=headers)

    @extend_schema(responses=api_shapes.TemplateSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One template as written, and what is to be said of it."""
        return Response(_whole(name))

    @extend_schema(responses=api_shapes.ResolvedSerializer, parameters=[api_shapes.ExplainParameters])
    @action(detail=True)
    def resolved(self, request: Request, name: str) -> Response:
        """After inheritance; with ``?explain=1`` also who set each value and what it shadowed."""
        asked = api_shapes.ExplainParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return Response(api_shapes.resolved_body(active.resolved(name), **asked.validated_data))

    @extend_schema(request=api_shapes.ResolveRequest, responses=api_shapes.ResolvedSerializer)
    @resolved.mapping.post
    def resolve_with(self, request: Request, name: str) -> Response:
        """The same with values for variables, as a berth would get it."""
        given = _given(api_shapes.ResolveRequest, request)
        result = preview.previewed(name, given=given.pop("variables"))
        return Response(api_shapes.resolved_body(result, **given))

    @extend_schema(request=api_shapes.ValidationRequest, responses=api_shapes.ValidatedSerializer)
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, name: str) -> Response:
        """Check a text as if it were this template (``-``: whichever it is): every error with its place."""
        given = _given(api_shapes.ValidationRequest, request)
        _, result = publish.check(given["text"], name="" if name == WHATEVER else name, beside=given["beside"])
        warnings = [warning.as_dict() for warning in result.warnings]
        return Response({"valid": True, "name": result.name, "spec": result.preview, "warnings": warnings})

    @extend_schema(responses=forced_singular_serializer(api_shapes.VersionListSerializer))
    @action(detail=True)
    def versions(self, request: Request, name: str) -> Response:
        """All versions that were in force, newest first. None changes; their names are their digests."""
        active.resolved(name)
        current = active.row(name)
        rows = [
            {
                "digest": row.digest, "version": row.version, "created_at": row.created_at,
                "created_by": row.created_by, "current": current is not None and current.current_id == row.pk,
            }
            for row in Version.objects.filter(name=name)[:500]
        ]  # fmt: skip
        return Response({"results": api_shapes.VersionSerializer(rows, many=True).data})

    @extend_schema(request=None, responses=api_shapes.TemplateSerializer)
    @action(detail=True, methods=["post"], url_path="versions/(?P<digest>[0-9a-f]{8,64})/activate")
    def return_to(self, request: Request, name: str, digest: str) -> Response:
        """Put an earlier version into force again. Staff only."""
        publish.return_to(digest, name=name, actor=_actor(request))
        return Response(_whole(name))

    @extend_schema(request=api_shapes.DeprecationRequest, responses=api_shapes.TemplateSerializer)
    @action(detail=True, methods=["post"])
    def deprecate(self, request: Request, name: str) -> Response:
        """Say that nothing new should use it. It goes on working. Staff only."""
        publish.deprecate(name, actor=_actor(request), **_given(api_shapes.DeprecationRequest, request))
        return Response(_whole(name))

    @extend_schema(request=None, responses=api_shapes.TemplateSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, name: str) -> Response:
        """Take a deprecation back. Staff only."""
        publish.restore(name, actor=_actor(request))
        return Response(_whole(name))

    @extend_schema(responses=forced_singular_serializer(api_shapes.HeirListSerializer))
    @action(detail=True)
    def dependents(self, request: Request, name: str) -> Response:
        """All templates that build on this one, nearest first."""
        found = active.templates()
        resolve(name, found)
        return Response({"results": api_shapes.Extended(relatives.heirs(name, found.documents), many=True).data})

    @extend_schema(responses=forced_singular_serializer(api_shapes.WearerListSerializer))
    @action(detail=True)
    def agents(self, request: Request, name: str) -> Response:
        """The agents that wear it, as far as you may see them; those that lack a change first, with the difference."""
        found, known = wearers.of(name, user=request.user), active.templates()
        if not found and name not in known:  # one that was taken away may still be worn
            raise TemplateNotFound(name, known=list(known.documents))
        rows = [{**_fields(one), "differences": [each.as_dict() for each in one.differences]} for one in found]
        return Response({"results": rows})

    @extend_schema(responses=api_shapes.TemplateDiffSerializer, parameters=[api_shapes.DiffParameters])
    @action(detail=True)
    def diff(self, request: Request, name: str) -> Response:
        """What would change for who goes from this template to another, or to another version."""
        asked = api_shapes.DiffParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        digest = asked.validated_data["version"]
        before, old = said.named(f"{name}@{digest}" if digest else name)
        after, new = said.named(asked.validated_data["to"] or name)
        found = changes.diff(old.preview, new.preview)
        return Response({"before": before, "after": after, "differences": [one.as_dict() for one in found]})

    @extend_schema(responses={(200, "application/yaml"): OpenApiTypes.STR})
    @action(detail=True, renderer_classes=[renderers.JSONRenderer, YamlRenderer])
    def export(self, request: Request, name: str) -> HttpResponse:
        """Its text as a file. Templates hold no secrets: their values are given at spawn time, or by reference."""
        answer = HttpResponse(active.text_of(name), content_type="application/yaml; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.yaml"'
        return answer

    @extend_schema(request=api_shapes.ImportRequest, responses=api_shapes.ImportedSerializer)
    @action(detail=True, methods=["post"], url_path="import")
    def convert(self, request: Request, name: str) -> Response:
        """A devcontainer.json as a template of this name (``-``: its own), kept as a draft, with what was left out."""
        given = _given(api_shapes.ImportRequest, request)
        wanted = given["name"] or ("" if name == WHATEVER else name)
        made = devcontainers.convert(given["text"], name=wanted, extends=given["extends"])
        drafts.save(made.name, made.text, actor=_actor(request))
        left_out = [{"field": one.field, "reason": one.reason} for one in made.left_out]
        return Response({"name": made.name, "text": made.text, "left_out": left_out})

    @extend_schema(responses=api_shapes.DraftSerializer)
    @action(detail=True)
    def draft(self, request: Request, name: str) -> Response:
        """What is being worked on. Staff only, as all of drafts."""
        return Response(api_shapes.DraftSerializer(drafts.load(name)).data)

    @extend_schema(request=api_shapes.DraftRequest, responses=api_shapes.DraftSerializer)
    @draft.mapping.put
    def save_draft(self, request: Request, name: str) -> Response:
        """Keep a text, right or wrong."""
        draft = drafts.save(name, actor=_actor(request), **_given(api_shapes.DraftRequest, request))
        return Response(api_shapes.DraftSerializer(draft).data)

    @extend_schema(request=None, responses={204: None})
    @draft.mapping.delete
    def discard_draft(self, request: Request, name: str) -> Response:
        """Forget it."""
        drafts.discard(name)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=api_shapes.TemplateSerializer)
    @action(detail=True, methods=["post"], url_path="draft/publish")
    def publish_draft(self, request: Request, name: str) -> Response:
        """Put it into force."""
        drafts.publish_draft(name, actor=_actor(request))
        return Response(_whole(name))


class DraftViewSet(viewsets.ViewSet):
    """Templates that are worked on."""

    permission_classes = [permissions.IsAdminUser]

    @extend_schema(responses=forced_singular_serializer(api_shapes.DraftListSerializer))
    def list(self, request: Request) -> Response:
        """All drafts, by name. Staff only."""
        return Response({"results": api_shapes.DraftSerializer(Draft.objects.all()[:1000], many=True).data})


def _given(shape: type[Any], request: Request) -> dict[str, Any]:
    data = shape(data=request.data)
    data.is_valid(raise_exception=True)
    return dict(data.validated_data)


def _actor(request: Request) -> str:
    return f"user:{request.user}"


def _shape(document: Document, state: said.State | None) -> dict[str, Any]:
    body = dict(api_shapes.TemplateSerializer(document).data)
    return {**body, "state": api_shapes.StateSerializer(state).data if state else None}


def _whole(name: str) -> dict[str, Any]:
    """One template with everything. Raises what is wrong with an unknown or broken one."""
    found = active.templates()
    resolve(name, found)
    return {**_shape(found[name], said.states().get(name)), "text": active.text_of(name)}


def _fields(wearer: wearers.Wearer) -> dict[str, Any]:
    return {name: getattr(wearer, name) for name in ("id", "name", "state", "version", "outdated")}


router = SimpleRouter()
router.register("templates", TemplateViewSet, basename="template")
router.register("template-drafts", DraftViewSet, basename="template-draft")
urlpatterns = router.urls
