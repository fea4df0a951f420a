"""One template document: the envelope around a layer, parsed, checked and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from templates_app.envelope import RUNTIME_ROOTS, adapt_problems, envelope_problems, shown
from templates_app.faults import Located, TemplateFault
from templates_app.layers import Locate, MapLayer, prepared
from templates_app.nodes import How, Written
from templates_app.schema import spec_schema
from templates_app.validate import layer_problems
from templates_app.yaml_text import Json, Path, Position, read


@dataclass(frozen=True, slots=True)
class Parent:
    """One name in ``extends``, and the versions of it that will do: ``2.1``, ``>=1.2,<3``; empty for any."""

    name: str
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of ``adapt``: where the condition holds, a layer of its own, and values of variables."""

    when: str
    layer: MapLayer = field(repr=False)
    variables: Mapping[str, Json]
    path: Path


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one layer says of one variable; None where it says nothing."""

    type: str | None = None
    has_default: bool = False
    default: Json = None
    secret: bool = False
    required: bool | None = None
    enum: tuple[Json, ...] | None = None
    pattern: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A template as written.

    ``spec`` is shared and never changed; ``positions`` places every path of the file.
    """

    name: str
    version: str
    extends: tuple[Parent, ...]
    abstract: bool
    description: str
    labels: Mapping[str, str]
    final: tuple[str, ...]
    variables: Mapping[str, Declaration]
    spec: Mapping[str, Json]
    digest: str
    file: str
    positions: Mapping[Path, Position] = field(repr=False)
    layer: MapLayer = field(repr=False, compare=False)  # ``spec``, made ready to be merged
    adapt: tuple[Rule, ...] = ()

    def located(self, code: str, message: str, path: Path, *, hint: str = "") -> Located:
        """An error at ``path`` of this file, or at the nearest thing above it that the file has."""
        return _located(code, message, path, self.positions, self.file, self.name, self.version, hint=hint)

    def position(self, path: Path) -> Position:
        """Where ``path`` or the nearest thing above it stands."""
        return _position(path, self.positions)


__all__ = ["RUNTIME_ROOTS", "Declaration", "Document", "Parent", "Rule", "canonical", "digest_of", "parse", "shown"]


def parse(text: str | bytes, *, file: str = "") -> Document:
    """The document in ``text`` (YAML 1.2 or JSON).

    Raises :class:`TemplateFault` with every error of the layer.
    """
    content = read(text, file=file)
    value, positions = content.value, content.positions
    name, version = _said(value, "name"), _said(value, "version")

    def located(code: str, message: str, path: Path, hint: str = "") -> Located:
        return _located(code, message, path, positions, file, name, version, hint=hint)

    if not isinstance(value, dict):
        raise TemplateFault([located("type_mismatch", "A template is a map.", ())])
    errors = [located(*problem) for problem in envelope_problems(value)]
    spec = value.get("spec", {})
    errors += [located(code, message, ("spec", *path), hint) for code, message, path, hint in layer_problems(spec)]
    errors += [located(*problem) for problem in adapt_problems(value)]
    if errors:
        raise TemplateFault(errors)
    return _document(value, positions=positions, file=file)


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no blanks. What digests are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _said(value: Json, key: str) -> str:
    """A text of the envelope before it is known to be one, for error messages."""
    text = value.get(key) if isinstance(value, dict) else None
    return text[:64] if isinstance(text, str) else ""


def _document(value: dict[str, Json], *, positions: Mapping[Path, Position], file: str) -> Document:
    """Build from a value that the schema has accepted."""
    extends = value.get("extends", [])
    declared: dict[str, Json] = value.get("variables", {})  # type: ignore[assignment]
    spec: dict[str, Json] = value.get("spec", {})  # type: ignore[assignment]
    locate = _locator(str(value["name"]), str(value["version"]), file, positions)
    return Document(
        name=str(value["name"]),
        version=str(value["version"]),
        extends=tuple(_parent(str(one)) for one in (extends if isinstance(extends, list) else [extends])),
        abstract=bool(value.get("abstract", False)),
        description=str(value.get("description", "")),
        labels=value.get("labels", {}),  # type: ignore[arg-type]
        final=tuple(value.get("final", ())),  # type: ignore[arg-type]
        variables={name: _declaration(one) for name, one in declared.items()},  # type: ignore[arg-type]
        spec=spec,
        digest=digest_of(value),
        file=file,
        positions=positions,
        layer=prepared(spec, spec_schema(), ("spec",), locate=locate),
        adapt=tuple(_rule(rule, index, locate) for index, rule in enumerate(value.get("adapt", []))),  # type: ignore
    )


def _rule(rule: dict[str, Json], index: int, locate: Locate) -> Rule:
    path: Path = ("adapt", index)
    said: dict[str, Json] = rule.get("set", {})  # type: ignore[assignment]
    return Rule(
        when=str(rule["when"]),
        layer=prepared(said, spec_schema(), (*path, "set"), locate=locate, how=How.ADAPT),
        variables=rule.get("variables", {}),  # type: ignore[arg-type]
        path=path,
    )


def _locator(name: str, version: str, file: str, positions: Mapping[Path, Position]) -> Locate:
    def locate(value: Json, path: Path, how: How) -> Written:
        position = _position(path, positions)
        return Written(value, name, version, file, path, position.line, position.column, how)

    return locate


def _parent(text: str) -> Parent:
    name, _, constraint = text.partition("@")
    return Parent(name, constraint.strip())


def _declaration(value: dict[str, Json]) -> Declaration:
    enum = value.get("enum")
    return Declaration(
        type=value.get("type"),  # type: ignore[arg-type]
        has_default="default" in value,
        default=value.get("default"),
        secret=bool(value.get("secret", False)),
        required=value.get("required"),  # type: ignore[arg-type]
        enum=tuple(enum) if isinstance(enum, list) else None,
        pattern=value.get("pattern"),  # type: ignore[arg-type]
        description=str(value.get("description", "")),
    )


def _position(path: Path, positions: Mapping[Path, Position]) -> Position:
    while path and path not in positions:
        path = path[:-1]
    return positions.get(path, Position(0, 0))


def _located(
    code: str,
    message: str,
    path: Path,
    positions: Mapping[Path, Position],
    file: str,
    template: str,
    version: str,
    *,
    hint: str = "",
) -> Located:
    position = _position(path, positions)
    return Located(
        code=code,
        message=message,
        path=shown(path),
        template=template,
        version=version,
        file=file,
        line=position.line,
        column=position.column,
        hint=hint,
    )
