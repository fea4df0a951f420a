"""What is to be said of a template beside its text: where it came from, deprecated, refused, with a draft."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from templates_app import active, publish
from templates_app.documents import Document
from templates_app.faults import TemplateFault, TemplateNotFound
from templates_app.models import Draft, Template
from templates_app.resolve import Resolved, resolve


@dataclass(frozen=True, slots=True)
class State:
    """One template's, as screens show it."""

    name: str
    source: str
    host: str
    activated_at: datetime | None
    deprecated: dict[str, Any] | None
    refused: dict[str, Any] | None
    has_draft: bool


def states() -> dict[str, State]:
    """Of every template that the database knows, by name."""
    drafts = set(Draft.objects.values_list("name", flat=True))
    return {row.name: _state(row, drafts) for row in Template.objects.all()}


def _state(row: Template, drafts: set[str]) -> State:
    deprecated = None
    if row.deprecated_at is not None:
        deprecated = {"since": row.deprecated_at, "reason": row.deprecation, "replaced_by": row.replaced_by}
    return State(row.name, row.source, row.host, row.activated_at, deprecated, row.refused, row.name in drafts)


def named(reference: str) -> tuple[str, Resolved]:
    """``NAME``, or ``NAME@DIGEST`` for a version of it over today's ancestors; as a title, and resolved."""
    name, _, digest = reference.partition("@")
    documents = active.templates()
    if not digest:
        resolved = resolve(name, documents)
        return f"{name} {resolved.version}", resolved
    if name not in documents:
        raise TemplateNotFound(name, known=list(documents.documents))
    version = publish.version_of(digest, name=name)
    document: Document | TemplateFault = active.document_of(version)
    if isinstance(document, TemplateFault):
        raise TemplateFault(document.errors)
    return f"{name} {version.version} ({version.digest[:12]})", resolve(name, {**documents.documents, name: document})
