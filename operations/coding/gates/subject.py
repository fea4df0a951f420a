"""What the gates look at: the diff, and the text of changed files on both sides where a gate must parse them."""

from __future__ import annotations

import ast
import fnmatch
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from operations.coding import changes
from operations.coding.changes import Diff
from operations.coding.gates import manifests
from operations.coding.gates.lines import Line, split
from operations.coding.gates.names import Names
from operations.coding.vault import Vault

READ_BYTES = 1_000_000  # of one file; what is bigger is judged by its lines alone
_READ = ("*.py", "*.pyi", "tox.ini", "pytest.ini", ".pytest.ini", *manifests.PATTERNS)
TEST_FILES = (
    "test_*.py", "*/test_*.py", "*_test.py", "conftest.py", "*/conftest.py", "*.test.js", "*.test.mjs", "*.test.ts",
    "*.test.tsx", "*.spec.js", "*.spec.ts", "*_test.go", "*_spec.rb", "test/*", "tests/*", "*/test/*", "*/tests/*",
)  # fmt: skip


def is_test(path: str) -> bool:
    """Whether a path belongs to the tests, by the usual names."""
    return matches(path, TEST_FILES)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of these globs fits the whole path."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def folded(path: str) -> str:
    """A path as file systems that know no case, no accents of their own and no invisible characters see it."""
    plain = unicodedata.normalize("NFKC", path).casefold()
    seen = "".join(character for character in plain if unicodedata.category(character) not in {"Cf", "Cc", "Mn"})
    return "/".join(part.rstrip(" .") or part for part in seen.split("/"))


def lands_on(path: str, patterns: Iterable[str]) -> bool:
    """Whether some file system takes the path for one that a glob fits; a folder's glob also covers a file there."""
    where = folded(path)
    return any(
        fnmatch.fnmatchcase(where, glob) or (glob.endswith("/**") and where == glob.removesuffix("/**"))
        for glob in map(folded, patterns)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """One changed file's text on both sides; None where it is not there."""

    before: str | None
    after: str | None


@dataclass(frozen=True)
class Subject:
    """A change to be judged. ``sizes`` are the changed files' bytes, ``limits`` is the template's ``gates``."""

    diff: Diff
    sizes: Mapping[str, int]
    limits: Mapping[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)

    @cached_property
    def _lines(self) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
        return split(self.diff.text)

    @property
    def added(self) -> tuple[Line, ...]:
        """The added lines."""
        return self._lines[0]

    @property
    def removed(self) -> tuple[Line, ...]:
        """The lines taken away."""
        return self._lines[1]

    @cached_property
    def added_numbers(self) -> frozenset[tuple[str, int]]:
        """Path and number of each added line."""
        return frozenset((line.path, line.number) for line in self.added)

    @cached_property
    def python(self) -> dict[str, tuple[ast.Module | None, ast.Module | None]]:
        """Changed Python files, parsed before and after; None where absent or not to be parsed."""
        return {
            path: (parsed(source.before), parsed(source.after))
            for path, source in self.sources.items()
            if path.endswith((".py", ".pyi"))
        }

    @cached_property
    def names(self) -> dict[str, tuple[Names | None, Names | None]]:
        """What stands behind the names of each of them."""
        return {
            path: (Names(before) if before else None, Names(after) if after else None)
            for path, (before, after) in self.python.items()
        }


def parsed(text: str | None) -> ast.Module | None:
    """The syntax tree; None for text that is none: whether it compiles is another stage's question."""
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def subject_of(*, vault: Vault, base_tree: str, tree: str, limits: Mapping[str, Any]) -> Subject:
    """The change between two trees of a vault."""
    diff = changes.diff(vault=vault, base_tree=base_tree, tree=tree)
    changed = {change.path for change in diff.changes}
    after = {file.path: file.size for file in changes.list_files(vault=vault, tree=tree) if file.path in changed}
    before = {file.path: file.size for file in changes.list_files(vault=vault, tree=base_tree) if file.path in changed}
    sources = {}
    for path in sorted(changed)[: limits["max_files"]]:  # past that the size gate is red, and nothing more is read
        if lands_on(path, _READ) or lands_on(path, [f"*/{pattern}" for pattern in _READ]):
            sources[path] = Source(_text(vault, base_tree, path, before), _text(vault, tree, path, after))
    return Subject(diff, after, limits, sources)


def _text(vault: Vault, tree: str, path: str, sizes: Mapping[str, int]) -> str | None:
    if path not in sizes or sizes[path] > READ_BYTES:
        return None
    raw = changes.read_blob(vault=vault, tree=tree, path=path, limit_bytes=READ_BYTES)
    return None if raw is None else raw.decode("utf-8-sig", "replace")
