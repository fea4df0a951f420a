"""Whether the value of a variable fits what is declared of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from templates_app.schema import type_name
from templates_app.yaml_text import Json

KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
}


def mismatch(value: Json, *, type: str | None, secret: bool, enum: Sequence[Json] | None, pattern: str | None) -> str:
    """What is wrong with a value, in words without it; empty when nothing is."""
    kind = type or "string"
    fits = isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if (type is not None or secret) and not fits:
        return f"must be of type {kind}, not {type_name(value)}"
    if enum is not None and _key(value) not in map(_key, enum):
        return f"must be one of {', '.join(map(str, enum))}"
    if pattern is not None and (not isinstance(value, str) or not re.fullmatch(pattern, value)):
        return f"must match {pattern}"
    return ""


def _key(value: Json) -> str:
    """What makes two values one: 1, 1.0, true and "1" all differ."""
    return json.dumps(value, sort_keys=True)
