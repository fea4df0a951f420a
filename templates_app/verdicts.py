"""Whether changes to templates can go into force: pure, documents in, verdict out.

Each changed template is judged together with every template that builds on it. What stands on its own goes on its
own: of several changes, those that break something are refused, the others are not held up by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from events.faults import Fault
from templates_app.documents import Document
from templates_app.faults import MAX_SHOWN, Located, TemplateFault
from templates_app.resolve import resolve

Changes = Mapping[str, Document | None]  # by name; None takes the template away


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which changes may go into force together, why the others may not, and who was looked at besides."""

    accepted: dict[str, Document | None]
    refused: dict[str, TemplateFault]
    heirs: tuple[str, ...]


def judge(documents: Mapping[str, Document], changes: Changes) -> Verdict:
    """The largest set of changes after which every template resolves that is changed or resolves now.

    A change that is wrong by itself is dropped; so are the changes beneath an unchanged template that would break.
    """
    accepted: dict[str, Document | None] = dict(changes)
    refused: dict[str, TemplateFault] = {}
    while True:
        after = applied(documents, accepted)
        heirs = heirs_of(accepted, documents) | heirs_of(accepted, after)
        failures = _failures({*accepted, *heirs} & after.keys(), after)
        changed = [name for name in failures if name in accepted]
        if changed:
            # Only those that stand on no other failing change: the rest may be sound over what was there before.
            dropped = {name: failures[name] for name in changed if not ancestors_of(name, after) & {*changed} - {name}}
            dropped = dropped or {name: failures[name] for name in changed}  # a circle of them
        else:
            dropped = _blamed(failures, documents, after, accepted)
        if not dropped:
            return Verdict(accepted, refused, tuple(sorted(heirs - accepted.keys())))
        for name, fault in dropped.items():
            refused[name] = fault
            del accepted[name]


def applied(documents: Mapping[str, Document], changes: Changes) -> dict[str, Document]:
    """The documents after the changes."""
    after = {name: document for name, document in documents.items() if name not in changes}
    return after | {name: document for name, document in changes.items() if document is not None}


def heirs_of(names: Iterable[str], documents: Mapping[str, Document]) -> set[str]:
    """All that build on one of the names, near and far; not the names themselves unless they build on each other."""
    children: dict[str, list[str]] = {}
    for document in documents.values():
        for parent in document.extends:
            children.setdefault(parent.name, []).append(document.name)
    return _reached(names, lambda name: children.get(name, ()))


def ancestors_of(name: str, documents: Mapping[str, Document]) -> set[str]:
    """All that a template builds on, also names of which there is none."""
    return _reached([name], lambda one: [p.name for p in documents[one].extends] if one in documents else ())


def _reached(names: Iterable[str], nexts: Callable[[str], Iterable[str]]) -> set[str]:
    waiting, found = list(names), set[str]()
    while waiting:
        for name in nexts(waiting.pop()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _failures(names: Iterable[str], documents: Mapping[str, Document]) -> dict[str, TemplateFault]:
    failures = {}
    for name in sorted(names):
        if (fault := failure_of(name, documents)) is not None:
            failures[name] = fault
    return failures


def failure_of(name: str, documents: Mapping[str, Document]) -> TemplateFault | None:
    """Why a template does not resolve; None where it does."""
    try:
        resolve(name, documents)
    except TemplateFault as fault:
        return fault
    except Fault as fault:
        return TemplateFault([Located(code=fault.code, message=fault.detail, template=name)])
    return None


def _blamed(
    failures: Mapping[str, TemplateFault],
    before: Mapping[str, Document],
    after: Mapping[str, Document],
    accepted: Changes,
) -> dict[str, TemplateFault]:
    """The changes that break templates which nobody changed, with which these are."""
    blamed: dict[str, list[Located]] = {}
    for heir, fault in failures.items():
        if failure_of(heir, before) is not None:
            continue  # broken before: not these changes' doing
        for name in (ancestors_of(heir, before) | ancestors_of(heir, after)) & accepted.keys():
            document = accepted[name]
            message = f"it breaks {heir}, which builds on it: {fault.errors[0].message}"
            place = fault.errors[0] if fault.errors[0].template == name else None
            blamed.setdefault(name, []).append(
                Located(
                    code="breaks_heir",
                    message=message,
                    path=fault.errors[0].path,
                    template=name,
                    version=document.version if document else "",
                    file=document.file if document else "",
                    line=place.line if place else 0,
                    column=place.column if place else 0,
                    hint="change both at once, or keep what the other needs",
                )
            )
    return {name: TemplateFault(errors[:MAX_SHOWN]) for name, errors in blamed.items()}
