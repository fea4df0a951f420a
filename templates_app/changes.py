"""What differs between two specifications, and which of it reaches a running agent.

Elements of lists are compared as the schema merges them: by key, as a set, or else the list as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from templates_app.documents import shown
from templates_app.layers import identity
from templates_app.schema import FREE, Schema, Strategy, child, element, list_rule, spec_schema
from templates_app.yaml_text import Json


class ChangeKind(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``path`` is for people (``ports.web.description``); ``old`` or ``new`` is None where absent."""

    path: str
    kind: ChangeKind
    old: Json
    new: Json
    live: bool

    def __str__(self) -> str:
        if self.kind is ChangeKind.CHANGED:
            return f"{self.path}: {self.old!r} → {self.new!r}"
        return f"{self.path}: {self.kind} {(self.new if self.kind is ChangeKind.ADDED else self.old)!r}"

    def as_dict(self) -> dict[str, Json]:
        """The JSON form."""
        return {"path": self.path, "kind": self.kind.value, "old": self.old, "new": self.new, "live": self.live}


@dataclass(frozen=True, slots=True)
class Changes:
    """All differences: those that a running agent takes over, and those that need a new one."""

    live: tuple[Change, ...]
    restart: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.live or self.restart)


def changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Changes:
    """From one resolved specification to another, as previews or in clear. Masked secrets are equal to each other."""
    found = diff(old, new)
    return Changes(tuple(one for one in found if one.live), tuple(one for one in found if not one.live))


def diff(old: Mapping[str, Json], new: Mapping[str, Json]) -> tuple[Change, ...]:
    """Every difference, in the order of the schema and then of the values."""
    order = {key: place for place, key in enumerate(spec_schema()["properties"])}
    found = _maps(dict(old), dict(new), spec_schema(), "", live=False)
    return tuple(sorted(found, key=lambda one: order.get(one.path.partition(".")[0].partition("[")[0], len(order))))


def with_live(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """The old specification with the live fields of the new: what a running agent has after a change."""
    return _taken(dict(old), dict(new), spec_schema())


def _taken(old: dict[str, Json], new: dict[str, Json], schema: Schema) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        beneath = child(schema, key) or FREE
        before, after = old.get(key), new.get(key)
        if beneath.get("x-live"):
            if key in new:
                result[key] = after
        elif isinstance(before, dict) and isinstance(after, dict):
            result[key] = _taken(before, after, beneath)
        elif key in old:
            result[key] = before
        elif isinstance(after, dict) and (inner := _taken({}, after, beneath)):
            result[key] = inner
    return result


def _compared(old: Json, new: Json, schema: Schema, path: str, *, live: bool) -> Iterator[Change]:
    live = live or bool(schema.get("x-live"))
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _maps(old, new, schema, path, live=live)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, schema, path, live=live)
    elif identity(old) != identity(new):
        yield Change(path, ChangeKind.CHANGED, old, new, live)


def _maps(old: dict[str, Json], new: dict[str, Json], schema: Schema, path: str, *, live: bool) -> Iterator[Change]:
    for key in [*old, *(key for key in new if key not in old)]:
        beneath = child(schema, key) or FREE
        here = shown((path, key)) if path else key
        if key in old and key in new:
            yield from _compared(old[key], new[key], beneath, here, live=live)
        else:
            yield _one_sided(
                old.get(key), new.get(key), here, added=key in new, live=live or bool(beneath.get("x-live"))
            )


def _lists(old: list[Json], new: list[Json], schema: Schema, path: str, *, live: bool) -> Iterator[Change]:
    rule = list_rule(schema)
    if rule.strategy is Strategy.KEY:
        before, after = _by_key(old, rule.key), _by_key(new, rule.key)
        if len(before) == len(old) and len(after) == len(new):
            yield from _maps(before, after, {"additionalProperties": element(schema)}, path, live=live)
            common = [key for key in before if key in after]
            if common != [key for key in after if key in before]:
                yield Change(path, ChangeKind.CHANGED, list(before), list(after), live)
            return
    if rule.strategy is Strategy.UNION:
        gone = [item for item in old if identity(item) not in {identity(one) for one in new}]
        come = [item for item in new if identity(item) not in {identity(one) for one in old}]
        yield from (_one_sided(item, None, path, added=False, live=live) for item in gone)
        yield from (_one_sided(None, item, path, added=True, live=live) for item in come)
        return
    if identity(old) != identity(new):
        yield Change(path, ChangeKind.CHANGED, old, new, live)


def _by_key(items: list[Json], key: str) -> dict[str, Json]:
    return {str(item[key]): item for item in items if isinstance(item, dict) and key in item}


def _one_sided(old: Json, new: Json, path: str, *, added: bool, live: bool) -> Change:
    return Change(path, ChangeKind.ADDED if added else ChangeKind.REMOVED, old, new, live)
