"""What is wrong with one layer, before it meets any other: unknown fields, kinds, directives, keys of lists.

A layer may be incomplete, and a value with ``${…}`` in it is not judged here but in the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from templates_app.faults import did_you_mean
from templates_app.schema import (
    Kind,
    Schema,
    Strategy,
    child,
    element,
    kind_of,
    kind_wanted,
    list_rule,
    problems_of,
    range_fact,
    spec_schema,
    type_name,
)
from templates_app.substitution import has_reference, syntax_problem
from templates_app.yaml_text import Json, Path

DIRECTIVES = ("$replace", "$append", "$prepend", "$remove", "$delete")

Problem: TypeAlias = tuple[str, str, Path, str]  # code, words, path beneath spec, hint


def directives_in(value: dict[str, Json]) -> list[str]:
    """The keys that are meant as directives: a leading ``$`` that is not doubled."""
    return [key for key in value if key.startswith("$") and not key.startswith("$$")]


def plain_key(key: str) -> str:
    """A key as it will stand in the result: ``$$x`` is ``$x``."""
    return key[1:] if key.startswith("$$") else key


def layer_problems(spec: Json) -> list[Problem]:
    """All problems of a layer's ``spec``, in the order of the file."""
    if not isinstance(spec, dict):
        return [
            ("type_mismatch", f"must be a map, not {type_name(spec)}", (), "its fields are named in the documentation")
        ]
    if directives_in(spec):
        return [("bad_directive", "the spec as a whole takes no directive", (), "put it on one of its fields")]
    return list(_value(spec, spec_schema(), ()))


def _value(value: Json, schema: Schema, path: Path) -> Iterator[Problem]:
    if isinstance(value, str) and has_reference(value):
        if problem := syntax_problem(value):
            yield "bad_substitution", problem, path, "a literal ${ is written $${"
        return
    if isinstance(value, dict) and directives_in(value):
        yield from _directive(value, schema, path)
        return
    wanted = kind_wanted(schema)
    if range_fact(schema) and isinstance(value, dict):
        yield from _map(value, schema, path)
    elif wanted is not None and kind_of(value) is not wanted:
        words = f"must be a {wanted}, not {type_name(value)}"
        yield ("type_mismatch", words if wanted is not Kind.SCALAR else _first(value, schema), path, "")
    elif isinstance(value, dict):
        yield from _map(value, schema, path)
    elif isinstance(value, list) and not range_fact(schema):
        yield from _list(value, schema, path)
    else:
        yield from ((code, words, path, "") for _, code, words in problems_of(value, schema))


def _first(value: Json, schema: Schema) -> str:
    problems = problems_of(value, schema)
    return problems[0][2] if problems else f"must not be {type_name(value)}"


def _map(value: dict[str, Json], schema: Schema, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    for raw, content in value.items():
        key = plain_key(raw)
        beneath = child(schema, key)
        if key in seen:
            yield "duplicate_key", f"{key!r} stands here twice", (*path, raw), ""
        elif beneath is None:
            hint = did_you_mean(key, schema.get("properties", {}))
            yield "unknown_field", f"there is no field {key!r} here", (*path, raw), hint
        elif "propertyNames" in schema and problems_of(key, schema["propertyNames"]):
            pattern = schema["propertyNames"]["pattern"]
            yield "bad_value", f"a key here must match {pattern}", (*path, raw), ""
        else:
            yield from _value(content, beneath, (*path, raw))
        seen.add(key)


def _list(value: list[Json], schema: Schema, path: Path) -> Iterator[Problem]:
    rule = list_rule(schema)
    seen: set[str] = set()
    for index, item in enumerate(value):
        here = (*path, index)
        if rule.strategy is not Strategy.KEY:
            yield from _element(item, schema, here)
            continue
        name = item.get(rule.key) if isinstance(item, dict) else None
        if not isinstance(name, str) or not name or not isinstance(item, dict):
            yield "missing_merge_key", f"each element here needs its {rule.key!r}", here, ""
        elif has_reference(name):
            yield "missing_merge_key", f"{rule.key!r} decides the merge: no variables in it", here, ""
        elif name in seen:
            yield "duplicate_item", f"{name!r} stands in this list twice", here, ""
        elif directives_in(item):
            yield from _deletion(item, rule.key, here)
        else:
            yield from _element(item, schema, here)
        seen.add(str(name))


def _element(item: Json, schema: Schema, path: Path) -> Iterator[Problem]:
    if isinstance(item, dict) and directives_in(item):
        yield "bad_directive", "an element of this list takes no directive", path, "use $remove on the list"
        return
    yield from _value(item, element(schema), path)


def _deletion(item: dict[str, Json], key: str, path: Path) -> Iterator[Problem]:
    if set(item) != {key, "$delete"} or item["$delete"] is not True:
        words = f"beside its {key!r}, an element takes only `$delete: true`"
        yield "bad_directive", words, path, ""


def _directive(value: dict[str, Json], schema: Schema, path: Path) -> Iterator[Problem]:
    names = directives_in(value)
    if unknown := [name for name in names if name not in DIRECTIVES]:
        hint = did_you_mean(unknown[0], DIRECTIVES) or "a key with a leading $ is written $$"
        yield "bad_directive", f"there is no directive {unknown[0]}", path, hint
        return
    if len(value) != 1:
        yield "bad_directive", f"{names[0]} stands alone in its map", path, ""
        return
    name, content = next(iter(value.items()))
    here = (*path, name)
    if name == "$delete":
        if content is not True:
            yield "bad_directive", "$delete takes `true`", here, ""
    elif name == "$replace":
        if isinstance(content, dict) and directives_in(content):
            yield "bad_directive", "a directive cannot stand directly in another", here, ""
        else:
            yield from _value(content, schema, here)
    elif kind_wanted(schema) not in (Kind.LIST, None) or range_fact(schema):
        yield "bad_directive", f"{name} works on lists, and this is none", here, ""
    elif not isinstance(content, list):
        yield "bad_directive", f"{name} takes a list", here, ""
    elif name == "$remove":
        yield from _removals(content, schema, here)
    else:
        yield from _list(content, schema, here)


def _removals(content: list[Json], schema: Schema, path: Path) -> Iterator[Problem]:
    keyed = list_rule(schema).strategy is Strategy.KEY
    for index, item in enumerate(content):
        if keyed and not isinstance(item, str):
            yield "bad_directive", "$remove takes the names of the elements", (*path, index), ""
        elif isinstance(item, str) and has_reference(item):
            yield "bad_directive", "$remove happens before variables are known", (*path, index), ""
