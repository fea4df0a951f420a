"""A quick yes or no by the same schema: whether a value is sound at all, before anybody asks what is wrong with it.

A resolved template is checked whenever it is resolved, and is nearly always sound; jsonschema takes longer over that
than all the merging does. What it would say and what this says is compared by a test. A rule that is not known here
is refused when the schema is read, so that none is passed over. Values are plain: no :class:`Secret` among them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from templates_app.schema import Schema, ecma, spec_schema

Check: TypeAlias = Callable[[Any], bool]

_ANNOTATIONS = frozenset({"description", "title", "x-merge", "x-merge-key", "x-live", "x-range"})
_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


@functools.cache
def spec_check(*, abstract: bool) -> Check:
    """The check of a whole ``spec``; one that is abstract need not be complete."""
    return compiled(spec_schema(), abstract=abstract)


def compiled(schema: Schema | bool, *, abstract: bool = False) -> Check:
    """The check of one schema."""
    if schema is True:
        return lambda _value: True
    if schema is False:
        return lambda _value: False
    checks: list[Check] = []
    rules = {key: rule for key, rule in schema.items() if key not in _ANNOTATIONS}
    if "type" in rules:
        checks.append(_type(rules.pop("type")))
    if "enum" in rules:
        checks.append(_enum(rules.pop("enum")))
    by_kind = {
        dict: _object({key: rules.pop(key) for key in [*rules] if key in _OF_OBJECTS}, abstract),
        list: _array({key: rules.pop(key) for key in [*rules] if key in _OF_ARRAYS}, abstract),
        str: _string({key: rules.pop(key) for key in [*rules] if key in _OF_STRINGS}),
        int: _number({key: rules.pop(key) for key in [*rules] if key in _OF_NUMBERS}),
    }
    by_kind[float] = by_kind[int]
    if rules:
        raise ValueError(f"the schema has rules that are not known here: {', '.join(rules)}")

    def check(value: Any) -> bool:
        kind = by_kind.get(value.__class__)
        return all(one(value) for one in checks) and (kind is None or kind(value))

    return check


def _type(rule: str | list[str]) -> Check:
    wanted = frozenset(_TYPES[one] for one in ([rule] if isinstance(rule, str) else rule))
    return lambda value: value.__class__ in wanted


def _enum(rule: list[str]) -> Check:
    if not all(isinstance(one, str) for one in rule):
        raise ValueError("an enum of the spec holds texts")
    allowed = frozenset(rule)
    return lambda value: value.__class__ is str and value in allowed


_OF_OBJECTS = frozenset({"properties", "additionalProperties", "required", "propertyNames", "maxProperties"})
_OF_ARRAYS = frozenset({"items", "minItems", "maxItems"})
_OF_STRINGS = frozenset({"minLength", "maxLength", "pattern"})
_OF_NUMBERS = frozenset({"minimum", "maximum"})


def _object(rules: dict[str, Any], abstract: bool) -> Check:
    known = {key: compiled(inner, abstract=abstract) for key, inner in rules.get("properties", {}).items()}
    other = compiled(rules.get("additionalProperties", True), abstract=abstract)
    required = frozenset() if abstract else frozenset(rules.get("required", ()))
    most = rules.get("maxProperties")
    name = compiled(rules["propertyNames"]) if "propertyNames" in rules else None

    def check(value: dict[str, Any]) -> bool:
        if (most is not None and len(value) > most) or not required <= value.keys():
            return False
        return all(known.get(key, other)(item) and (name is None or name(key)) for key, item in value.items())

    return check


def _array(rules: dict[str, Any], abstract: bool) -> Check:
    least, most = rules.get("minItems", 0), rules.get("maxItems", float("inf"))
    element = compiled(rules.get("items", True), abstract=abstract)
    return lambda value: least <= len(value) <= most and all(map(element, value))


def _string(rules: dict[str, Any]) -> Check:
    least, most = rules.get("minLength", 0), rules.get("maxLength", float("inf"))
    pattern = re.compile(ecma(rules["pattern"])) if "pattern" in rules else None
    return lambda value: least <= len(value) <= most and (pattern is None or pattern.search(value) is not None)


def _number(rules: dict[str, Any]) -> Check:
    least, most = rules.get("minimum", float("-inf")), rules.get("maximum", float("inf"))
    return lambda value: least <= value <= most
