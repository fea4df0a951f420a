"""Putting changed templates into force: judged with all that build on them, then all at once, or refused.

What is refused leaves the last good version in force and a note on the template, which every screen shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from events.faults import Fault, FaultClass
from events.journal import record
from templates_app import active, verdicts
from templates_app.documents import Document
from templates_app.faults import MAX_SHOWN, TemplateFault
from templates_app.models import Activation, Source, Template, Version

TOPIC = "library.templates"
_ATTEMPTS = 8
_NAMED = 200  # names in an event


class Overtaken(Fault):
    """Others changed templates again and again while ours were judged."""

    fault_class = FaultClass.TRANSIENT
    code = "template.overtaken"
    http_status = 409
    remedy = "Try again."


@dataclass(frozen=True, slots=True)
class Change:
    """What a name shall be from now on: a document with its text, nothing (both None), or a fault to be noted."""

    document: Document | None
    text: str
    source: Source
    host: str = ""
    fault: TemplateFault | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``number`` is that of the activation; None where nothing in force changed."""

    number: int | None = None
    changed: tuple[str, ...] = ()
    refused: Mapping[str, TemplateFault] = field(default_factory=dict)
    heirs: tuple[str, ...] = ()  # who builds on what changed, and was judged with it


def activate(
    changes: Mapping[str, Change], *, actor: str, whole: bool = False, guard: Callable[[], None] = lambda: None
) -> Outcome:
    """Put into force what is sound, in one activation, and note what is not.

    With ``whole``, one refusal refuses all, and raises it without a note: a person waits for the answer. ``guard`` is
    asked once more in the transaction and may raise. Raises Overtaken when others were faster every time.
    """
    for _ in range(_ATTEMPTS):
        number = active.number()
        documents = active.templates().documents
        broken = {name: change.fault for name, change in changes.items() if change.fault is not None}
        verdict = verdicts.judge(documents, {n: c.document for n, c in changes.items() if n not in broken})
        refused = {**broken, **verdict.refused}
        if whole and refused:
            raise refused[min(refused)]
        accepted = {name: changes[name] for name in verdict.accepted}
        try:
            with transaction.atomic():
                guard()
                changed = _put(accepted, actor=actor, number=number + 1)
                _note(refused, changes, actor=actor)
        except IntegrityError:
            if active.number() == number:
                raise
            continue  # somebody else's activation has this number: judge against what is in force now
        return Outcome(number + 1 if changed else None, changed, refused, verdict.heirs)
    raise Overtaken("templates were changed by others all the time")


def _put(accepted: Mapping[str, Change], *, actor: str, number: int) -> tuple[str, ...]:
    """Inside the transaction. Returns the names of which another version, or none, is in force now."""
    now = timezone.now()
    rows = {row.name: row for row in Template.objects.select_related("current").filter(name__in=accepted)}
    before = {name: row.current.digest if row.current else None for name, row in rows.items()}
    after = {name: change.document.digest if change.document else None for name, change in accepted.items()}
    changed = tuple(sorted(name for name in accepted if before.get(name) != after[name]))
    if changed:
        # The number first: who is second fails here, before anything else is written.
        changes = {name: [before.get(name), after[name]] for name in changed}
        Activation.objects.create(number=number, at=now, actor=actor[:150], changes=changes)
    versions = _versions(accepted, actor=actor, now=now)
    for name, change in accepted.items():
        row = rows.get(name) or Template(name=name)
        if name not in changed and name in rows and row.refused is None and row.source == change.source:
            continue
        row.current = versions[change.document.digest] if change.document else None
        row.source, row.host, row.refused = change.source, change.host, None
        row.activated_at = now if name in changed or row.activated_at is None else row.activated_at
        row.save(force_insert=name not in rows)
        if name in changed and change.source == Source.PUBLISHED and change.document is not None:
            said = {"version": change.document.version, "digest": change.document.digest}
            record("template.published", row, actor=actor, **said)
    if changed:
        names, gone = list(changed[:_NAMED]), [name for name in changed if after[name] is None][:_NAMED]
        record("templates.activated", TOPIC, actor=actor, activation=number, count=len(changed), names=names,
               removed=gone)  # fmt: skip
    return changed


def _versions(accepted: Mapping[str, Change], *, actor: str, now: datetime) -> dict[str, Version]:
    """The version row of each document, made where there is none yet."""
    wanted = {c.document.digest: c for c in accepted.values() if c.document is not None}
    Version.objects.bulk_create(
        [
            Version(
                digest=digest, name=change.document.name, version=change.document.version, text=change.text,
                created_at=now, created_by=actor[:150],
            )
            for digest, change in wanted.items()
            if change.document is not None
        ],
        ignore_conflicts=True, batch_size=100,
    )  # fmt: skip
    return {version.digest: version for version in _by_digest(list(wanted))}


def _by_digest(digests: list[str]) -> Iterable[Version]:
    for start in range(0, len(digests), 500):
        yield from Version.objects.filter(digest__in=digests[start : start + 500])


def _note(refused: Mapping[str, TemplateFault], changes: Mapping[str, Change], *, actor: str) -> None:
    """The badge of each refused template, and an event when it is news. Inside the transaction."""
    rows = {row.name: row for row in Template.objects.filter(name__in=refused)}
    for name, fault in refused.items():
        row = rows.get(name) or Template(name=name, source=changes[name].source, host=changes[name].host)
        errors: list[dict[str, Any]] = [error.as_dict() for error in fault.errors[:MAX_SHOWN]]
        if row.refused is not None and row.refused["errors"] == errors:
            continue
        row.refused = {
            "at": timezone.now().isoformat(), "actor": actor, "source": changes[name].source,
            "host": changes[name].host, "errors": errors, "count": len(fault.errors),
        }  # fmt: skip
        row.save(force_insert=name not in rows)
        record(
            "template.refused", row, actor=actor, reason=fault.detail, errors=errors[:20],
            kept=row.current_id is not None,
        )  # fmt: skip
