"""A template's text for readers: the defaults of secret variables masked."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

from ruamel.yaml import YAML

from templates_app.documents import Document, canonical
from templates_app.faults import TemplateFault
from templates_app.variables import MASK
from templates_app.yaml_text import Json, read


def secret_names(documents: Iterable[Document]) -> frozenset[str]:
    """The variables that any template calls secret: once secret in one layer, secret in all that extend it."""
    return frozenset(name for one in documents for name, said in one.variables.items() if said.secret)


def masked_text(text: str, document: Document, *, secret: frozenset[str]) -> str:
    """The text with the mask in place of each secret default, as like the original as that can be."""
    hidden = {
        name: said.default
        for name, said in document.variables.items()
        if said.has_default and (said.secret or name in secret) and said.default not in ("", None)
    }
    if not hidden:
        return text
    wanted = _masked(read(text, file="").value, hidden)
    lines = text.splitlines(keepends=True)
    for name, default in hidden.items():
        at = document.position(("variables", name, "default")).line - 1
        head, found, tail = lines[at].rpartition(str(default))
        lines[at] = f"{head}{MASK if found else ''}{tail}"
    masked = "".join(lines)
    try:
        as_meant = canonical(read(masked, file="").value) == canonical(wanted)
    except TemplateFault:
        as_meant = False
    return masked if as_meant else dumped(wanted)  # with escapes, or over several lines: then the comments go


def dumped(value: Json) -> str:
    """A value as YAML, in the order of its keys."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # its annotation says None
    yaml.width, yaml.allow_unicode = 110, True
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _masked(value: Json, hidden: Mapping[str, Json]) -> Json:
    declared = value.get("variables") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(declared, dict):
        return value
    masked = {
        name: {**said, "default": MASK} if name in hidden and isinstance(said, dict) else said
        for name, said in declared.items()
    }
    return {**value, "variables": masked}
