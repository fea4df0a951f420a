"""Gates on tests that are there: none deleted, none weakened.

A test that moved or was renamed is not deleted; a rewritten one may have fewer assertions only where the change as a
whole takes none away.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

from operations.coding.gates.collected import Tests, body_of, functions, hidden, tests_of
from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict


def deleted(subject: Subject) -> GateResult:
    """No test file and no test function goes without another in its place, or under a name that pytest passes over."""
    diff = subject.diff
    arrived = {path.rsplit("/", 1)[-1] for path in diff.names("A") if is_test(path)}
    before, after = _all(subject, side=0).checks, _all(subject, side=1).checks
    gone = set(before) - set(after)
    come = set(after) - set(before)
    found = [
        f"{path} was deleted"
        for path in diff.names("D")
        if is_test(path) and path.rsplit("/", 1)[-1] not in arrived and not _moved(subject, path, after)
    ]
    if len(gone) > len(come):
        found += [f"test {name} was removed" for name in sorted(gone)]
    found += [f"test {name} is {other} now, which is not collected" for name, other in _hidden(subject, gone)]
    return verdict("tests kept", found, "no test was removed")


def _moved(subject: Subject, path: str, after: dict[str, int]) -> bool:
    """Whether each test of a deleted Python file stands in another one now."""
    if path not in subject.python:
        return False
    tests = tests_of(subject.python[path][0]).checks
    return all(name in after for name in tests) if tests else False


def _hidden(subject: Subject, gone: set[str]) -> list[tuple[str, str]]:
    """Tests that are gone while a function which does the very same is there under another name."""
    found = []
    for path, (before, after) in subject.python.items():
        if is_test(path):
            others = {body: name for body, name in hidden(after).items() if body not in hidden(before)}
            found += [
                (name, others[body_of(function)])
                for name, function in functions(before)
                if name in gone and body_of(function) in others
            ]
    return found


def _all(subject: Subject, *, side: int) -> Tests:
    """The tests of the changed files; of a name that two files have, the sum."""
    checks: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    for path, modules in subject.python.items():
        if is_test(path):
            tests = tests_of(modules[side])
            checks.update(tests.checks)
            cases.update(tests.cases)
    return Tests(dict(checks), dict(cases))


def weakened(subject: Subject) -> GateResult:
    """No test loses what it asserts or the cases it is given, or asserts what is always true."""
    before, after = _all(subject, side=0), _all(subject, side=1)
    found = [
        *_fewer(before.checks, after.checks, "assertions"),
        *_fewer(before.cases, after.cases, "cases"),
    ]
    for path, (old, new) in subject.python.items():
        if is_test(path):
            more = tests_of(new).hollow - tests_of(old).hollow
            found += [f"{path}: test {name} asserts what is always true" for name in sorted(more)]
    found += _fewer_lines(subject)
    return verdict("tests weakened", found, _changed(subject) or "no assertion was lost")


def _fewer(before: dict[str, int], after: dict[str, int], what: str) -> list[str]:
    """Tests that have less than before, where the change as a whole takes some away; none left is always too few."""
    lost = sum(after.values()) < sum(count for name, count in before.items() if name in after)
    found = []
    for name in sorted(set(before) & set(after)):
        if after[name] == 0 < before[name]:
            found.append(f"test {name} has no {what} any more")
        elif lost and after[name] < before[name]:
            found.append(f"test {name} has {after[name]} {what}, {before[name]} before")
    return found


def _changed(subject: Subject) -> str:
    """Which tests that were there expect something else now: no fault by itself, but whoever reviews must know."""
    names = []
    for path, (old, new) in subject.python.items():
        if is_test(path):
            before = {name: _assertions(function) for name, function in functions(old)}
            names += [
                name for name, function in functions(new) if name in before and before[name] - _assertions(function)
            ]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"no assertion was lost; other ones than before in {shown}" if names else ""


def _assertions(function: ast.AST) -> Counter[str]:
    return Counter(ast.unparse(node.test) for node in ast.walk(function) if isinstance(node, ast.Assert))


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
