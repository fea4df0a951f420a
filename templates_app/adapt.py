"""``adapt``: rules for the host at hand. Where one holds, its partial spec is one more layer, over all templates.

Rules apply in the order of the layers, and within one document as they stand. Their conditions know the facts of
the host and nothing else, so that no rule can change whether another holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from templates_app.conditions import BadCondition, holds
from templates_app.declarations import Variable, with_rule
from templates_app.documents import Document, Rule
from templates_app.locks import Locks
from templates_app.merge import Merger
from templates_app.variables import json_copy
from templates_app.yaml_text import MAX_DEPTH, Json

HOST = "host."
MAX_ELEMENTS = 256


@dataclass(frozen=True, slots=True)
class Applied:
    """One rule and whether it holds here; None before the host is known."""

    template: str
    index: int
    when: str
    holds: bool | None


def adapted(
    merger: Merger,
    locks: Locks,
    variables: dict[str, Variable],
    *,
    layers: tuple[Document, ...],
    given: Mapping[str, object] | None,
) -> tuple[dict[str, Variable], tuple[Applied, ...]]:
    """Apply the rules that hold to ``merger``, and what they say of variables.

    Before run time no rule applies, but each is tried by itself: one that could not be merged, or that would change
    what is final, is wrong wherever it holds. What is wrong goes to ``merger.errors`` and ``locks.errors``.
    """
    rules = [(document, index, rule) for document in layers for index, rule in enumerate(document.adapt)]
    if not rules:
        return variables, ()
    merger.errors.extend(
        document.located("undeclared_variable", f"no template declares {name}", (*rule.path, "variables", name))
        for document, _, rule in rules
        for name in rule.variables
        if name not in variables
    )
    if given is None:
        for document, _, rule in rules:
            _try(merger, locks, document, rule)
        return variables, tuple(Applied(document.name, index, rule.when, None) for document, index, rule in rules)
    try:
        host = facts_of(given)
    except ValueError as problem:
        merger.errors.append(layers[-1].located("bad_fact", str(problem), (), hint="the host reports it"))
        return variables, ()
    applied = []
    for document, index, rule in rules:
        try:
            fits = holds(rule.when, host=host)
        except BadCondition as problem:
            merger.errors.append(document.located("bad_condition", f"{rule.when}: {problem}", (*rule.path, "when")))
            continue
        applied.append(Applied(document.name, index, rule.when, fits))
        if fits:
            merger.apply(document, rule.layer)
            locks.check(merger.spec(), document, place=(*rule.path, "set"))
            variables = with_rule(variables, rule, document)
    return variables, tuple(applied)


def _try(merger: Merger, locks: Locks, document: Document, rule: Rule) -> None:
    trial = Merger(merger.spec())
    trial.apply(document, rule.layer)
    merger.errors.extend(trial.errors)
    locks.check(trial.spec(), document, place=(*rule.path, "set"))


def facts_of(given: Mapping[str, object]) -> dict[str, Json]:
    """``host.free.memory_mb`` as ``{"free": {"memory_mb": …}}``: the facts as a condition reads them.

    Raises ValueError for what is no fact, and for what would take a condition too long.
    """
    facts: dict[str, Any] = {}
    for name, value in sorted(given.items()):
        if not name.startswith(HOST):
            continue
        *way, last = name.removeprefix(HOST).split(".")
        here = facts
        if len(way) > MAX_DEPTH:
            raise ValueError("a fact is nested too deep")
        for step in way:
            here = here.setdefault(step, {})
            if not isinstance(here, dict):
                raise ValueError(f"{name}: {step} is a value of its own")
        try:
            here[last] = json_copy(value)
        except TypeError as error:
            raise ValueError(f"{name} is no fact that can be compared") from error
    if len(facts) > MAX_ELEMENTS:
        raise ValueError(f"there are more than {MAX_ELEMENTS} facts")
    for name, value in facts.items():
        _check_length(HOST + name, value)
    return facts


def _check_length(name: str, value: Json) -> None:
    """Raise ValueError where a list, a map or a text in a fact is too long, at whatever depth."""
    if isinstance(value, dict | list | str) and len(value) > MAX_ELEMENTS:
        what = "characters" if isinstance(value, str) else "elements"
        raise ValueError(f"{name} has more than {MAX_ELEMENTS} {what}")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_length(name, item)
