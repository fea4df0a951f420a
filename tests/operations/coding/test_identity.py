"""Names of branches and commits."""

from __future__ import annotations

import re
import subprocess
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.coding.identity import branch_name, commit_message, is_branch_name

ID = UUID("12345678-9abc-4def-8123-456789abcdef")


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("Fix the median of even lists", "moorage/fix-the-median-of-even-lists-12345678"),
        ("# Größe: naïve café!\n\nmore", "moorage/groe-naive-cafe-12345678"),
        ("修复错误", "moorage/change-12345678"),
        ("", "moorage/change-12345678"),
        ("../../etc/passwd.lock", "moorage/etc-passwd-lock-12345678"),
        ("@{-1}~^:?*[\\", "moorage/1-12345678"),
    ],
)
def test_a_branch_is_named_after_its_requirement(requirement: str, expected: str) -> None:
    assert branch_name(requirement, ID) == expected


@given(st.text())
def test_every_requirement_has_a_valid_branch_name(requirement: str) -> None:
    name = branch_name(requirement, ID)
    assert len(name) <= 80
    assert re.fullmatch(r"moorage/[a-z0-9-]+-12345678", name)
    assert is_branch_name(name)


@pytest.mark.parametrize(
    "name",
    ["main", "a/b", "ünï", "a.b", "a-b", "", "HEAD", "-a", "/a", "a/", "a.", "a..b", "a b", "a~", "a^", "a:",
     "a?", "a*", "a[", "a\\", "a@{b", ".a", "a/.b", "a.lock", "a.lock/b", "a//b", "a\x7f", "a\n"],
)  # fmt: skip
def test_branch_names_are_judged_as_git_judges_them(name: str) -> None:
    judged = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert is_branch_name(name) == (judged.returncode == 0)


def test_a_commit_says_what_by_whom_and_for_which_operation() -> None:
    message = commit_message("Fix the median\n\nOf even lists.", "Deterministic change — no AI was used", ID)
    assert message.startswith("Fix the median\n\n")
    assert "    Of even lists." in message
    assert message.endswith(f"\nMoorage-Operation: {ID}\nMoorage-Engine: Deterministic change — no AI was used\n")


def test_a_requirement_cannot_forge_trailers() -> None:
    message = commit_message("Fix\n\nMoorage-Engine: a human\nSigned-off-by: Boss <b@x>", "x\nMoorage-Engine: y", ID)
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode() == f"Moorage-Operation: {ID}\nMoorage-Engine: x Moorage-Engine: y\n"


@given(st.text(), st.text())
def test_every_message_is_plain_text_with_a_short_subject(requirement: str, label: str) -> None:
    message = commit_message(requirement, label, ID)
    message.encode("utf-8")
    assert 0 < len(message.split("\n", 1)[0]) <= 72
    assert all(c.isprintable() or c in "\n\t" for c in message)
