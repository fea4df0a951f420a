"""The patch engine: what git would apply, applied exactly; everything else refused in words."""

from __future__ import annotations

import difflib
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.engines import diffs, edits, hunks
from agents.engines.diffs import Operation
from agents.engines.faults import AlreadyApplied, AttemptsExhausted
from agents.engines.patch import PatchEngine
from agents.engines.protocol import EditRefused, Edits, Feedback
from tests.agents.engines.conftest import MakeTask
from tests.fakes.workbench import DirectoryWorkbench

BODY = "".join(f"line {number}\n" for number in range(1, 21))


def run(bench: DirectoryWorkbench, make_task: MakeTask, requirements: str) -> Edits:
    engine, task = PatchEngine(), make_task(requirements)
    return engine.code(task, engine.plan(task, bench), bench)


def hunk(header: str, *lines: str, path: str = "a.txt") -> str:
    return f"--- a/{path}\n+++ b/{path}\n{header}\n" + "\n".join(lines) + "\n"


def test_a_diff_amid_prose_and_fences_is_applied(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", BODY)
    diff = hunk("@@ -4,3 +4,3 @@ def f", " line 4", "-line 5", "+line five", " line 6")
    done = run(bench, make_task, f"Please apply:\n\n1. this\n\n   ```diff\n{indented(diff)}   ```\n\n- thank you\n")
    assert done.changed == ("a.txt",)
    assert bench.text("a.txt") == BODY.replace("line 5\n", "line five\n")


def indented(text: str) -> str:
    return "".join(f"   {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("header", ["@@ -90,3 +1,9 @@", "@@ -1,1 +1,1 @@", "@@ ... @@", "@@ -4,30 +4,30 @@", "@@"])
def test_wrong_line_numbers_and_counts_are_tolerated(
    bench: DirectoryWorkbench, make_task: MakeTask, header: str
) -> None:
    bench.put("a.txt", BODY)
    run(bench, make_task, hunk(header, " line 4", "-line 5", "+line five", "+more", " line 6") + "\nThanks!\n")
    assert bench.text("a.txt") == BODY.replace("line 5\n", "line five\nmore\n")


def test_outer_context_that_differs_is_given_up_but_the_last_line_is_not(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", BODY)
    outer = ("@@ -3,5 +3,5 @@", " other", " line 4", "-line 5", "+five", " line 6", " line 7")
    run(bench, make_task, hunk(*outer))
    assert "five\n" in bench.text("a.txt")
    inner = ("@@ -3,5 +3,5 @@", " line 8", " other", "-line 10", "+ten", " line 11", " line 12")
    with pytest.raises(EditRefused):
        run(bench, make_task, hunk(*inner))


def test_a_conflict_names_file_hunk_and_nearest_lines_and_writes_nothing(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", BODY)
    bench.put("b.txt", BODY)
    good = hunk("@@ -4,3 +4,3 @@", " line 4", "-line 5", "+five", " line 6", path="b.txt")
    bad = hunk("@@ -1,2 +1,2 @@", " line 1", "-line 2", "+two") + "@@ -9,3 +9,3 @@\n line 9\n-line X\n+x\n line 11\n"
    with pytest.raises(EditRefused) as refusal:
        run(bench, make_task, good + bad)
    assert (refusal.value.facts["path"], refusal.value.facts["hunk"]) == ("a.txt", 2)
    assert "line 10" in " ".join(refusal.value.facts["nearest"])
    assert (bench.text("a.txt"), bench.text("b.txt")) == (BODY, BODY)


def test_a_hunk_that_fits_twice_is_placed_by_its_line_number_or_refused(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", "{\nx\n}\n{\nx\n}\n")
    lines = (" {", "-x", "+y", " }")
    with pytest.raises(EditRefused, match="2 times"):
        run(bench, make_task, hunk("@@ -9,3 +9,3 @@", *lines))
    run(bench, make_task, hunk("@@ -4,3 +4,3 @@", *lines))
    assert bench.text("a.txt") == "{\nx\n}\n{\ny\n}\n"


def test_an_applied_patch_says_so(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", BODY)
    diff = hunk("@@ -20 +20,2 @@", " line 20", "+line 21")
    run(bench, make_task, diff)
    with pytest.raises(AlreadyApplied):
        run(bench, make_task, diff)
    assert bench.text("a.txt") == BODY + "line 21\n"


def test_code_repeated_after_a_crash_finishes_what_was_half_written(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", BODY)
    bench.put("b.txt", BODY)
    lines = ("@@ -4,3 +4,3 @@", " line 4", "-line 5", "+five", " line 6")
    engine, task = PatchEngine(), make_task(hunk(*lines) + hunk(*lines, path="b.txt"))
    plan = engine.plan(task, bench)
    bench.put("a.txt", BODY.replace("line 5\n", "five\n"))
    assert engine.code(task, plan, bench).changed == ("a.txt", "b.txt")
    assert bench.text("a.txt") == bench.text("b.txt") == BODY.replace("line 5\n", "five\n")


def test_a_second_attempt_is_refused_since_it_would_do_the_same(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", BODY)
    engine = PatchEngine()
    task = make_task("x", attempt=2, feedback=(Feedback("tests.failed", "1 failed"),))
    with pytest.raises(AttemptsExhausted, match=r"tests\.failed"):
        engine.code(task, None, bench)  # type: ignore[arg-type]


def test_search_replace_blocks_are_applied(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("src/a.py", "def f():\n    return 1\n")
    text = (
        "Do this:\n\n`src/a.py`\n```python\n"
        "<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE\n```\n"
        "src/new.py\n<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE\n"
    )
    assert run(bench, make_task, text).changed == ("src/a.py", "src/new.py")
    assert bench.text("src/a.py") == "def f():\n    return 2\n"
    with pytest.raises(AlreadyApplied):
        PatchEngine().plan(make_task(text), bench)


@pytest.mark.parametrize(
    "block",
    [
        "a.txt\n<<<<<<< SEARCH\nx\n=======\ny\n",
        "a.txt\n<<<<<<< SEARCH\nT\n=======\nx\n=======\ny\n>>>>>>> REPLACE\n",
        "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n",
        "../a\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n",
    ],
    ids=["open", "two middles", "no path", "outside"],
)
def test_a_block_that_is_open_ambiguous_or_has_no_path_is_refused(block: str) -> None:
    with pytest.raises(EditRefused):
        diffs.parse(block)


@pytest.mark.parametrize(
    "diff",
    [
        "--- a/x\n+++ b/../../etc/passwd\n@@ -0,0 +1 @@\n+x\n",
        "--- /dev/null\n+++ b/.git/hooks/pre-commit\n@@ -0,0 +1 @@\n+x\n",
        "--- /dev/null\n+++ /etc/cron.d/x\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/x.png b/x.png\nindex 1..2 100644\nGIT binary patch\nliteral 1\n",
        "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
        "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to ../y\n",
    ],
    ids=["outside", "git hook", "absolute", "binary", "mode only", "rename outside"],
)
def test_a_hostile_or_empty_diff_is_refused(diff: str) -> None:
    with pytest.raises(EditRefused):
        diffs.parse(diff)


def test_a_deleted_sql_comment_is_not_taken_for_a_file_header(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.sql", "select 1;\n-- old\n-- older\nselect 2;\n")
    diff = hunk(
        "@@ -1,4 +1,4 @@",
        " select 1;",
        "--- old",
        "--- older",
        "+++ new",
        "+-- newer",
        " select 2;",
        path="a.sql",
    )
    run(bench, make_task, diff)
    assert bench.text("a.sql") == "select 1;\n++ new\n-- newer\nselect 2;\n"


def test_a_missing_last_newline_is_kept_added_and_taken_away(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", "a\nb")
    run(bench, make_task, hunk("@@ -1,2 +1,2 @@", " a", "-b", "\\ No newline at end of file", "+c"))
    assert bench.text("a.txt") == "a\nc\n"
    run(bench, make_task, hunk("@@ -1,2 +1,2 @@", " a", "-c", "+d", "\\ No newline at end of file"))
    assert bench.text("a.txt") == "a\nd"


def test_a_crlf_file_stays_one_whatever_the_diff_has(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", "a\r\nb\r\n")
    run(bench, make_task, hunk("@@ -1,2 +1,3 @@", " a", "-b", "+c", "+d").replace("\n", "\r\n"))
    assert bench.text("a.txt") == "a\r\nc\r\nd\r\n"


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false")
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def test_what_git_diff_writes_gives_the_tree_that_git_has(
    bench: DirectoryWorkbench, make_task: MakeTask, tmp_path: Path
) -> None:
    """New file, deletion, rename with a change, a quoted name, several hunks, an emptied and a newly empty
    file.
    """
    bench.put("many.txt", "".join(f"line {number}\n" for number in range(80)))
    bench.put("gone.txt", "bye\n")
    bench.put("old/name.txt", BODY)
    bench.put("emptied.txt", "x\n")
    bench.put("gone-empty.txt", "")
    bench.put('schön wie "das".txt', "a\nb\nc\n")
    git(bench.root, "init", "-q")
    git(bench.root, "add", "-A")
    git(bench.root, "commit", "-qm", "before")
    bench.put("many.txt", "first\n" + "".join(f"line {n}\n" for n in range(80) if n not in (40, 41)) + "last")
    for path in ("gone.txt", "old/name.txt", "gone-empty.txt"):
        bench.delete(path)
    bench.put("new/name.txt", BODY.replace("line 5\n", "five\n"))
    bench.put("emptied.txt", "")
    bench.put('schön wie "das".txt', "a\nB\nc\n")
    bench.put("created/deep.txt", "no newline")
    bench.put("created/empty.txt", "")
    git(bench.root, "add", "-A")
    diff = git(bench.root, "diff", "--cached", "-M")
    after = {path: bench.read(path) for path in bench.files()}
    git(bench.root, "reset", "-q", "--hard")
    assert {patch.operation for patch in diffs.parse(diff).patches} == set(Operation)
    run(bench, make_task, diff)
    assert {path: bench.read(path) for path in bench.files()} == after


FEW = st.lists(st.sampled_from(["a", "b", "", "}", "-- c", "++ d", "@@ x", "--- q", "+++ r", "\\ s"]), max_size=25)


@settings(max_examples=120, deadline=None)
@given(base=FEW, target=FEW, context=st.integers(1, 4))
def test_a_true_diff_gives_its_target_however_often_the_lines_repeat(
    base: list[str], target: list[str], context: int
) -> None:
    old, new = ([f"{line}\n" for line in side] for side in (base, target))
    diff = "".join(difflib.unified_diff(old, new, "a/f", "b/f", n=context))
    before, after = ("".join(side).encode() for side in (old, new))
    with tempfile.TemporaryDirectory() as folder:
        bench = DirectoryWorkbench(Path(folder))
        bench.write("f", before)
        if not base or not diff:
            return
        edits.write(hunks.compute(diffs.parse(diff).patches, bench).changes, bench)
        assert bench.read("f") == after


def test_a_file_of_which_only_some_hunks_are_applied_is_a_conflict(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", BODY.replace("line 5\n", "five\n"))
    first, second = ("@@ -4,3 +4,3 @@", " line 4", "-line 5", "+five", " line 6"), (" line 14", "-line 15", "+x")
    with pytest.raises(EditRefused):
        run(bench, make_task, hunk(*first, "@@ -14,3 +14,3 @@", *second, " line 16"))


def test_a_file_beneath_a_file_is_refused_and_nothing_stays_written(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    bench.put("folder/b.py", "")
    for path in ("a.py/c.py", "folder"):
        diff = f"--- /dev/null\n+++ b/aa.py\n@@ -0,0 +1 @@\n+new\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
        with pytest.raises(EditRefused):
            run(bench, make_task, diff)
    assert bench.files() == ["a.py", "folder/b.py"]


def test_a_million_equal_lines_are_searched_in_seconds(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", "a\n" * 400_000)
    lines = ["@@ -1,1 +1,1 @@", *[" a"] * 100_000, "-b", "+c"]
    started = time.monotonic()
    with pytest.raises(EditRefused):
        run(bench, make_task, hunk(*lines))
    assert time.monotonic() - started < 20


def test_the_plan_lists_files_and_hunks(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.txt", BODY)
    plan = PatchEngine().plan(make_task(hunk("@@ -4,3 +4,4 @@", " line 4", "-line 5", "+x", "+y", " line 6")), bench)
    assert plan.steps[0].title == "Change a.txt"
    assert plan.steps[0].detail == "hunk 1 at line 4: +2 −1"
    assert bench.text("a.txt") == BODY


@pytest.mark.parametrize("numbers", ["-1 +1", "-1,1 +1,1"])
def test_a_hunk_header_with_thousands_of_digits_counts_as_one_without_numbers(
    bench: DirectoryWorkbench, make_task: MakeTask, numbers: str
) -> None:
    bench.put("a.txt", "a\n")
    run(bench, make_task, hunk(f"@@ {numbers.replace('1', '1' * 5000)} @@", "-a", "+b"))
    assert bench.text("a.txt") == "b\n"
