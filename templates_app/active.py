"""The templates in force: the versions that the database holds, the same on every host.

Until the first activation (on a fresh database, for the second until the watcher has looked) the files are read
directly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from templates_app import library
from templates_app.documents import Document, parse
from templates_app.faults import Located, TemplateFault, TemplateNotFound
from templates_app.library import Library
from templates_app.models import Activation, Template, Version
from templates_app.resolve import Resolved, resolve

_KEPT = 4096  # parsed versions; a version never changes, so nothing here ever gets stale
_parsed: OrderedDict[UUID, Document | TemplateFault] = OrderedDict()


def templates() -> Library:
    """All templates in force by name, and what is wrong with those of which none ever was sound."""
    rows = list(Template.objects.values_list("name", "current_id", "refused"))
    if not rows:
        return library.load(settings.TEMPLATE_DIRECTORIES)
    versions = _documents([current for _, current, _ in rows if current is not None])
    documents: dict[str, Document] = {}
    broken: dict[str, TemplateFault] = {}
    for name, current, refused in rows:
        found = versions.get(current) if current is not None else refusal(refused)
        if isinstance(found, Document):
            documents[name] = found
        elif found is not None:
            broken[name] = found
    return Library(documents, broken)


def resolved(
    name: str, *, variables: Mapping[str, object] | None = None, host: Mapping[str, object] | None = None
) -> Resolved:
    """A template in force, resolved; see :func:`templates_app.resolve.resolve`."""
    return resolve(name, templates(), variables=variables, host=host)


def document_of(version: Version) -> Document | TemplateFault:
    """A version's document; a fault where this release of Moorage does not read it any more."""
    if version.pk not in _parsed:
        try:
            _parsed[version.pk] = parse(version.text, file=f"{version.name}.yaml")
        except TemplateFault as fault:
            _parsed[version.pk] = fault
        while len(_parsed) > _KEPT:
            _parsed.popitem(last=False)
    return _parsed[version.pk]


def row(name: str) -> Template | None:
    """What the database says of a name beside its text; None before the first activation."""
    return Template.objects.select_related("current").filter(name=name).first()


def text_of(name: str) -> str:
    """The text in force. Raises TemplateNotFound."""
    found = row(name)
    if found is not None and found.current is not None:
        return found.current.text
    if found is None and not Template.objects.exists() and name in (files := _files()):
        return files[name].text
    raise TemplateNotFound(name, known=list(templates().documents))


def number() -> int:
    """The number of the last activation; 0 before the first."""
    return Activation.objects.values_list("number", flat=True).first() or 0


def _files() -> Mapping[str, library.TemplateFile]:
    return library.files(settings.TEMPLATE_DIRECTORIES)


def _documents(wanted: Iterable[UUID]) -> dict[UUID, Document | TemplateFault]:
    wanted = list(wanted)
    missing = [pk for pk in wanted if pk not in _parsed]
    found = {pk: _parsed[pk] for pk in wanted if pk in _parsed}
    for start in range(0, len(missing), 500):  # SQLite bounds the parameters of one query
        for version in Version.objects.filter(pk__in=missing[start : start + 500]):
            found[version.pk] = document_of(version)
    return found


def refusal(refused: Mapping[str, Any] | None) -> TemplateFault | None:
    """The fault that a row's note tells of; None without one."""
    if not refused:
        return None
    return TemplateFault([Located(**error) for error in refused["errors"]])
