"""The gates on a diff, each green and each red."""

from __future__ import annotations

from typing import Any

import pytest

from operations.coding import gates
from operations.coding.changes import Diff, FileChange
from operations.coding.gates.lines import split

LIMITS: dict[str, Any] = {
    "max_files": 3, "max_changed_lines": 10, "max_file_bytes": 1000,
    "protected_paths": [".github/**", "*.lock", "**/Dockerfile"],
}  # fmt: skip


def change(path: str, **fields: Any) -> FileChange:
    plain = {"status": "M", "mode_before": "100644", "mode": "100644", "insertions": 1, "deletions": 0, "binary": False}
    return FileChange(path, **{**plain, **fields})


def adding(line: str, path: str = "a.py") -> Diff:
    text = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,2 +1,3 @@\n one\n+{line}\n two\n"
    return Diff(text, truncated=False, changes=(change(path),))


def red(diff: Diff, sizes: dict[str, int] | None = None) -> dict[str, str]:
    return {v.name: v.detail for v in gates.judge(gates.Subject(diff, sizes or {}, LIMITS)) if not v.passed}


def of(*changes: FileChange, truncated: bool = False) -> Diff:
    return Diff("", truncated=truncated, changes=changes)


def test_an_ordinary_change_is_green_at_every_gate() -> None:
    verdicts = gates.judge(gates.Subject(adding("x = 1"), {"a.py": 10}, LIMITS))
    assert [v.name for v in verdicts] == [
        "size", "protected paths", "binaries", "symlinks", "submodules", "hooks", "workflow files", "tests kept",
        "tests weakened", "new skips", "test harness", "secrets", "invisible characters", "dangerous calls", "security",
        "dependencies",
    ]  # fmt: skip
    assert all(v.passed and v.detail for v in verdicts)


@pytest.mark.parametrize(
    ("diff", "sizes", "gate"),
    [
        (of(*(change(f"f{n}") for n in range(4))), {}, "size"),
        (of(change("a", insertions=6, deletions=5)), {}, "size"),
        (of(change("a")), {"a": 1001}, "size"),
        (of(change("a"), truncated=True), {}, "size"),
        (of(change(".github/x.yml")), {}, "protected paths"),
        (of(change("deep/poetry.lock")), {}, "protected paths"),
        (of(change("Dockerfile")), {}, "protected paths"),
        (of(change(".github/x", status="D", mode="000000")), {}, "protected paths"),
        (of(change("a", mode="120000")), {}, "symlinks"),
        (of(change("a", mode="160000")), {}, "submodules"),
        (of(change("a", status="D", mode_before="160000", mode="000000")), {}, "submodules"),
        (of(change("a.png", binary=True)), {}, "binaries"),
        (of(change(".gitlab-ci.yml")), {}, "workflow files"),
        (of(change(".husky/pre-commit")), {}, "hooks"),
        (of(change("pkg/sitecustomize.py")), {}, "hooks"),
        (of(change("tests/test_a.py", status="D")), {}, "tests kept"),
        (of(change("pkg/a_test.py", status="D")), {}, "tests kept"),
        (of(change("src/tests/data.json", status="D")), {}, "tests kept"),
    ],
)
def test_a_gate_turns_red_for(diff: Diff, sizes: dict[str, int], gate: str) -> None:
    assert list(red(diff, sizes)) == [gate]


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN " + "RSA PRIVATE KEY-----", "-----BEGIN " + "PRIVATE KEY-----",
        "-----BEGIN " + "PGP PRIVATE KEY BLOCK-----", "token = 'gh" + "p_" + "a" * 36 + "'",
        "AK" + "IA" + "A" * 16, "sk-" + "ant-" + "b" * 40, "glp" + "at-" + "c" * 20,
    ],
)  # fmt: skip
def test_a_secret_is_found_and_never_repeated(line: str) -> None:
    found = red(adding(line))
    assert list(found) == ["secrets"]
    assert "a.py line 2" in found["secrets"]
    assert line not in found["secrets"]


@pytest.mark.parametrize("line", ["sk-short", "ghp_", "x = 'AKIA'", "hash = '" + "0" * 64 + "'", "task-" + "a" * 40])
def test_what_only_looks_random_is_no_secret(line: str) -> None:
    assert red(adding(line)) == {}


@pytest.mark.parametrize("char", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u00ad", "\u061c", "\U000e0041", "\u3164"])
def test_a_character_that_nobody_sees_is_found(char: str) -> None:
    assert list(red(adding(f"if user{char} == 'admin':"))) == ["invisible characters"]


def test_letters_of_all_languages_are_fine() -> None:
    assert red(adding("名前 = 'Ünïcödé ñ עברית'")) == {}


def test_a_line_that_pretends_to_be_a_header_is_still_an_added_line() -> None:
    hidden = "gh" + "p_" + "a" * 36
    text = (
        "diff --git a/a.md b/a.md\n--- a/a.md\n+++ b/a.md\n@@ -1,1 +1,4 @@\n one\n"
        f"+++ b/innocent.md\n+@@ -0,0 +900,1 @@\n+diff --git a/x b/x\n+{hidden}\n"
    )
    found, _ = split(text)
    assert [(line.path, line.number) for line in found] == [("a.md", 2), ("a.md", 3), ("a.md", 4), ("a.md", 5)]
    assert list(red(Diff(text, truncated=False, changes=(change("a.md"),)))) == ["secrets"]


def test_removing_a_secret_is_allowed() -> None:
    text = f"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,1 @@\n-{'AK' + 'IA' + 'A' * 16}\n two\n"
    assert red(Diff(text, truncated=False, changes=(change("a"),))) == {}


def test_a_long_list_of_findings_is_cut() -> None:
    limits = {**LIMITS, "max_files": 100}
    many = of(*(change(f"l{n}.lock", insertions=0) for n in range(30)))
    (verdict,) = [v for v in gates.judge(gates.Subject(many, {}, limits)) if not v.passed]
    assert verdict.detail.endswith("and 20 more")
