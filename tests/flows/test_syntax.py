"""CODE refuses what cannot be parsed any more, and nothing else."""

from __future__ import annotations

from tests.flows.inline import Inline
from tests.flows.repositories import FIX, PROJECT, make

BROKEN = "def (:\n    pass\n\nNOTE = 'old'\n"


def adding(path: str, *lines: str) -> str:
    """A requirement that also adds a file."""
    body = "".join(f"+{line}\n" for line in lines)
    return f"{FIX}\n```diff\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}```\n"


def test_a_warning_of_the_compiler_is_no_error(inline: Inline) -> None:
    operation = inline.finish(inline.submit(requirements=adding("odd.py", "ODD = 1 is 1", "BAD = '\\d'")))
    assert operation.status == "succeeded", operation.error


def test_a_file_that_does_not_parse_is_refused_with_its_place(inline: Inline) -> None:
    operation = inline.finish(inline.submit(requirements=adding("odd.py", "x = 1", "def (:")))
    assert (operation.status, operation.error["code"]) == ("failed", "code.does_not_compile")
    assert "odd.py:2" in operation.error["detail"]


def test_a_file_that_did_not_parse_before_may_be_touched(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", {**PROJECT, "old.py": BROKEN})
    change = "--- a/old.py\n+++ b/old.py\n@@ -4,1 +4,1 @@\n-NOTE = 'old'\n+NOTE = 'new'\n"
    operation = inline.finish(inline.submit(inline.project(remote), requirements=f"{FIX}\n```diff\n{change}```\n"))
    assert operation.status == "succeeded", operation.error
    assert "before either" in operation.steps.get(stage="code").log


def test_a_file_of_another_encoding_is_read_as_python_reads_it(inline: Inline) -> None:
    operation = inline.finish(
        inline.submit(requirements=adding("latin.py", "# -*- coding: latin-1 -*-", "NAME = 'plain'"))
    )
    assert operation.status == "succeeded", operation.error
