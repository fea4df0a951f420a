"""The order of layers: C3 linearisation over several parents.

After Barrett et al., "A Monotonic Superclass Linearization for Dylan" (OOPSLA 1996), over the reversed list
of parents: what ``extends`` lists later wins. The order depends on the documents only, never on how they were
loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from templates_app.constraints import exclude_each_other, fits
from templates_app.documents import Document, Parent
from templates_app.faults import Located, TemplateFault, TemplateNotFound, did_you_mean

MAX_DEPTH = 32
MAX_ANCESTORS = 64


def linearise(name: str, documents: Mapping[str, Document]) -> tuple[Document, ...]:
    """The ancestors of ``name`` and itself, in order of application: each once, before all that extend it.

    Raises :class:`TemplateNotFound` for an unknown name, :class:`TemplateFault` for anything wrong above it.
    """
    if name not in documents:
        raise TemplateNotFound(name, known=list(documents))
    ancestors = _ancestors(name, documents)
    if errors := _version_errors(name, ancestors):
        raise TemplateFault(errors)
    orders: dict[str, tuple[str, ...]] = {}
    for one in ancestors:  # parents before children
        orders[one] = _c3(documents[one], orders)
    return tuple(documents[one] for one in reversed(orders[name]))


def _ancestors(name: str, documents: Mapping[str, Document]) -> dict[str, Document]:
    """All ancestors and ``name``, parents before children. Raises for what is missing, doubled or cyclic."""
    done: dict[str, Document] = {}
    depth: dict[str, int] = {}
    errors: list[Located] = []

    def visit(document: Document, above: tuple[str, ...]) -> None:
        if document.name in done:
            return
        path = (*above, document.name)
        if len(path) > MAX_ANCESTORS + 1:  # bounds the recursion too
            raise TemplateFault([document.located("too_many", f"more than {MAX_ANCESTORS} ancestors", ("extends",))])
        for index, parent in enumerate(document.extends):
            place = ("extends", index)
            if parent.name in [earlier.name for earlier in document.extends[:index]]:
                errors.append(document.located("duplicate_parent", f"{parent.name} is listed twice", place))
            elif parent.name in path:
                cycle = " → ".join([*path[path.index(parent.name) :], parent.name])
                errors.append(document.located("cycle", f"these templates extend each other: {cycle}", place))
            elif parent.name not in documents:
                hint = did_you_mean(parent.name, documents)
                errors.append(
                    document.located("parent_not_found", f"there is no template {parent.name!r}", place, hint=hint)
                )
            else:
                visit(documents[parent.name], path)
        done[document.name] = document
        depth[document.name] = 1 + max((depth.get(parent.name, 0) for parent in document.extends), default=0)

    visit(documents[name], ())
    root = documents[name]
    if not errors and depth[name] - 1 > MAX_DEPTH:
        errors.append(root.located("too_deep", f"more than {MAX_DEPTH} levels of parents", ("extends",)))
    if not errors and len(done) - 1 > MAX_ANCESTORS:
        errors.append(root.located("too_many", f"more than {MAX_ANCESTORS} ancestors", ("extends",)))
    if errors:
        raise TemplateFault(errors)
    return done


@dataclass(frozen=True, slots=True)
class _Sequence:
    """One order to be respected, and who asks for it."""

    names: tuple[str, ...]
    source: str


def _c3(document: Document, orders: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The document and its ancestors, most specific first."""
    parents = [parent.name for parent in reversed(document.extends)]
    sequences = [_Sequence(orders[parent], f"the order of {parent}") for parent in parents]
    sequences.append(_Sequence(tuple(parents), f"extends of {document.name}"))
    order = [document.name]
    while sequences := [sequence for sequence in sequences if sequence.names]:
        tails = {name for sequence in sequences for name in sequence.names[1:]}
        chosen = next((sequence.names[0] for sequence in sequences if sequence.names[0] not in tails), None)
        if chosen is None:
            raise TemplateFault([_inconsistent(document, sequences)])
        order.append(chosen)
        sequences = [_Sequence(one.names[1:], one.source) if one.names[0] == chosen else one for one in sequences]
    return tuple(order)


def _inconsistent(document: Document, sequences: list[_Sequence]) -> Located:
    """Every head is behind another:
    follow that until it closes, and name each constraint on the way round.
    """
    heads = {sequence.names[0]: sequence for sequence in sequences}
    current = sequences[0].names[0]
    trail: list[tuple[str, str, str]] = []  # (applied first, applied after it, who says so)
    seen: list[str] = []
    while current not in seen:
        seen.append(current)
        blocker = next(sequence for sequence in sequences if current in sequence.names[1:])
        trail.append((current, blocker.names[0], blocker.source))
        current = heads[blocker.names[0]].names[0]
    wishes = [f"{first} before {then} ({source})" for first, then, source in trail[seen.index(current) :]]
    message = f"no order satisfies all of: {'; '.join(wishes)}"
    return document.located("inconsistent_order", message, ("extends",), hint="list the parents in the same order")


def _version_errors(name: str, ancestors: Mapping[str, Document]) -> list[Located]:
    """What ``extends: name@constraint`` asks for and does not get: of two wishes that no version meets, both."""
    errors: list[Located] = []
    wishes: dict[str, list[tuple[Document, Parent]]] = {}
    for document in ancestors.values():
        for index, parent in enumerate(document.extends):
            if not parent.constraint:
                continue
            place = ("extends", index)
            earlier = wishes.setdefault(parent.name, [])
            rival = next((one for one in earlier if exclude_each_other(one[1].constraint, parent.constraint)), None)
            earlier.append((document, parent))
            there = ancestors[parent.name].version
            if rival is not None:
                paths = " and ".join(
                    f"{' → '.join(_chain(name, child.name, ancestors))} wants {want.name}@{want.constraint}"
                    for child, want in (rival, (document, parent))
                )
                hint = f"{parent.name} {there} is there; let both ask for one version"
                errors.append(document.located("version_conflict", paths, place, hint=hint))
            elif not fits(there, parent.constraint):
                message = f"{parent.name}@{parent.constraint} is asked for, {there} is there"
                hint = f"ask for {parent.name}@{there}, or publish a version that fits"
                errors.append(document.located("version_not_found", message, place, hint=hint))
    return errors


def _chain(name: str, goal: str, ancestors: Mapping[str, Document]) -> list[str]:
    """A path of ``extends`` from ``name`` to ``goal``."""
    waiting = [[name]]
    seen = {name}
    while waiting:
        path = waiting.pop(0)
        if path[-1] == goal:
            return path
        for parent in ancestors[path[-1]].extends:
            if parent.name not in seen:
                seen.add(parent.name)
                waiting.append([*path, parent.name])
    return [goal]
