"""The JSON shapes of the templates' HTTP face."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from templates_app.documents import Document, shown
from templates_app.provenance import Entry
from templates_app.resolve import Resolved
from templates_app.yaml_text import MAX_BYTES


class Extended(serializers.Serializer[Any]):
    """What every view of one template begins with."""

    name = serializers.CharField()
    version = serializers.CharField()
    description = serializers.CharField()
    abstract = serializers.BooleanField()
    extends = serializers.SerializerMethodField()
    labels = serializers.DictField(child=serializers.CharField())
    digest = serializers.CharField()

    def get_extends(self, document: Document) -> list[str]:
        return [parent.name for parent in document.extends]


class StateSerializer(serializers.Serializer[Any]):
    """What is to be said of a template beside its text."""

    source = serializers.CharField(help_text="library, file or published")  # type: ignore[assignment] # the field
    host = serializers.CharField(allow_blank=True, help_text="Where the file lies")
    activated_at = serializers.DateTimeField(allow_null=True)
    deprecated = serializers.DictField(allow_null=True, help_text="since, reason, replaced_by")
    refused = serializers.DictField(allow_null=True, help_text="The last change, where it was refused; this one stays")
    has_draft = serializers.BooleanField()


class TemplateSerializer(Extended):
    """One template as written."""

    spec = serializers.DictField()
    state = StateSerializer(allow_null=True, required=False)
    text = serializers.CharField(required=False, help_text="As written")


class BrokenTemplateSerializer(serializers.Serializer[Any]):
    """A template that cannot be used, and why: each error with file, line and column."""

    name = serializers.CharField()
    errors = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment] # the field of that name


class TemplateListSerializer(serializers.Serializer[Any]):
    """All templates; few enough for one page."""

    results = TemplateSerializer(many=True)
    broken = BrokenTemplateSerializer(many=True)


class ExplainParameters(serializers.Serializer[Any]):
    """What to tell beside the result."""

    explain = serializers.BooleanField(default=False, help_text="Who set each value, and what it shadowed.")
    path = serializers.CharField(default="", max_length=300, allow_blank=True, help_text="Explain this and below only")


class ResolveRequest(ExplainParameters):
    """Values for variables; for those that only run time knows, examples are taken."""

    variables = serializers.DictField(default=dict, help_text="By name; also agent.name, port.web and the like")


class ValidationRequest(serializers.Serializer[Any]):
    """A template's text, YAML or JSON."""

    text = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False)
    beside = serializers.ListField(
        child=serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False), max_length=64, default=list,
        help_text="Further texts, taken as if they were in force",
    )  # fmt: skip


class PublishRequest(serializers.Serializer[Any]):
    """A template's text, YAML or JSON."""

    text = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False)


class DraftRequest(serializers.Serializer[Any]):
    """A text, right or wrong, and the revision that it was made from."""

    text = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False, allow_blank=True)
    revision = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="0: there was none. Without it the last save wins."
    )


class DraftSerializer(serializers.Serializer[Any]):
    """A draft."""

    name = serializers.CharField()
    text = serializers.CharField()
    revision = serializers.IntegerField()
    edited_by = serializers.CharField()
    edited_at = serializers.DateTimeField()


class DeprecationRequest(serializers.Serializer[Any]):
    """Why nothing new should use it, and what instead."""

    reason = serializers.CharField(max_length=300, default="", allow_blank=True)
    replaced_by = serializers.CharField(max_length=63, default="", allow_blank=True)


class ImportRequest(serializers.Serializer[Any]):
    """A devcontainer.json."""

    text = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False)
    name = serializers.CharField(max_length=63, default="", allow_blank=True)
    extends = serializers.CharField(max_length=63, default="base")


class ImportedSerializer(serializers.Serializer[Any]):
    """The template that was made of it: nothing is published yet."""

    name = serializers.CharField()
    text = serializers.CharField()
    left_out = serializers.ListField(child=serializers.DictField())


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


class VersionSerializer(serializers.Serializer[Any]):
    """One version that was in force once."""

    digest = serializers.CharField()
    version = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    current = serializers.BooleanField()


class VersionListSerializer(serializers.Serializer[Any]):
    """All versions of a template, newest first."""

    results = VersionSerializer(many=True)


class DraftListSerializer(serializers.Serializer[Any]):
    """All drafts, by name."""

    results = DraftSerializer(many=True)


class HeirListSerializer(serializers.Serializer[Any]):
    """All templates that build on one."""

    results = Extended(many=True)


class DiffParameters(serializers.Serializer[Any]):
    """What to compare with."""

    to = serializers.CharField(
        max_length=140, default="", help_text="A template, or NAME@DIGEST for a version of one; else this one as it is"
    )
    version = serializers.CharField(
        max_length=64, default="", help_text="From the version of this template that has this digest"
    )


class TemplateDiffSerializer(serializers.Serializer[Any]):
    """What differs between two resolved templates. ``live`` differences reach running agents."""

    before = serializers.CharField()
    after = serializers.CharField()
    differences = serializers.ListField(child=serializers.DictField())


class WearerSerializer(serializers.Serializer[Any]):
    """An agent that wears a template, and whether the template has changed since."""

    id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    version = serializers.CharField()
    outdated = serializers.BooleanField()
    differences = serializers.ListField(child=serializers.DictField())


class WearerListSerializer(serializers.Serializer[Any]):
    """The agents of a template that are not gone."""

    results = WearerSerializer(many=True)


def resolved_body(result: Resolved, *, explain: bool, path: str = "") -> dict[str, Any]:
    """The JSON of a resolved template."""
    body: dict[str, Any] = {
        "name": result.name,
        "version": result.version,
        "digest": result.digest,
        "abstract": result.abstract,
        "layers": [{"name": layer.name, "version": layer.version, "digest": layer.digest} for layer in result.layers],
        "spec": result.preview,
        "warnings": [warning.as_dict() for warning in result.warnings],
    }
    return {**body, "provenance": [_entry(entry) for entry in result.explain(path)]} if explain else body


def _entry(entry: Entry) -> dict[str, Any]:
    return {
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
