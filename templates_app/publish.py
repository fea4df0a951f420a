"""Publishing a template: checked as a whole, then put into the operator's directory in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.db import transaction

from events.faults import Fault
from events.journal import record
from templates_app import library
from templates_app.documents import Document, parse
from templates_app.faults import Located, TemplateFault
from templates_app.resolve import Resolved, resolve


class TemplateExists(Fault):
    """Another text stands under this name and version already."""

    code = "template.exists"
    http_status = 409
    remedy = "Raise the template's version, or choose another name."


def check(text: str, *, directories: Sequence[Path], name: str = "") -> tuple[Document, Resolved]:
    """The document in ``text`` and what it resolves to among the others. Raises with every error and its place.

    With ``name``, the text must hold the template of that name.
    """
    document = parse(text, file=f"{name or 'template'}.yaml")
    if name and document.name != name:
        message = f"the text holds a template named {document.name!r}, not {name!r}"
        raise TemplateFault([document.located("name_mismatch", message, ("name",), hint="name both the same")])
    known = {**library.load(directories).documents, document.name: document}
    return document, resolve(document.name, known)


def publish(text: str, *, directories: Sequence[Path], actor: str) -> Document:
    """Add a template, or a new version of one, to the last directory. The same text again changes nothing.

    A template that would break one of those that build on it is refused.
    """
    document, _ = check(text, directories=directories)
    found = library.load(directories)
    before = found.documents.get(document.name)
    if before is not None and before.version == document.version:
        if before.digest != document.digest:
            raise TemplateExists(f"there is a template {document.name} {document.version} already", pointer="/text")
        return before
    _check_heirs(document, found)
    with transaction.atomic():
        record("template.published", f"template.{document.name}", actor=actor, version=document.version,
               digest=document.digest)  # fmt: skip
        _write(text, to=directories[-1] / f"{document.name}.yaml")
    return document


def _check_heirs(document: Document, found: library.Library) -> None:
    """Whoever resolves now must resolve afterwards."""
    after = {**found.documents, document.name: document}
    for name in found.documents:
        try:
            resolve(name, found)
        except Fault:
            continue  # broken before: not this text's doing
        try:
            resolve(name, after)
        except Fault as fault:
            message = f"it breaks the template {name}, which builds on it: {fault.detail}"
            error = Located(code="breaks_heir", message=message, template=document.name, version=document.version)
            raise TemplateFault([error]) from fault


def _write(text: str, *, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(dir=to.parent, prefix=".", suffix=".new")  # hidden: no reader looks at it
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(fresh, 0o644)
        os.replace(fresh, to)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
