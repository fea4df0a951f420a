"""What differs between two resolved specifications, and what of it reaches a running agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from templates_app.documents import shown
from templates_app.schema import FREE, Schema, Strategy, child, element, list_rule, spec_schema
from templates_app.yaml_text import Json, Path


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is new, gone or other. ``path`` is for people; ``live`` ones need no restart."""

    path: str
    kind: str  # added, removed, changed
    before: Json
    after: Json
    live: bool

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.path, "kind": self.kind, "before": self.before, "after": self.after, "live": self.live,
        }  # fmt: skip


_ABSENT = object()


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[Difference, ...]:
    """All differences, in the order of the schema-less walk: the keys before, then the new ones.

    Maps are compared key by key, lists merged by key element by element, other lists as a whole.
    """
    return tuple(_walk(dict(before), dict(after), spec_schema(), (), live=False))


def live_part(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """``before`` with the fields marked ``x-live`` taken from ``after``; all others stay."""
    return _taken(dict(before), dict(after), spec_schema())


def _walk(before: Any, after: Any, schema: Schema, path: Path, *, live: bool) -> Iterator[Difference]:
    live = live or bool(schema.get("x-live"))
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            beneath = child(schema, key) or FREE
            yield from _walk(before.get(key, _ABSENT), after.get(key, _ABSENT), beneath, (*path, key), live=live)
        return
    rule = list_rule(schema)
    if isinstance(before, list) and isinstance(after, list) and rule.strategy is Strategy.KEY:
        olds, news = ({item[rule.key]: item for item in items} for items in (before, after))
        for name in [*olds, *(name for name in news if name not in olds)]:
            found = olds.get(name, _ABSENT), news.get(name, _ABSENT)
            yield from _walk(*found, element(schema), (*path, name), live=live)
        return
    if before is not _ABSENT and after is not _ABSENT and _same(before, after):
        return
    kind = "added" if before is _ABSENT else "removed" if after is _ABSENT else "changed"
    old, new = (None if value is _ABSENT else value for value in (before, after))
    if before is not _ABSENT or after is not _ABSENT:
        yield Difference(shown(path), kind, old, new, live)


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _taken(before: dict[str, Json], after: dict[str, Json], schema: Schema) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key in [*before, *(key for key in after if key not in before)]:
        beneath = child(schema, key) or FREE
        old, new = before.get(key), after.get(key)
        if beneath.get("x-live"):
            if key in after:
                result[key] = after[key]
        elif isinstance(new, dict) and _has_live(beneath):
            result[key] = _taken(old if isinstance(old, dict) else {}, new, beneath)
        elif key in before:
            result[key] = before[key]
    return result


def _has_live(schema: Schema) -> bool:
    return any(one.get("x-live") or _has_live(one) for one in schema.get("properties", {}).values())
