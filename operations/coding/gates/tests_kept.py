"""Gates on tests: none deleted, none weakened, none newly left out.

A test that moved or was renamed is not deleted; a rewritten one may have fewer assertions only where the change as a
whole takes none away.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from operations.coding.gates.subject import Subject, is_test, matches
from operations.coding.gates.verdicts import GateResult, verdict

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_CHECKS = re.compile(r"assert|expect|raises|warns|fail|verify|check|should", re.IGNORECASE)


@dataclass
class _Tests:
    """The tests of a file: how many assertions each has, and what it has that can never fail."""

    checks: dict[str, int] = field(default_factory=dict)
    hollow: Counter[str] = field(default_factory=Counter)


def deleted(subject: Subject) -> GateResult:
    """No test file and no test function goes without another in its place."""
    diff = subject.diff
    arrived = {path.rsplit("/", 1)[-1] for path in diff.names("A") if is_test(path)}
    before, after = _all(subject, side=0), _all(subject, side=1)
    gone = set(before) - set(after)
    come = set(after) - set(before)
    found = [
        f"{path} was deleted"
        for path in diff.names("D")
        if is_test(path) and path.rsplit("/", 1)[-1] not in arrived and not _moved(subject, path, after)
    ]
    if len(gone) > len(come):
        found += [f"test {name} was removed" for name in sorted(gone)]
    return verdict("tests kept", found, "no test was removed")


def _moved(subject: Subject, path: str, after: dict[str, int]) -> bool:
    """Whether each test of a deleted Python file stands in another one now."""
    if path not in subject.python:
        return False
    tests = _tests(subject.python[path][0]).checks
    return all(name in after for name in tests) if tests else False


def _all(subject: Subject, *, side: int) -> dict[str, int]:
    """The assertions of each test in the changed files, by name; of a name that is there twice, the sum."""
    checks: Counter[str] = Counter()
    for path, modules in subject.python.items():
        if is_test(path):
            checks.update(_tests(modules[side]).checks)
    return dict(checks)


def weakened(subject: Subject) -> GateResult:
    """No test loses what it asserts, or asserts what is always true."""
    before, after = _all(subject, side=0), _all(subject, side=1)
    lost = sum(after.values()) < sum(count for name, count in before.items() if name in after)
    found = []
    for name in sorted(set(before) & set(after)):
        if after[name] == 0 < before[name]:
            found.append(f"test {name} asserts nothing any more")
        elif lost and after[name] < before[name]:
            found.append(f"test {name} has {after[name]} assertions, {before[name]} before")
    for path, (old, new) in subject.python.items():
        if is_test(path):
            more = _tests(new).hollow - _tests(old).hollow
            found += [f"{path}: test {name} asserts what is always true" for name in sorted(more)]
    found += _fewer_lines(subject)
    return verdict("tests weakened", found, "no assertion was lost")


_OTHER_CHECK = re.compile(r"\b(?:expect|assert\w*|t\.(?:Error|Fatal|Fail)\w*|require\.\w+)\s*[.(!]")
_OTHER_TEST = re.compile(r"^\s*(?:(?:it|test)\s*\(|func Test\w+\(|#\[test\]|def test_)")


def _fewer_lines(subject: Subject) -> list[str]:
    """Other languages: the lines that check must not become fewer over the whole of a file that stays."""
    count: Counter[str] = Counter()
    stays = {change.path for change in subject.diff.changes if change.status == "M"}
    for sign, lines in ((1, subject.added), (-1, subject.removed)):
        for line in lines:
            if line.path in stays and is_test(line.path) and not line.path.endswith(".py"):
                count[line.path] += sign * bool(_OTHER_CHECK.search(line.text) or _OTHER_TEST.search(line.text))
    if sum(count.values()) >= 0:
        return []
    return [f"{path} has {-number} checks less" for path, number in count.items() if number < 0]


def _tests(module: ast.Module | None) -> _Tests:
    tests = _Tests()
    for name, function in _functions(module):
        tests.checks[name] = tests.checks.get(name, 0) + sum(_is_check(node) for node in ast.walk(function))
        tests.hollow[name] += sum(_is_hollow(node) for node in ast.walk(function))
    return tests


def _functions(module: ast.Module | None) -> Iterator[tuple[str, _Function]]:
    """Test functions of a module and of its classes; nested ones are part of theirs."""
    for node in module.body if module else ():
        if isinstance(node, _Function) and node.name.startswith("test"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, _Function) and inner.name.startswith("test"):
                    yield f"{node.name}.{inner.name}", inner


def _is_check(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return bool(_CHECKS.search(name))


def _is_hollow(node: ast.AST) -> bool:
    """``assert True``, ``assert x or True``, ``assertTrue(True)``, ``assert x == x``."""
    if isinstance(node, ast.Assert):
        return _always_true(node.test)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "assertTrue":
        return bool(node.args) and _always_true(node.args[0])
    return False


def _always_true(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return any(_always_true(value) for value in test.values)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Eq, ast.Is)):
        plain = isinstance(test.left, ast.Name)  # a call may answer differently the second time
        return plain and ast.dump(test.left) == ast.dump(test.comparators[0])
    return False


_SKIPS = frozenset({"skip", "skipif", "skipIf", "skipUnless", "xfail", "skipTest", "importorskip", "expectedFailure",
                    "SkipTest"})  # fmt: skip
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
            before.update(text for text, _ in _leaving_out(old))
            for text, number in _leaving_out(new):
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


def _leaving_out(module: ast.Module | None) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module) if module else ():
        if isinstance(node, ast.Attribute) and node.attr in _SKIPS and isinstance(node.ctx, ast.Load):
            owner = ast.unparse(node.value)
            if owner.split(".")[0] in {"pytest", "unittest", "self", "mark", "cls", "case", "nose"}:
                yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Name) and node.id in {"skip", "skipIf", "skipUnless", "expectedFailure", "SkipTest"}:
            if isinstance(node.ctx, ast.Load):
                yield node.id, node.lineno
        elif isinstance(node, ast.Name) and node.id in _COLLECTION and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
