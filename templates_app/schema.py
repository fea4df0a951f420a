"""The schema of a template,
and how to walk it: the child of a map, the element of a list, how a list merges.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator, ValidationError, validators

from templates_app.yaml_text import Json, Path

Schema: TypeAlias = Mapping[str, Any]
FREE: Schema = {}  # anything goes: what lies beneath `engine.options`


class Strategy(StrEnum):
    """How a list of a later layer meets the list beneath it (``x-merge``)."""

    REPLACE = "replace"
    UNION = "union"
    APPEND = "append"
    KEY = "key"


class Kind(StrEnum):
    """What two values must share to be merged. A reference or null has no kind of its own."""

    MAP = "map"
    LIST = "list"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class ListRule:
    """The strategy of one list, with the name of the key where it is merged by key."""

    strategy: Strategy
    key: str = ""


@functools.cache
def template_schema() -> Schema:
    """The whole document's schema, as shipped."""
    schema: Schema = json.loads(FilePath(__file__).with_name("template.schema.json").read_text("utf-8"))
    return schema


def spec_schema() -> Schema:
    """The schema of ``spec``: complete, with its required fields."""
    schema: Schema = template_schema()["properties"]["spec"]
    return schema


def child(schema: Schema, key: str) -> Schema | None:
    """The schema of one field of a map; None when the map cannot have it."""
    properties = schema.get("properties", {})
    if key in properties:
        return properties[key]  # type: ignore[no-any-return]
    further = schema.get("additionalProperties", True)
    if further is False:
        return None
    return FREE if further is True else further


def element(schema: Schema) -> Schema:
    """The schema of the elements of a list."""
    return schema.get("items", FREE)  # type: ignore[no-any-return]


def list_rule(schema: Schema) -> ListRule:
    """How the list at this place merges; ``replace`` where the schema does not say."""
    return ListRule(Strategy(schema.get("x-merge", "replace")), schema.get("x-merge-key", ""))


def range_fact(schema: Schema) -> str:
    """The fact of the host that bounds a field of ``{request, min}``; empty where a field is no range."""
    return schema.get("x-range", "") if schema else ""


def schema_at(path: Path) -> Schema:
    """The schema of what stands at a path of ``spec``."""
    here = spec_schema()
    for step in path:
        here = element(here) if isinstance(step, int) else child(here, step) or FREE
    return here


def kind_of(value: Json) -> Kind:
    """The kind of a plain value."""
    if isinstance(value, dict):
        return Kind.MAP
    return Kind.LIST if isinstance(value, list) else Kind.SCALAR


def kind_wanted(schema: Schema) -> Kind | None:
    """The kind a place wants; None where anything goes, or a number as well as a range."""
    if not schema or range_fact(schema):
        return None
    return {"object": Kind.MAP, "array": Kind.LIST}.get(str(schema.get("type")), Kind.SCALAR)


def type_name(value: object) -> str:
    """The JSON name of a value's type."""
    names = {bool: "a boolean", int: "an integer", float: "a number", dict: "a map", list: "a list"}
    return "null" if value is None else names.get(type(value), "text")


def problems_of(value: Json, schema: Schema) -> list[tuple[Path, str, str]]:
    """What is wrong with a value: (path beneath it, code, words).

    The words never show a value: it may be a secret.
    """
    if not schema:
        return []
    errors = sorted(_validator(id(schema), schema).iter_errors(value), key=lambda error: list(map(str, error.path)))
    found = [(tuple(error.absolute_path), *_worded(error)) for error in errors]
    return list(dict.fromkeys(found))  # all fields that are missing are named by the first error of theirs


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern of the schema is found;
    ``$`` is the very end, as in ECMA, not "before a last newline".
    """
    return re.search(ecma(pattern), text) is not None


def ecma(pattern: str) -> str:
    """A pattern of the schema as Python reads it."""
    return re.sub(r"\$$", r"\\Z", pattern)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError("does not match")


def _is_integer(_checker: Any, instance: Any) -> bool:
    return isinstance(instance, int) and not isinstance(instance, bool)  # 512.0 would stay a float on its way on


_Validator = validators.extend(
    Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_VALIDATORS: dict[int, Any] = {}  # by id: the schemas live as long as the process


def _validator(key: int, schema: Schema) -> Any:
    if key not in _VALIDATORS:
        _VALIDATORS[key] = _Validator(schema)
    return _VALIDATORS[key]


def _listed(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)


def _worded(error: ValidationError) -> tuple[str, str]:
    rule: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "required":
        return "missing_field", f"lacks {', '.join(name for name in rule if name not in value)}"
    if error.validator == "additionalProperties":
        known: Any = error.schema
        unknown = [repr(name) for name in value if name not in known.get("properties", {})]
        return "unknown_field", f"has no field {', '.join(unknown)}"
    if error.parent is not None or (error.schema_path and "propertyNames" in error.schema_path):
        return "bad_value", f"a key here must match {rule}"
    rule = " or ".join(rule) if error.validator == "type" and isinstance(rule, list) else rule
    article = "an" if str(rule)[:1] in "aeiou" else "a"
    words = {
        "type": ("type_mismatch", f"must be {article} {rule}, not {type_name(error.instance)}"),
        "enum": (
            "bad_value",
            f"must be one of {_listed(rule)}",
        ),
        "const": ("bad_value", f"must be {rule!r}"),
        "minimum": ("bad_value", f"must be at least {rule}"),
        "maximum": ("bad_value", f"must be at most {rule}"),
        "minLength": ("bad_value", "must not be empty"),
        "maxLength": ("bad_value", f"must not be longer than {rule} characters"),
        "minItems": ("bad_value", f"must have at least {rule} element(s)"),
        "maxItems": ("bad_value", f"must not have more than {rule} elements"),
        "maxProperties": ("bad_value", f"must not have more than {rule} keys"),
        "pattern": ("bad_value", f"must match {rule}"),
        "format": ("bad_value", f"must be a {rule}"),
    }
    return words.get(str(error.validator), ("bad_value", f"breaks the rule {error.validator}"))
