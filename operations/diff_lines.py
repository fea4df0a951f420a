"""A unified diff as files and numbered lines, for a screen. The text is hostile: only its form is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePosixPath

from django.utils.safestring import SafeString

from events.plain_text import plain
from operations import highlight

LINES = 1500  # shown of one diff
COLUMNS = 400  # shown of one line
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")
_HEADERS = ("index ", "old mode", "new mode", "similarity", "rename", "copy ")


@dataclass(frozen=True, slots=True)
class Line:
    """``kind`` is added, removed, context, hunk or note; a number is empty where the line is not on that side."""

    kind: str
    before: str
    after: str
    text: str
    html: SafeString | str = ""  # the text, escaped, with its syntax marked

    @property
    def sign(self) -> str:
        """What says added or removed to those who do not see the colour."""
        return {"added": "+", "removed": "−"}.get(self.kind, "")


@dataclass(slots=True)
class FileLines:
    """One file of the diff."""

    path: str
    lines: list[Line] = field(default_factory=list)

    @property
    def insertions(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def deletions(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree of changed files: a directory, or a file with its place in the diff from 1."""

    name: str
    depth: int
    place: int = 0
    file: FileLines | None = None


@dataclass(frozen=True, slots=True)
class DiffView:
    """What is shown; ``cut`` when there is more."""

    files: tuple[FileLines, ...]
    cut: bool

    @property
    def tree(self) -> tuple[Branch, ...]:
        """The files in their directories, in the order of the diff; a directory stands where it is first entered."""
        return tuple(_tree(self.files))


@lru_cache(maxsize=32)  # a page that follows its operation shows the same diff again and again
def lines_of(text: str, *, cut: bool = False, limit: int = LINES) -> DiffView:
    """The diff's files and lines, at most ``limit`` lines of ``COLUMNS`` characters, with their syntax marked."""
    view = _taken_apart(text, cut=cut, limit=limit)
    for file in view.files:
        _mark_syntax(file)
    return view


def _tree(files: tuple[FileLines, ...]) -> Iterator[Branch]:
    before: tuple[str, ...] = ()
    for place, file in enumerate(files, start=1):
        path = PurePosixPath(file.path)
        inside = path.parts[:-1]
        shared = next((n for n, (a, b) in enumerate(zip(before, inside, strict=False)) if a != b),
                      min(len(before), len(inside)))  # fmt: skip
        for depth in range(shared, len(inside)):
            yield Branch(inside[depth], depth)
        yield Branch(path.name, len(inside), place, file)
        before = inside


def _mark_syntax(file: FileLines) -> None:
    """Each side of each hunk is read by itself: a string that begins above a removed line does not end in it."""
    sides = ({"context", "removed"}, {"context", "added"})
    start = 0
    while start < len(file.lines):
        end = next((n for n in range(start + 1, len(file.lines)) if file.lines[n].kind == "hunk"), len(file.lines))
        for kinds in sides:
            places = [n for n in range(start, end) if file.lines[n].kind in kinds]
            texts = highlight.marked(file.path, [file.lines[n].text for n in places])
            for n, html in zip(places, texts, strict=True):
                file.lines[n] = replace(file.lines[n], html=html)
        start = end


def _taken_apart(text: str, *, cut: bool, limit: int) -> DiffView:
    files: list[FileLines] = []
    before = after = 0
    in_hunk = False
    shown = 0
    for raw in text.split("\n"):
        if raw.startswith("diff --git "):
            files.append(FileLines(_path(raw)))
            in_hunk = False
            continue
        if not files or (not in_hunk and _is_header(raw)):
            continue
        if shown >= limit:
            return DiffView(tuple(files), cut=True)
        shown += 1
        if found := _HUNK.match(raw):
            before, after, in_hunk = int(found[1]), int(found[2]), True
            files[-1].lines.append(Line("hunk", "", "", _bounded(raw)))
        elif in_hunk and raw[:1] == "+":
            files[-1].lines.append(Line("added", "", str(after), _bounded(raw[1:])))
            after += 1
        elif in_hunk and raw[:1] == "-":
            files[-1].lines.append(Line("removed", str(before), "", _bounded(raw[1:])))
            before += 1
        elif in_hunk and raw[:1] == " ":
            files[-1].lines.append(Line("context", str(before), str(after), _bounded(raw[1:])))
            before, after = before + 1, after + 1
        elif raw:
            files[-1].lines.append(Line("note", "", "", _bounded(raw.removeprefix("\\ "))))
    return DiffView(tuple(files), cut=cut)


def _is_header(raw: str) -> bool:
    return raw.startswith(("--- ", "+++ ", *_HEADERS))


def _path(raw: str) -> str:
    """The new side's path of a ``diff --git a/x b/x`` line."""
    _, _, after = raw.rpartition(" b/")
    return plain(after.rstrip('"') or raw.removeprefix("diff --git "))


def _bounded(text: str) -> str:
    return plain(text if len(text) <= COLUMNS else f"{text[:COLUMNS]} …")
