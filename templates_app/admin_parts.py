"""What the pages of a template show: lines of its specification with who set each, its badges, its neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from templates_app.changes import Change, ChangeKind
from templates_app.documents import shown
from templates_app.provenance import Entry
from templates_app.resolve import Resolved
from templates_app.yaml_text import Json, Path


@dataclass(frozen=True, slots=True)
class SpecLine:
    """One line of a specification; ``told`` says who set its value, for those that have one."""

    text: str
    told: str
    template: str


def spec_lines(resolved: Resolved) -> list[SpecLine]:
    """The specification in the manner of YAML, each value with its provenance."""
    by_path = {entry.path: entry for entry in resolved.provenance}
    return list(_lines(resolved.preview, (), by_path, indent=""))


def told(entry: Entry) -> str:
    """Where a value comes from, and over what it lies, in one text."""
    place = f", {entry.file}:{entry.line}:{entry.column}" if entry.line else ""
    over = "".join(f"; over {old.value!r} of {old.template} {old.version}, line {old.line}" for old in entry.shadowed)
    return f"{entry.how} by {entry.template} {entry.version}{place}{over}"


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One difference as a row of a table."""

    path: str
    old: str
    new: str
    live: bool


def rows(differences: Iterable[Change]) -> list[DifferenceRow]:
    """Differences for people: what was or is not there is a dash."""
    return [
        DifferenceRow(
            one.path,
            "—" if one.kind is ChangeKind.ADDED else json.dumps(one.old, ensure_ascii=False),
            "—" if one.kind is ChangeKind.REMOVED else json.dumps(one.new, ensure_ascii=False),
            one.live,
        )
        for one in differences
    ]


def _lines(value: Json, path: Path, by_path: dict[Path, Entry], *, indent: str) -> Iterator[SpecLine]:
    pairs: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        pairs.extend(value.items())
    elif isinstance(value, list):
        pairs.extend(enumerate(value))
    for key, item in pairs:
        here: Path = (*path, key)
        label = f"{indent}{key}:" if isinstance(key, str) else f"{indent}-"
        entry = by_path.get(here)
        if isinstance(item, (dict, list)) and item:
            yield SpecLine(label, "", "")
            yield from _lines(item, here, by_path, indent=indent + "  ")
        else:
            text = f"{label} {json.dumps(item, ensure_ascii=False)}"
            yield SpecLine(text, told(entry) if entry else "", entry.template if entry else "")


def values(resolved: Resolved, *, path: str) -> list[tuple[str, str, Entry, str]]:
    """Path, value, entry and the whole story, at a path and beneath."""
    return [
        (shown(entry.path), json.dumps(entry.value, ensure_ascii=False), entry, told(entry))
        for entry in resolved.explain(path)
    ]
