"""A diff for the screen: files in their directories, lines with numbers, syntax by classes."""

from __future__ import annotations

import re

import pytest

from operations import diff_lines, highlight

HOSTILE = "<script>window.hacked = 1</script>\x1b]8;;javascript:1\x07x\x1b]8;;\x07\u202e"
DIFF = f"""diff --git a/src/app/fees.py b/src/app/fees.py
--- a/src/app/fees.py
+++ b/src/app/fees.py
@@ -1,3 +1,3 @@
 def fee(cents):
-    return "{HOSTILE}"
+    return round(cents)  # {HOSTILE}
 # the end
diff --git a/src/app/ports.py b/src/app/ports.py
@@ -0,0 +1 @@
+x = 1
diff --git a/src/zebra.txt b/src/zebra.txt
@@ -1 +1 @@
-a <b>
+b <b>
diff --git a/README b/README
@@ -1 +1 @@
-a
+b
"""


def test_files_stand_in_their_directories() -> None:
    tree = [(branch.name, branch.depth, branch.place) for branch in diff_lines.lines_of(DIFF).tree]
    assert tree == [
        ("src", 0, 0), ("app", 1, 0), ("fees.py", 2, 1), ("ports.py", 2, 2), ("zebra.txt", 1, 3), ("README", 0, 4),
    ]  # fmt: skip


def test_syntax_is_marked_and_hostile_text_stays_text() -> None:
    fees, _ports, other, _readme = diff_lines.lines_of(DIFF).files
    shown = {line.kind: str(line.html) for line in fees.lines}
    assert '<span class="hl-keyword">return</span>' in shown["added"]
    assert '<span class="hl-string">' in shown["removed"]
    assert '<span class="hl-comment">' in shown["added"]
    for html in shown.values():
        assert not re.search("[<>\x1b\u202e]", re.sub(r'<span class="hl-[a-z]+">|</span>', "", html))
    assert [str(line.html) for line in other.lines if line.kind != "hunk"] == ["a &lt;b&gt;", "b &lt;b&gt;"]


@pytest.mark.parametrize("path", ["a.py", "a.js", "a.json", "a.yaml", "a.rs", "Makefile", "a.unknown"])
def test_lines_in_are_lines_out_whatever_they_hold(path: str) -> None:
    lines = ["'''open", "", "\t{[(", "\u2028 \x0c \x85", "`${", "/*", "#", "x = '\\"]
    assert len(highlight.marked(path, lines)) == len(lines)
    assert len(highlight.marked(path, ["x" * highlight.LONGEST, "y"])) == 2
