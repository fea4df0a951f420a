"""Codemods run as real programs on real files: ruff, pyupgrade, and our LibCST script piped into python."""

from __future__ import annotations

import ast
import time

import pytest

from agents.engines.codemod import CodemodEngine, parse
from agents.engines.codemods import libcst_codemods
from agents.engines.faults import AttemptsExhausted, CodemodFailed, CodemodToolMissing, CodemodUnknown
from agents.engines.protocol import Edits, Feedback
from tests.agents.engines.conftest import MakeTask
from tests.fakes.workbench import DirectoryWorkbench


def run(bench: DirectoryWorkbench, make_task: MakeTask, requirements: str) -> Edits:
    engine, task = CodemodEngine(), make_task(requirements)
    return engine.code(task, engine.plan(task, bench), bench)


def test_ruff_removes_what_the_named_rule_finds_and_leaves_no_cache(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "import os\nimport sys\n\nprint(sys.argv)\n")
    bench.put("b.py", "x = 1\n")
    assert run(bench, make_task, "Tidy up.\n\n- codemod: ruff F401, I\n").changed == ("a.py",)
    assert bench.text("a.py") == "import sys\n\nprint(sys.argv)\n"
    assert bench.files() == ["a.py", "b.py"]


def test_ruff_with_a_rule_that_does_not_exist_says_what_ruff_says(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    with pytest.raises(CodemodFailed, match="QQQ"):
        run(bench, make_task, "codemod: ruff QQQ999")


def test_pyupgrade_modernises_every_file_even_one_named_like_an_option(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "from typing import List\n\nx = set([1])\n")
    bench.put("--help.py", "y = set([2])\n")
    assert run(bench, make_task, "codemod: pyupgrade --py311-plus").changed == ("--help.py", "a.py")
    assert "x = {1}" in bench.text("a.py")


def test_several_codemods_run_in_their_order(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.py", "import os\n\n\ndef old():\n    return 1\n")
    run(bench, make_task, "codemod: rename old new\ncodemod: remove-unused-imports\n")
    assert bench.text("a.py") == "def new():\n    return 1\n"


def test_rename_follows_imports_aliases_attributes_re_exports_and_scopes(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("pkg/__init__.py", 'from .money import total\n\n__all__ = ["total"]\n')
    bench.put("pkg/money.py", "def total(items):\n    # total of all\n    return sum(items) or total([0])\n")
    bench.put("pkg/uses.py", "from pkg.money import total as add\n\nx = add([1])\n")
    bench.put("pkg/local.py", "def f(total):\n    return total + 1\n\n\nclass C:\n    total = 2\n")
    bench.put(
        "app.py",
        "import pkg.money\nimport pkg.money as m\nfrom pkg import money, total\n\n"
        "a = pkg.money.total([1])\nb = m.total([2])\nc = money.total([3])\nd = total([4])\n"
        "e = object.total\n\n\ndef g():\n    total = 5\n    return total\n",
    )
    done = run(bench, make_task, "codemod: rename pkg.money.total sum_up")
    assert done.changed == ("app.py", "pkg/__init__.py", "pkg/money.py", "pkg/uses.py")
    assert bench.text("pkg/__init__.py") == 'from .money import sum_up\n\n__all__ = ["sum_up"]\n'
    assert bench.text("pkg/money.py") == (
        "def sum_up(items):\n    # total of all\n    return sum(items) or sum_up([0])\n"
    )
    assert bench.text("pkg/uses.py") == "from pkg.money import sum_up as add\n\nx = add([1])\n"
    assert bench.text("app.py") == (
        "import pkg.money\nimport pkg.money as m\nfrom pkg import money, sum_up\n\n"
        "a = pkg.money.sum_up([1])\nb = m.sum_up([2])\nc = money.sum_up([3])\nd = sum_up([4])\n"
        "e = object.total\n\n\ndef g():\n    total = 5\n    return total\n"
    )


def test_rename_reaches_imports_inside_functions_and_classes_and_keeps_crlf(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("shapes.py", "class Box:\r\n    pass\r\n\r\n\r\nDEFAULT: Box = Box()\r\n")
    bench.put(
        "use.py",
        "def f():\n    from shapes import Box\n\n    class Big(Box):\n        pass\n\n    return Big, Box\n",
    )
    run(bench, make_task, "codemod: rename Box Crate")
    assert bench.text("shapes.py") == "class Crate:\r\n    pass\r\n\r\n\r\nDEFAULT: Crate = Crate()\r\n"
    assert bench.text("use.py").count("Crate") == 3
    assert "Box" not in bench.text("use.py")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.py": "x = 1\n"}, "no module-level definition"),
        ({"a.py": "def old(): pass\n", "b.py": "def old(): pass\n"}, "write it dotted"),
        ({"a.py": "def old(): pass\ndef new(): pass\n"}, "exists already"),
        ({"a.py": "def old(): pass\n", "b.py": "from a import *\nold()\n"}, "star import"),
        ({"a.py": "def old(): pass\n", "b.py": "from a import old\n)(\n"}, "cannot be parsed"),
        ({"a.py": "def old(): pass\n", "p/__init__.py": "from a import *\n"}, "star import"),
        ({"a.py": "old = 1\ndef f():\n    global old\n    old = 2\n"}, "global statement"),
        ({"a.py": "try:\n    from c import old\nexcept ImportError:\n    def old(): pass\n"}, "as well as"),
        ({"a.py": "def old(): pass\ndef f(new):\n    return old()\n"}, "local name"),
        ({"a.py": "def old(): pass\n", "b.py": "from a import old\nnew = 1\nold()\n"}, "exists already"),
    ],
)
def test_a_rename_that_cannot_be_sure_is_refused_and_writes_nothing(
    bench: DirectoryWorkbench, make_task: MakeTask, files: dict[str, str], reason: str
) -> None:
    for path, content in files.items():
        bench.put(path, content)
    with pytest.raises(CodemodFailed, match=reason):
        run(bench, make_task, "codemod: rename old new")
    assert {path: bench.text(path) for path in bench.files()} == files


def test_rename_reaches_parent_imports_fallbacks_and_quoted_annotations(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("pkg/__init__.py", "")
    bench.put("pkg/money.py", "class Box:\n    pass\n\n\ndef f(x: 'list[Box]') -> 'Box':\n    return x\n")
    bench.put("app.py", "import pkg.money\nimport pkg\nfrom . import pkg as p\n\na = pkg.money.Box()\n")
    bench.put(
        "try_it.py",
        "try:\n    from pkg.money import Box\nexcept ImportError:\n    Box = None\n\nprint(Box)\n",
    )
    run(bench, make_task, "codemod: rename pkg.money.Box Crate")
    assert bench.text("pkg/money.py") == (
        "class Crate:\n    pass\n\n\ndef f(x: 'list[Crate]') -> 'Crate':\n    return x\n"
    )
    assert bench.text("app.py").endswith("a = pkg.money.Crate()\n")
    assert bench.text("try_it.py") == (
        "try:\n    from pkg.money import Crate\nexcept ImportError:\n    Crate = None\n\nprint(Crate)\n"
    )


def test_two_modules_of_one_short_name_are_not_mixed_up(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a/tools.py", "def old():\n    return 1\n")
    bench.put("b/tools.py", "import sys\nold = sys.argv\n")
    bench.put("b/use.py", "from tools import old\nprint(old)\n")
    assert run(bench, make_task, "codemod: rename a.tools.old new").changed == ("a/tools.py",)


def test_unused_imports_go_and_meant_ones_stay(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put(
        "a.py",
        "from __future__ import annotations\n\nimport os, sys\nimport os.path\nimport json as json\n"
        "from typing import (\n    Any,\n    List,\n)\nimport keep  # noqa: F401\nfrom x import exported\n"
        "from y import Quoted, gone\n\ntry:\n    import fast\nexcept ImportError:\n    fast = None\n\n"
        "__all__ = ['exported']\n\n\ndef f(a: 'Quoted') -> Any:\n    import inner\n    return sys.argv\n",
    )
    bench.put("p/__init__.py", "from .a import b\n")
    assert run(bench, make_task, "codemod: remove-unused-imports").changed == ("a.py",)
    text = bench.text("a.py")
    ast.parse(text)
    imports = [line.strip() for line in text.splitlines() if "import" in line]
    assert imports == [
        "from __future__ import annotations",
        "import sys",
        "import json as json",
        "from typing import (",
        "import keep  # noqa: F401",
        "from x import exported",
        "from y import Quoted",
        "import fast",
    ]


def test_a_block_left_without_statements_gets_a_pass(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    bench.put("a.py", "def f():\n    import os\n")
    run(bench, make_task, "codemod: remove-unused-imports")
    assert bench.text("a.py") == "def f():\n    pass\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("codemod: renam a b", "Did you mean 'rename'"),
        ("codemod: rm -rf /", "Registered:"),
        ("codemod: ruff", "ruff RULES"),
        ("codemod: ruff F401 --config=x", "ruff RULES"),
        ("codemod: rename a class", "rename OLD NEW"),
        ("codemod: rename a.b c.d", "rename OLD NEW"),
        ("codemod: pyupgrade --py311-plus x.py", "pyupgrade --py311-plus"),
        ("codemod:", "Registered:"),
        ("codemod: ruff I\n" * 21, "names 21"),
    ],
)
def test_what_is_not_registered_is_refused_with_the_list(line: str, words: str) -> None:
    with pytest.raises(CodemodUnknown) as refusal:
        parse(line)
    assert words in refusal.value.detail


def test_a_long_blank_line_costs_no_time() -> None:
    started = time.monotonic()
    with pytest.raises(CodemodUnknown):
        parse("codemod:" + " " * 200_000 + "`x\n" + " " * 200_000)
    assert time.monotonic() - started < 1


class BareSandbox(DirectoryWorkbench):
    """A sandbox whose python has no packages."""

    def run(self, argv, *, timeout_s=120.0, stdin=b""):  # type: ignore[no-untyped-def]
        return super().run([argv[0], "-I", "-S", *argv[1:]], timeout_s=timeout_s, stdin=stdin)


@pytest.mark.parametrize(
    "line", ["codemod: ruff I", "codemod: remove-unused-imports", "codemod: pyupgrade --py311-plus"]
)
def test_a_toolchain_without_the_program_is_a_configuration_fault(
    bench: DirectoryWorkbench, make_task: MakeTask, line: str
) -> None:
    bare = BareSandbox(bench.root)
    bare.put("a.py", "x = 1\n")
    with pytest.raises(CodemodToolMissing):
        run(bare, make_task, line)


def test_a_second_attempt_is_refused(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    task = make_task("codemod: ruff I", attempt=2, feedback=(Feedback("tests.failed", "x"),))
    with pytest.raises(AttemptsExhausted):
        CodemodEngine().code(task, None, bench)  # type: ignore[arg-type]


def test_the_script_needs_nothing_but_the_standard_library_and_libcst() -> None:
    tree = ast.parse(open(libcst_codemods.__file__).read())  # noqa: SIM115
    names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names == {"collections", "json", "os", "re", "sys", "libcst"}


@pytest.mark.parametrize(
    "requirements", ["codemod: ruff F401", "codemod: pyupgrade --py311-plus", "codemod: remove-unused-imports"]
)
def test_modules_of_the_project_are_not_taken_for_those_of_the_tools(
    bench: DirectoryWorkbench, make_task: MakeTask, requirements: str
) -> None:
    bench.put("a.py", "import os\nx = set([1])\n")
    for name in ("json", "re", "ruff", "libcst", "pyupgrade", "argparse", "tokenize"):
        bench.put(f"{name}.py", "raise SystemExit('the module of the project ran')\n")
    assert "a.py" in run(bench, make_task, requirements).changed
