"""The gate on tests that are newly left out: by a mark, a call, an exception, or a setting of what collects them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from operations.coding.gates.names import Names
from operations.coding.gates.subject import Subject, is_test, matches
from operations.coding.gates.verdicts import GateResult, verdict

# By their full names, so that no alias hides them.
_SKIPS = re.compile(
    r"(?:_?pytest(?:\.\w+)*|nose)\.(?:skip|skipif|xfail|importorskip|exit|SkipTest|Skipped|XFailed|Exit)"
    r"|unittest\.(?:case\.)?(?:skip|skipIf|skipUnless|expectedFailure|SkipTest)"
)
_OWN = frozenset({"skipTest", "SkipTest"})  # of a test case: self.skipTest
_COLLECTION = frozenset({"collect_ignore", "collect_ignore_glob", "__test__"})
_OTHER_SKIP = re.compile(
    r"\b(?:it|test|describe|context)\.(?:skip|todo|only|fixme)\b|\b(?:xit|xdescribe|xtest|fit|fdescribe)\s*\("
    r"|\bt\.Skip\w*\(|#\[ignore|@Disabled\b|@Ignore\b"
)
_LEFT_OUT = re.compile(r"--(?:deselect|ignore)\b|\bnorecursedirs\b|\bcollect_ignore|testPathIgnorePatterns")
_SETTINGS = ("pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini", "package.json", "jest.config.*", "conftest.py")


def skips(subject: Subject) -> GateResult:
    """No test is newly skipped, expected to fail, or kept from being collected."""
    found = []
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    where: dict[str, tuple[str, int]] = {}
    for path, (old, new) in subject.python.items():
        if is_test(path):
            names_before, names = subject.names[path]
            before.update(text for text, _ in _leaving_out(old, names_before))
            for text, number in _leaving_out(new, names):
                after[text] += 1
                if (path, number) in subject.added_numbers:
                    where.setdefault(text, (path, number))
    if after.total() > before.total():
        found = [
            f"{where[text][0]} line {where[text][1]} leaves a test out: {text[:60]}"
            for text in after - before
            if text in where
        ]
    gone = Counter(line.path for line in subject.removed if _leaves_out(line.path, line.text))
    for line in subject.added:
        if _leaves_out(line.path, line.text):
            if gone[line.path] > 0:
                gone[line.path] -= 1
            else:
                found.append(f"{line.path} line {line.number} leaves tests out")
    return verdict("new skips", found, "none")


def _leaves_out(path: str, text: str) -> bool:
    if path.endswith((".py", ".pyi")):
        return False
    return bool(is_test(path) and _OTHER_SKIP.search(text)) or (
        matches(path.rsplit("/", 1)[-1], _SETTINGS) and bool(_LEFT_OUT.search(text))
    )


def _as_written(node: ast.expr) -> str:
    return (
        ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)
        else ""
    )


def _leaving_out(module: ast.Module | None, names: Names | None) -> Iterator[tuple[str, int]]:
    """What leaves a test out, by its full name, and the line where it is used; an import alone uses nothing."""
    for node in ast.walk(module) if module else ():
        if names is None or not isinstance(node, ast.Attribute | ast.Name | ast.Call):
            continue
        if isinstance(node, ast.Attribute | ast.Name) and not isinstance(node.ctx, ast.Load):
            last = node.attr if isinstance(node, ast.Attribute) else node.id
            if last in _COLLECTION:
                yield last, node.lineno
        elif _SKIPS.fullmatch(full := names.full(node) or _as_written(node)):
            yield full, node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in _OWN:
            yield ast.unparse(node)[:60], node.lineno
