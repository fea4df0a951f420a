"""Publishing by a person: checked with all that build on it, in force on every host at once, or refused.

Deprecating says that a template should not be used for anything new; it goes on working.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from events.faults import Fault
from events.journal import record
from templates_app import active, watching
from templates_app.activation import Change, activate
from templates_app.documents import Document, parse
from templates_app.faults import TemplateFault, TemplateNotFound
from templates_app.models import Source, Template, Version
from templates_app.resolve import Resolved, resolve


class TemplateExists(Fault):
    """Another text stands under this name and version already."""

    code = "template.exists"
    http_status = 409
    remedy = "Raise the template's version, or choose another name."


class VersionNotFound(Fault):
    """No version has this digest."""

    code = "template.version_not_found"
    http_status = 404
    remedy = "Name one of the digests that `GET /api/v1/templates/{name}/versions/` lists."


def check(text: str, *, name: str = "", beside: Sequence[str] = ()) -> tuple[Document, Resolved]:
    """The document in ``text`` and what it resolves to among the others. Raises with every error and its place.

    With ``name``, the text must hold the template of that name. ``beside`` are further texts taken as in force, where
    they can be read: what is wrong with them is another question.
    """
    document = _named(text, name=name)
    others = {one.name: one for one in map(_readable, beside) if one is not None}
    known = {**active.templates().documents, **others, document.name: document}
    return document, resolve(document.name, known)


def publish(text: str, *, actor: str, name: str = "") -> Document:
    """Put a template, or a new version of one, into force. The same text again changes nothing.

    A template that would break one of those that build on it is refused.
    """
    document = _named(text, name=name)
    _first_activation()

    def is_new() -> None:
        others = Version.objects.filter(name=document.name, version=document.version)
        if others.exclude(digest=document.digest).exists():
            raise TemplateExists(f"there is a template {document.name} {document.version} already", pointer="/text")

    is_new()
    _put(document, text=text, actor=actor, guard=is_new)  # asked again: somebody else may publish it meanwhile
    return document


def return_to(digest: str, *, name: str, actor: str) -> Document:
    """Put an earlier version of a template into force again."""
    version = version_of(digest, name=name)
    document = active.document_of(version)
    if isinstance(document, TemplateFault):
        raise TemplateFault(document.errors)
    _put(document, text=version.text, actor=actor)
    return document


def version_of(digest: str, *, name: str) -> Version:
    """A version by its digest or the beginning of it, eight letters or more. Raises VersionNotFound."""
    found = list(Version.objects.filter(name=name, digest__startswith=digest)[:2]) if len(digest) >= 8 else []
    if len(found) != 1:
        raise VersionNotFound(f"{name} has no version {digest!r}" if not found else f"{digest!r} means several")
    return found[0]


def deprecate(name: str, *, actor: str, reason: str = "", replaced_by: str = "") -> Template:
    """Say that nothing new should use it, and what to use instead. Saying it again changes the words."""
    _first_activation()
    documents = active.templates().documents
    if replaced_by and replaced_by not in documents:
        raise TemplateNotFound(replaced_by, known=list(documents))
    if replaced_by == name:
        raise TemplateReplaced(f"{name} cannot take its own place", pointer="/replaced_by")
    return _mark(name, kind="template.deprecated", actor=actor, reason=reason, replaced_by=replaced_by)


def restore(name: str, *, actor: str) -> Template:
    """Take a deprecation back."""
    _first_activation()
    return _mark(name, kind="template.restored", actor=actor, reason="", replaced_by="")


class TemplateReplaced(Fault):
    """A replacement that cannot be one."""

    code = "template.bad_replacement"
    remedy = "Name another template."


def _named(text: str, *, name: str) -> Document:
    document = parse(text, file=f"{name or 'template'}.yaml")
    if name and document.name != name:
        message = f"the text holds a template named {document.name!r}, not {name!r}"
        raise TemplateFault([document.located("name_mismatch", message, ("name",), hint="name both the same")])
    return document


def _readable(text: str) -> Document | None:
    try:
        return parse(text)
    except TemplateFault:
        return None


def _put(document: Document, *, text: str, actor: str, guard: Callable[[], None] = lambda: None) -> None:
    change = Change(document, text, Source.PUBLISHED)
    activate({document.name: change}, actor=actor, whole=True, guard=guard)


def _first_activation() -> None:
    """What lies on disk goes first: a database with one template only would hide all others."""
    if not Template.objects.exists():
        watching.sync(host=settings.HOST_NAME, directories=settings.TEMPLATE_DIRECTORIES)


def _mark(name: str, *, kind: str, actor: str, reason: str, replaced_by: str) -> Template:
    with transaction.atomic():
        row = Template.objects.select_for_update().filter(name=name, current__isnull=False).first()
        if row is None:
            raise TemplateNotFound(name, known=list(active.templates().documents))
        row.deprecated_at = timezone.now() if kind == "template.deprecated" else None
        row.deprecation, row.replaced_by = reason[:300], replaced_by
        row.save(update_fields=["deprecated_at", "deprecation", "replaced_by"])
        record(kind, row, actor=actor, reason=reason, replaced_by=replaced_by)
    return row
