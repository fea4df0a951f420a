"""Gates on the diff: pure checks, each with its reason. A red one keeps the change out of COMMIT."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operations.coding.changes import Diff
from operations.coding.permissions import Permissions
from resources.operator_secrets import Mask

EVERYTHING, NO_SECRETS = Permissions(), Mask({})


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict; ``detail`` says what it found, in words."""

    name: str
    passed: bool
    detail: str


_SYMLINK, _SUBMODULE = "120000", "160000"
# Zero-width, bidirectional and tag characters (Unicode 15: default-ignorable ones that change what a line means).
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\U000e0000-\U000e0fff]"
)
# Shapes that are secrets wherever they stand; a random-looking string alone is not one.
_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}|\bxox[abprs]-[A-Za-z0-9-]{20,}"
)
_TEST_FILES = ("test_*.py", "*/test_*.py", "*_test.py", "*.test.js", "*.test.ts", "tests/*", "*/tests/*")


# Bounds that a template sets: where it says so, a person may let a change pass them. The others guard everybody.
ASKABLE = frozenset({"size", "protected paths"})


def judge(
    diff: Diff,
    *,
    sizes: Mapping[str, int],
    limits: Mapping[str, Any],
    permissions: Permissions = EVERYTHING,
    mask: Mask = NO_SECRETS,
) -> tuple[GateResult, ...]:
    """All gates, in the order in which people read them.

    ``sizes`` are the changed files' bytes, ``limits`` is the template's ``gates``, ``permissions`` are its engine's,
    and ``mask`` knows the secrets that its commands were given.
    """
    return (
        _size(diff, sizes, limits),
        _protected(diff, limits),
        _permitted(diff, permissions),
        _kinds(diff),
        _tests_kept(diff),
        _secrets(diff, mask),
        _invisible(diff),
    )


def _verdict(name: str, found: list[str], fine: str) -> GateResult:
    shown = "; ".join(found[:10]) + (f"; and {len(found) - 10} more" if len(found) > 10 else "")
    return GateResult(name, not found, shown or fine)


def _size(diff: Diff, sizes: Mapping[str, int], limits: Mapping[str, Any]) -> GateResult:
    lines = diff.insertions + diff.deletions
    found = []
    if diff.files > limits["max_files"]:
        found.append(f"{diff.files} files changed, {limits['max_files']} allowed")
    if lines > limits["max_changed_lines"]:
        found.append(f"{lines} lines changed, {limits['max_changed_lines']} allowed")
    found += [f"{path} has {size} bytes" for path, size in sizes.items() if size > limits["max_file_bytes"]]
    if diff.truncated:
        found.append("the diff is too big to be looked at")
    return _verdict("size", found, f"{diff.files} files, {lines} lines")


def _protected(diff: Diff, limits: Mapping[str, Any]) -> GateResult:
    patterns = limits.get("protected_paths", [])
    found = [
        f"{change.path} is protected by {pattern}"
        for change in diff.changes
        for pattern in patterns
        if fnmatch.fnmatch(change.path, pattern)
    ]
    return _verdict("protected paths", found, "no protected path changed")


def _kinds(diff: Diff) -> GateResult:
    found = []
    for change in diff.changes:
        if change.status != "D" and change.mode == _SYMLINK:
            found.append(f"{change.path} is a symbolic link")
        if _SUBMODULE in (change.mode, change.mode_before):
            found.append(f"{change.path} is a submodule")
        if change.binary and change.status != "D":
            found.append(f"{change.path} is binary")
    return _verdict("file kinds", found, "only text files")


def _tests_kept(diff: Diff) -> GateResult:
    found = [f"{path} was deleted" for path in diff.names("D") if any(fnmatch.fnmatch(path, p) for p in _TEST_FILES)]
    return _verdict("tests kept", found, "no test file was deleted")


def _permitted(diff: Diff, permissions: Permissions) -> GateResult:
    # Whatever changed it: the engine's own edits were asked before, the commands that it ran were not.
    found = [f"{change.path} is not the engine's to change" for change in diff.changes
             if not permissions.may_change(change.path)]  # fmt: skip
    return _verdict("engine permissions", found, "only what the engine may change")


def _secrets(diff: Diff, mask: Mask) -> GateResult:
    # The line itself is never repeated: the reason must not hold what it warns of.
    found = [
        f"{path} line {number} looks like a secret"
        for path, number, line in added(diff)
        if _SECRETS.search(line) or mask.holds(line)
    ]
    return _verdict("secrets", found, "no secret in added lines")


def _invisible(diff: Diff) -> GateResult:
    found = [
        f"{path} line {number} has an invisible or bidirectional character"
        for path, number, line in added(diff)
        if _INVISIBLE.search(line)
    ]
    return _verdict("invisible characters", found, "none in added lines")


def added(diff: Diff) -> list[tuple[str, int, str]]:
    """Added lines with their path and their line number in the new file."""
    found: list[tuple[str, int, str]] = []
    path, number, in_hunk = "", 0, False
    for line in diff.text.split("\n"):
        if line.startswith("diff --git "):
            in_hunk = False
        elif line.startswith("+++ ") and not in_hunk:
            path = line[4:].removeprefix("b/")
        elif match := re.match(r"@@ -\d+(?:,\d+)? \+(\d+)", line):
            number, in_hunk = int(match[1]), True
        elif in_hunk and line.startswith("+"):
            found.append((path, number, line[1:]))
            number += 1
        elif in_hunk and line.startswith(" "):
            number += 1
    return found
